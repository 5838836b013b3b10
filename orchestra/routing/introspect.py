"""Reads a LangGraph graph: its asks, edges and joins; it knows LangGraph's inside.

`compiled.builder` is not public API. tests/contract/test_langgraph_inside.py fails when a
new LangGraph moves what is read here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from orchestra.core.ask import Ask
from orchestra.core.errors import InvalidGraph
from orchestra.core.fan_out import EachPhoto
from orchestra.core.spelling import did_you_mean
from orchestra.routing.compiled import action_of

Edges = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class GraphView:
    """A graph as the planner sees it: node names in topological order, their asks, their edges.

    `visits` bounds how often each ask is made: in turn for nodes of `loops`, else side by side (a
    `Send` for each). `together` are pairs of asks that are sure to begin in one step. Asks of
    `each` are visited so for each photo, and see one; what visits of `spread` see is not known.
    With `most_photos` asks that go through the photos in turn look at so many at most.
    """

    nodes: tuple[str, ...]
    asks: dict[str, Ask]
    edges: Edges
    visits: dict[str, int]
    unpriced: tuple[str, ...] = ()
    loops: frozenset[str] = frozenset()
    together: frozenset[frozenset[str]] = frozenset()
    each: frozenset[str] = frozenset()
    spread: frozenset[str] = frozenset()
    most_photos: int | None = None
    _before: dict[str, list[str]] = field(init=False, compare=False, repr=False)

    @classmethod
    def of_node(cls, node: str, ask: Ask, *, visits: int = 1) -> GraphView:
        """A graph of one node, which is asked as often as `visits` at most."""
        return cls((node,), {node: ask}, frozenset(), {node: visits})

    def __post_init__(self) -> None:
        before: dict[str, list[str]] = {node: [] for node in self.nodes}
        for a, b in sorted(self.edges):
            if a != START and b in before:
                before[b].append(a)
        object.__setattr__(self, "_before", before)  # a search asks for them thousands of times

    @property
    def is_fine(self) -> bool:
        """Whether a node reads small print, so that photos have to keep their pixels."""
        return any(ask.is_fine for ask in self.asks.values())

    def abreast(self, node: str, photos: int) -> int:
        """How many visits of `node` may be under way at one moment, in a job of so many photos."""
        if node in self.each:
            return max(1, photos)
        return 1 if node in self.loops else self.visits[node]

    def visits_in(self, node: str, photos: int) -> int:
        """How often `node` is visited at most, in a job of so many photos."""
        if node in self.each:
            return self.visits[node] * max(1, photos)
        return self.visits[node] * self.in_turn(node, photos)

    def in_turn(self, node: str, photos: int) -> int:
        """How many photos of so many a visit of `node` looks at, one after the other."""
        turn = self.asks[node].turn
        if turn is None:
            return 1
        most = turn.most if self.most_photos is None else min(turn.most, self.most_photos)
        return max(1, min(most, photos))

    def most_in_turn(self, photos: int) -> int:
        """The most photos that any node looks at one after the other."""
        return max((self.in_turn(node, photos) for node in self.asks), default=1)

    def predecessors(self, node: str) -> list[str]:
        """Nodes with an edge into `node`, START left out."""
        return self._before[node]

    @property
    def steps(self) -> Iterable[tuple[str, list[str]]]:
        """Each node with its predecessors, in order."""
        return self._before.items()

    def ancestors(self, node: str) -> set[str]:
        """Nodes that stand before `node` on some way to it."""
        found: set[str] = set()
        waiting = list(self.predecessors(node))
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.predecessors(name)
        return found


class Flat(NamedTuple):
    """A graph with its subgraphs in place: edges have START and END, `each` see one photo each."""

    asks: dict[str, Ask]
    edges: Edges
    names: tuple[str, ...]
    unpriced: list[str]
    each: set[str]


def may_wait(compiled: CompiledStateGraph) -> bool:
    """Whether a run of the graph may stop and ask a person: a function in it is not ours.

    That is a node, what renders or shapes an ask, or what decides a conditional edge. What renders
    or shapes an ask, and says `asks_nobody`, never stops a run.
    """
    if compiled.interrupt_before_nodes or compiled.interrupt_after_nodes:
        return True
    seen = view(compiled)
    given = (made for ask in seen.asks.values() for made in (ask.data, ask.shape) if made)
    stops = any(not getattr(made, "asks_nobody", False) for made in given)
    return bool(seen.unpriced) or stops or _decides(compiled)


def _decides(compiled: CompiledStateGraph) -> bool:
    """Whether a function of the user's own says where a conditional edge leads."""
    builder = compiled.builder
    paths = (branch.path for found in builder.branches.values() for branch in found.values())
    inner = (spec.runnable for spec in builder.nodes.values())
    return any(not isinstance(getattr(path, "func", None), EachPhoto) for path in paths) or any(
        _decides(graph) for graph in inner if isinstance(graph, CompiledStateGraph)
    )


