"""The ways a job of one shape may go through a graph, which models they ask, and their prices.

A route leaves out the nodes of an input, or takes the cheapest models instead of the best. Pure;
it chooses none of them.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from orchestra.core.ask import Ask
from orchestra.core.card import FleetFile
from orchestra.core.errors import PlanError
from orchestra.core.job import Budget
from orchestra.quality.policy import Policy
from orchestra.routing.candidates import JobShape
from orchestra.routing.condition import Condition, Unless, split
from orchestra.routing.introspect import GraphView
from orchestra.routing.options import Options, held_gib, options_of, rank
from orchestra.routing.plan import NodePlan, Option, Plan, Rejected
from orchestra.routing.planner import plan, route_of
from orchestra.routing.search import best_fitting, best_judged

LEFT_OUT = "left out: the budget is spent where it helps more"
SURE_ENOUGH = (0.0, 0.5, 0.8)  # of what another node said, for a call to be spared
READ_OFF = ("text", "image")
INPUTS = {"both": ("text", "image"), "text": ("text",), "photo": ("image",)}


@dataclass(frozen=True, slots=True)
class Route:
    """Models by node, `first>better` in a cascade; a node that is not in it is left out.

    `vl?0.5` is asked only where the other side left a field open or was less sure of it than 0.5;
    `vl?category@0.5` looks at the category alone.
    """

    models: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """As in `look=vl read=r1`."""
        return " ".join(f"{node}={model}" for node, model in self.models)

    @classmethod
    def of(cls, option: Option) -> Route:
        """The route of an assignment."""
        return cls(tuple((node.node, node.part) for node in option))

    @classmethod
    def named(cls, name: str) -> Route:
        """The route that is called `name`."""
        pairs = (part.partition("=") for part in name.split())
        return cls(tuple((node, model) for node, _, model in pairs))

    @property
    def asked(self) -> tuple[str, ...]:
        """Every model that it may ask, once."""
        return tuple(dict.fromkeys(m for _, models, _ in self.parts for m in models.split(">")))

    @property
    def parts(self) -> tuple[tuple[str, str, Unless | None], ...]:
        """Node, models and condition. Raises `InvalidPlan` for a condition that is none."""
        return tuple((node, *split(models)) for node, models in self.models)


def routes(
    view: GraphView,
    shape: JobShape,
    fleet: FleetFile,
    budget: Budget,
    policy: Policy | None = None,
    fields: Sequence[str] = (),
) -> list[Route]:
    """Routes of a job, the planner's own first, then fewer inputs, then the cheapest models.

    Last come those that spare a call where another node has answered the `fields` that count
    (none: all that both answer).

    Raises as `plan` does when not even one fits.
    """
    first = Route.of(plan(view, shape, budget, fleet, policy=policy).nodes)
    best, cheap, sparing = [first], [], list[Route]()
    for inputs in _subsets(view, shape):
        active = {node: ask for node, ask in view.asks.items() if ask.reads in (*inputs, "facts")}
        options = priced(view, shape, fleet, budget, active, policy)
        if options is None:
            continue
        found = best_judged(options)
        if found is not None:
            best.append(Route.of(found))
            fitting = [option for option in options.all() if not options.broken(option)]
            cheap.append(Route.of(min(fitting, key=_expected)))
            for option in (found, min(fitting, key=_expected)):
                sparing += _sparing(view, options, option, fields)
    return list(dict.fromkeys([*best, *cheap, *sparing]))


def _sparing(
    view: GraphView, options: Options, option: Option, fields: Sequence[str]
) -> list[Route]:
    """`option` with one call that may be spared made to wait, where there is time for it."""
    found: list[Route] = []
    for waits in option:
        for least in SURE_ENOUGH:
            unless = Unless(least, tuple(sorted(fields)))
            sparing = waiting(view, [(node, unless if node is waits else None) for node in option])
            if any(node.condition is not None for node in sparing) and not options.broken(sparing):
                found.append(Route.of(sparing))
    return found


def waiting(view: GraphView, pairs: Sequence[tuple[NodePlan, Unless | None]]) -> Option:
    """An assignment with its conditions. One has none where nothing in it can spare its call, and
    nobody waits for one who waits."""
    free = [node.node for node, unless in pairs if unless is None]
    return tuple(_conditioned(view, node, unless, free) for node, unless in pairs)


def _conditioned(
    view: GraphView, node: NodePlan, unless: Unless | None, free: Collection[str]
) -> NodePlan:
    """`node` made to wait for what it can of the nodes `free`, where it may be spared at all."""
    if unless is None or node.share is not None:
        return node
    return replace(node, condition=condition_of(view, node.node, free, unless))


def _expected(option: Option) -> tuple[float, int, tuple[float, int, float, str]]:
    """Prices that round to one micro-dollar are told apart by the time they are rated by."""
    rated_ms = sum(node.latency_ms for node in option)
    return sum(node.expected_micro for node in option), round(rated_ms), rank(option)


def _subsets(view: GraphView, shape: JobShape) -> list[tuple[str, ...]]:
    """Inputs that may be read; a question is asked of all that there is."""
    have = [name for name, there in (("text", shape.text_bytes), ("image", shape.images)) if there]
    if any(ask.question for ask in view.asks.values()):
        return [tuple(have)]
    return [inputs for inputs in INPUTS.values() if set(inputs) <= set(have)]


def priced(
    view: GraphView,
    shape: JobShape,
    fleet: FleetFile,
    budget: Budget,
    active: dict[str, Ask],
    policy: Policy | None,
) -> Options | None:
    """The choices at the nodes of `active`; None where no input is read, or by no model."""
    if not any(ask.reads != "facts" for ask in active.values()):
        return None
    try:
        return options_of(view, active, shape, budget, fleet, policy=policy)
    except PlanError:
        return None  # no model for this input; another may do


def plan_along(
    view: GraphView,
    shape: JobShape,
    budget: Budget,
    fleet: FleetFile,
    models: Mapping[str, str],
    policy: Policy | None = None,
) -> Plan:
    """The plan of a job with exactly these models; one that lost that input is planned anew.

    Raises as `plan` does.
    """
    whole = plan(view, shape, budget, fleet, policy=policy)
    planned = {node.node for node in whole.nodes}
    kept = {node: view.asks[node] for node in view.nodes if node in planned and node in models}
    options = priced(view, shape, fleet, budget, kept, policy)
    if options is None:
        return whole
    parts = {node: (names, unless) for node, names, unless in Route(tuple(models.items())).parts}
    free = [node for node in kept if parts[node][1] is None]
    choices: list[Option] = []
    for nodes in options.choices:
        names, unless = parts[nodes[0].node]
        own = (node for node in nodes if node.models == names)
        choices.append(tuple(_conditioned(view, node, unless, free) for node in own) or nodes)
    options = replace(options, choices=tuple(choices))
    nodes = best_fitting(options)
    if nodes is None:
        return whole
    left = [Rejected(node.node, LEFT_OUT) for node in whole.nodes if node.node not in kept]
    return replace(
        whole,
        nodes=nodes,
        route=route_of(nodes, view),
        latency_ms=options.expected_ms(nodes),
        p99_ms=options.bound_ms(nodes),
        memory_gib=held_gib(nodes, fleet.machines),
        skipped=(*whole.skipped, *left),
        rejected=(),
    )


class Prices:
    """What a node takes for a row: a table has many rows and few lengths of text."""

    def __init__(self, view: GraphView, fleet: FleetFile, policy: Policy | None = None) -> None:
        self.view = view
        self.fleet = fleet
        self.policy = policy
        self._along: dict[tuple[Route, JobShape], Option] = {}
        self._known: dict[JobShape, dict[tuple[str, str], NodePlan]] = {}

    def of(self, route: Route, shape: JobShape) -> Option:
        """The calls of `route` for a job of `shape`; inputs that it lacks are not called for."""
        found = self._along.get((route, shape))
        if found is None:
            known = self._known.get(shape)
            if known is None:
                known = self._known[shape] = self._priced(shape)
            pairs = [
                (known[node, models], unless)
                for node, models, unless in route.parts
                if (node, models) in known
            ]
            found = self._along[route, shape] = waiting(self.view, pairs)
        return found

    def _priced(self, shape: JobShape) -> dict[tuple[str, str], NodePlan]:
        have = {"facts": True, "text": shape.text_bytes > 0, "image": shape.images > 0}
        active = {node: ask for node, ask in self.view.asks.items() if have[ask.reads]}
        options = priced(self.view, shape, self.fleet, Budget(), active, self.policy)
        choices = () if options is None else options.choices
        return {(node.node, node.models): node for nodes in choices for node in nodes}


def condition_of(
    view: GraphView, node: str, among: Collection[str], unless: Unless
) -> Condition | None:
    """What `node` waits for among the nodes of a plan; None where nothing can spare its call.

    It waits for nodes that read the other input and answer the same fields, if they are sure to
    be reached no later than it.
    """
    if not _may_wait(view, node):
        return None
    own, ask = _fields(view.asks[node].schema_json), view.asks[node]
    before = view.ancestors(node)
    on: list[str] = []
    common: set[str] = set()
    for other in among:
        if other == node or not _may_wait(view, other) or view.asks[other].reads == ask.reads:
            continue
        shared = own & _fields(view.asks[other].schema_json)
        counting = shared & set(unless.fields) if unless.fields else shared
        if counting and (other in before or frozenset((node, other)) in view.together):
            on.append(other)
            common |= counting
    if not on or (unless.fields and common != set(unless.fields)):
        return None  # a field that counts is answered by this node alone
    beside = tuple(other for other in on if other not in before)
    return Condition(tuple(on), tuple(sorted(common)), unless.least, beside, unless)


def _may_wait(view: GraphView, node: str) -> bool:
    """Whether a node reads something off its input, once a job; a question is the whole job's."""
    ask: Ask = view.asks[node]
    once = view.visits.get(node, 1) == 1 and node not in view.loops | view.each
    is_read = ask.reads in READ_OFF and not ask.question and ask.schema_json is not None
    return once and is_read and ask.after is None


@lru_cache(maxsize=256)
def _fields(schema_json: str | None) -> frozenset[str]:
    return frozenset(json.loads(schema_json or "{}").get("properties", ()))