@lru_cache(maxsize=64)
def last_asks(compiled: CompiledStateGraph) -> frozenset[str]:
    """Asks for free text after which a run of `compiled` ends, when nothing else is under way."""
    builder = compiled.builder
    goes_on = {a for a, b in _plain_edges(builder) if b != END} | set(builder.branches)
    if any(spec.defer for spec in builder.nodes.values()):
        return frozenset()  # what is deferred comes after them, wherever it stands
    return frozenset(
        name
        for name, spec in builder.nodes.items()
        if isinstance(action := action_of(spec), Ask)
        and action.schema_json is None
        and name not in goes_on
    )


@lru_cache(maxsize=64)
def view(compiled: CompiledStateGraph) -> GraphView:
    """Read `compiled`, subgraphs included, as one flat graph.

    Raises `InvalidGraph` for an undeclared destination, an unbounded loop, or two nodes of one
    name in a graph and its subgraphs.
    """
    asks, edges, names, unpriced, each = _flatten(compiled)
    _check_joins(compiled, names)
    if asks:  # a graph without them has nothing to price
        _check_destinations(compiled)
    loops = _loops(names, edges)
    order = _topological(names, edges, loops)
    looping = frozenset(loops)
    for name in sorted(looping & set(asks)):
        if asks[name].max_visits is None:
            raise InvalidGraph(
                f"The node {name!r} stands in a loop without a bound, so it cannot be priced. "
                "Give its ask(...) max_visits=N."
            )
    _check_cascades(GraphView(order, asks, edges, {}))
    visits = {name: ask.max_visits or 1 for name, ask in asks.items()}
    together = frozenset(_together(compiled))
    spread = frozenset(_spread(compiled)) - looping - each
    return GraphView(
        order, asks, edges, visits, tuple(unpriced), looping, together, frozenset(each), spread
    )


def _check_joins(compiled: CompiledStateGraph, names: tuple[str, ...]) -> None:
    """Raise `InvalidGraph` where a node, as `merge` is, joins the answers of one there is not."""
    for name, spec in compiled.builder.nodes.items():
        action = action_of(spec)
        if isinstance(spec.runnable, CompiledStateGraph):
            _check_joins(spec.runnable, names)
        elif getattr(action, "costs_nothing", False):
            for joined in getattr(action, "nodes", ()):
                if joined not in names:
                    others = [other for other in names if other != name]
                    raise InvalidGraph(
                        f"The node {name!r} joins the answers of {joined!r}, which is no node of "
                        f"the graph. {did_you_mean(joined, others)}"
                    )


def _check_cascades(view: GraphView) -> None:
    """Raise `InvalidGraph` for a second ask after a node that does not stand before it."""
    for name, ask in view.asks.items():
        if ask.after is None or ask.after.node in (before := view.ancestors(name)):
            continue
        first = ask.after.node
        cure = "Lead an edge to it from there."
        if first not in view.nodes:
            cure = did_you_mean(first, sorted(before))
        raise InvalidGraph(
            f"The node {name!r} is a cascade after {first!r}, which is no node before it. {cure}"
        )


def _together(compiled: CompiledStateGraph) -> set[frozenset[str]]:
    """Pairs of asks that one plain edge each leads to, from the same place, and nothing else."""
    builder = compiled.builder
    branching = _branch_edges(builder) | _command_edges(builder)
    into: dict[str, set[str]] = {}
    for a, b in _plain_edges(builder) | branching:
        into.setdefault(b, set()).add(a)
    branched = {b for _, b in branching}
    from_one: dict[str, list[str]] = {}
    found: set[frozenset[str]] = set()
    for name, spec in builder.nodes.items():
        if isinstance(spec.runnable, CompiledStateGraph):
            found |= _together(spec.runnable)
        elif isinstance(action_of(spec), Ask) and name not in branched and not spec.defer:
            sources = into.get(name, set())
            if len(sources) == 1 and (*sources, name) in builder.edges:
                from_one.setdefault(next(iter(sources)), []).append(name)
    for names in from_one.values():
        found |= {frozenset(pair) for pair in combinations(names, 2)}
    return found


def _each(builder: StateGraph) -> set[str]:
    """Nodes that photos are sent to one by one, and nothing else leads to."""
    found: set[str] = set()
    others = {b for _, b in _plain_edges(builder)}
    for branches in builder.branches.values():
        for branch in branches.values():
            path = getattr(branch.path, "func", None)
            if isinstance(path, EachPhoto):
                found.add(path.node)
            else:
                others |= set((branch.ends or {}).values())
    return found - others


def _spread(compiled: CompiledStateGraph) -> set[str]:
    """Asks of more visits than one that conditional edges alone lead to: fan-outs, by their look.

    Each visit may then see a part of the job's photos.
    """
    builder = compiled.builder
    found: set[str] = set()
    branched = {b for _, b in _branch_edges(builder)} - {b for _, b in _plain_edges(builder)}
    for name, spec in builder.nodes.items():
        action = action_of(spec)
        if isinstance(spec.runnable, CompiledStateGraph):
            found |= _spread(spec.runnable)
        elif name in branched and isinstance(action, Ask) and (action.max_visits or 1) > 1:
            found.add(name)
    return found


def _flatten(compiled: CompiledStateGraph) -> Flat:
    """The graph, subgraphs put in place.

    Nodes that are no asks may have one name in several subgraphs, as those of prebuilt agents do:
    `agent:model` is the one in the subgraph `agent`.
    """
    builder = compiled.builder
    edges = _plain_edges(builder) | _branch_edges(builder) | _command_edges(builder)
    asks: dict[str, Ask] = {}
    names: list[str] = []
    unpriced: list[str] = []
    sent = _each(builder)
    each = sent & set(builder.nodes)
    inside = {
        name: _flatten(spec.runnable)
        for name, spec in builder.nodes.items()
        if isinstance(spec.runnable, CompiledStateGraph)
    }
    seen = Counter(name for name in builder.nodes if name not in inside)
    seen.update(name for inner in inside.values() for name in inner.names)
    for name, spec in builder.nodes.items():
        if name in inside:
            inner = _qualified(name, inside[name], seen)
            each = (each - {name}) | (set(inner.names) if name in sent else inner.each)
            unpriced += inner.unpriced
            edges = _spliced(edges, name, inner)
            asks |= inner.asks
            names += inner.names
            continue
        names.append(name)
        action = action_of(spec)
        if isinstance(action, Ask):
            asks[name] = action
        elif not getattr(action, "costs_nothing", False):
            unpriced.append(name)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidGraph(
            f"Two nodes are called {twice[0]!r}, in a graph and its subgraphs, so a plan could "
            "not tell them apart. Rename one."
        )
    return Flat(asks, frozenset(edges), tuple(names), unpriced, each)


def _qualified(graph: str, inner: Flat, seen: Counter[str]) -> Flat:
    """A subgraph whose nodes of a name that is `seen` elsewhere too are named after it as well."""
    own = {n: f"{graph}:{n}" for n in inner.names if seen[n] > 1 and n not in inner.asks}
    if not own:
        return inner
    return Flat(
        inner.asks,
        frozenset((own.get(a, a), own.get(b, b)) for a, b in inner.edges),
        tuple(own.get(name, name) for name in inner.names),
        [own.get(name, name) for name in inner.unpriced],
        {own.get(name, name) for name in inner.each},
    )


def _spliced(edges: set[tuple[str, str]], node: str, inner: Flat) -> set[tuple[str, str]]:
    """`edges` with `node` replaced by the subgraph `inner`."""
    before = {a for a, b in edges if b == node}
    after = {b for a, b in edges if a == node}
    first = {b for a, b in inner.edges if a == START}
    # A node that leads nowhere ends its graph as one that leads to END does.
    last = {a for a, b in inner.edges if b == END} | set(inner.names) - {a for a, _ in inner.edges}
    kept = {(a, b) for a, b in edges if node not in (a, b)}
    kept |= {(a, b) for a, b in inner.edges if a != START and b != END}
    return kept | {(a, b) for a in before for b in first} | {(a, b) for a in last for b in after}


def _plain_edges(builder: StateGraph) -> set[tuple[str, str]]:
    edges = set(builder.edges)
    for starts, end in builder.waiting_edges:
        edges |= {(start, end) for start in starts}
    return edges


def _branch_edges(builder: StateGraph) -> set[tuple[str, str]]:
    """Where conditional edges lead: those that declare nothing may lead anywhere."""
    anywhere = (*builder.nodes, END)
    return {
        (source, end)
        for source, branches in builder.branches.items()
        for branch in branches.values()
        for end in (anywhere if branch.ends is None else branch.ends.values())
    }


def _check_destinations(compiled: CompiledStateGraph) -> None:
    """Raise `InvalidGraph` for a conditional edge that declares no destinations."""
    builder = compiled.builder
    for source, branches in builder.branches.items():
        for name, branch in branches.items():
            if branch.ends is None:
                raise InvalidGraph(
                    f"The conditional edge {name!r} out of {source!r} declares no destinations, "
                    "so its routes cannot be priced. Pass path_map=[...] to "
                    "add_conditional_edges, or annotate the function with Literal[...]."
                )
    for spec in builder.nodes.values():
        if isinstance(spec.runnable, CompiledStateGraph):
            _check_destinations(spec.runnable)


def _command_edges(builder: StateGraph) -> set[tuple[str, str]]:
    """Where nodes that return a `Command` say that they may go to in this graph."""
    known = {*builder.nodes, END}
    return {
        (name, end)
        for name, spec in builder.nodes.items()
        for end in spec.ends or ()
        if end in known
    }


def _loops(names: tuple[str, ...], edges: Edges) -> dict[str, frozenset[str]]:
    """For each node that can be reached from itself, the nodes that it goes round with."""
    after = {name: {b for a, b in edges if a == name} for name in names}
    reached: dict[str, set[str]] = {}
    for name in names:
        found: set[str] = set()
        waiting = list(after[name])
        while waiting:
            other = waiting.pop()
            if other in after and other not in found:
                found.add(other)
                waiting += after[other]
        reached[name] = found
    return {
        name: frozenset(other for other in reached[name] if name in reached[other])
        for name in names
        if name in reached[name]
    }


def _topological(
    names: tuple[str, ...], edges: Edges, loops: dict[str, frozenset[str]]
) -> tuple[str, ...]:
    """Kahn's order; a loop is entered at its first declared node that nothing outside holds."""
    waiting = {name: {a for a, b in edges if b == name and a != START} for name in names}
    order: list[str] = []
    while waiting:
        ready = [name for name in waiting if not waiting[name]]
        if not ready:
            entered = (name for name in waiting if waiting[name] <= loops.get(name, frozenset()))
            ready = [next(entered)]
        for name in ready:
            del waiting[name]
            order.append(name)
            for others in waiting.values():
                others.discard(name)
    return tuple(order)
