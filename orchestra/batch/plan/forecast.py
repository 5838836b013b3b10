"""Predicts what rows cost and take along a route, from a sample; it knows no model and no book.

A ratio estimator: each row is priced exactly from what it has, and the sample tells how actual
calls compare with that price, for each kind of row and node. A call with the same text or photo
as an earlier one is found in the book, and counts once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestra.batch.plan.kinds import RowShape, Scan
from orchestra.batch.plan.sample import CallSeen, RowSeen
from orchestra.batch.plan.worth import shrunk
from orchestra.core.stats import Stratum
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import NodePlan
from orchestra.routing.prices import Prices
from orchestra.routing.routes import Route

LEAST_SEEN = 2  # calls of a kind by which it is judged by itself

Key = tuple[str, ...]


@dataclass(slots=True)
class _Ratio:
    """Sums of what was seen and expected."""

    calls: int = 0
    cost: float = 0.0
    expected: float = 0.0
    worked: int = 0
    work: float = 0.0
    expected_work: float = 0.0


@dataclass(slots=True)
class Rates:
    """How actual calls compare with their expected price and time."""

    view: GraphView
    _known: dict[Key, _Ratio] = field(default_factory=dict)
    _asked: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, view: GraphView, seen: Iterable[RowSeen]) -> Rates:
        """Learn from the rows of a sample."""
        rates = cls(view)
        for row in seen:
            for call in row.calls:
                if call.is_conditional:
                    for key in rates._share_keys(row.kind, row.route, call.node):
                        rates._asked[key].append(float(call.made))
                if not call.made:
                    continue
                for key in rates._keys(row.kind, row.route, call.node, call.model):
                    ratio = rates._known.setdefault(key, _Ratio())
                    ratio.calls += 1
                    ratio.cost += call.cost_micro
                    ratio.expected += call.expected_micro
                    if not call.reused:
                        ratio.worked += 1
                        ratio.work += call.work_s
                        ratio.expected_work += call.expected_s
        return rates

    def cost(self, kind: str, route: Route, node: NodePlan) -> float:
        """Micro-dollars of a call that is made."""
        for key in self._keys(kind, route, node.node, node.models):
            ratio = self._known.get(key)
            if ratio is not None and ratio.calls >= LEAST_SEEN and ratio.expected > 0:
                return node.expected_micro * ratio.cost / ratio.expected
        return float(node.expected_micro)

    def work(self, kind: str, route: Route, node: NodePlan) -> float:
        """Seconds of work of a call that is made."""
        for key in self._keys(kind, route, node.node, node.models):
            ratio = self._known.get(key)
            if ratio is not None and ratio.worked >= LEAST_SEEN and ratio.expected_work > 0:
                return node.latency_ms / 1000 * ratio.work / ratio.expected_work
        return node.latency_ms / 1000

    def share(self, kind: str, route: Route, node: str) -> float:
        """How often a call that has a condition is made: always, as far as no sample tells."""
        own, pooled = (self._asked.get(key) for key in self._share_keys(kind, route, node))
        return shrunk(own or (), pooled) if pooled else 1.0

    def doubt(self, kind: str, route: Route, node: str) -> float:
        """Least variance of whether a call is made, with half a row that has it and half a row
        that has not added, so that a few rows alike are not certain."""
        own = self._asked.get(self._share_keys(kind, route, node)[0], ())
        likely = (sum(own) + 0.5) / (len(own) + 1)
        return likely * (1 - likely)

    def _share_keys(self, kind: str, route: Route, node: str) -> tuple[Key, Key]:
        """One kind's rows along a route, and all rows that have the same inputs."""
        return (kind, route.name, node), ("like", kind.partition(",")[0], route.name, node)

    def _keys(self, kind: str, route: Route, node: str, model: str) -> tuple[Key, ...]:
        """Where a call is looked up, the nearest first; what is made of facts goes by its route."""
        own = (kind, node, model)
        if self.view.asks[node].reads == "facts":
            return ((*own, route.name), own, (node, model))
        return (own, (node, model))


@dataclass(slots=True)
class Load:
    """What a part of a table comes to."""

    merges: bool = False
    rows: int = 0
    idle: float = 0.0  # rows all of whose replies are there already
    cost_micro: float = 0.0
    work_s: float = 0.0
    by_model: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: dict[str, float] = field(default_factory=lambda: defaultdict(int))


RouteOf = Callable[[int, str], Route | None]  # of an ordinal and its kind


class Forecaster:
    """Predicts a table's load. `paid` are keys of calls that are in the book already."""

    def __init__(self, scan: Scan, prices: Prices, rates: Rates) -> None:
        self.scan = scan
        self.prices = prices
        self.rates = rates

    def load(
        self, route_of: RouteOf, paid: Iterable[tuple[int, Route]] = (), *, merges: bool = False
    ) -> Load:
        """The load of all rows, each along its route.

        `paid` are rows, by ordinal, whose calls along a route are in the book already. Texts and
        photos may come to the same facts, and what is written from them is then called for once:
        with `merges` as often as can be, else as seldom.
        """
        load, known = Load(merges=merges), dict[Key, float]()
        for ordinal, route in paid:
            shape = self.scan.shape(ordinal)
            nodes = self.prices.of(route, shape.job)
            for node, key in zip(nodes, self._keys(nodes, route, shape, merges), strict=True):
                if node.condition is None:
                    known[key] = 1.0
        for ordinal, shape in enumerate(self.scan, start=1):
            kind = self.scan.kinds.of(shape)
            route = route_of(ordinal, kind)
            if route is not None:
                self._add(load, known, kind, route, shape)
        return load

    def typical(self, kind: str, route: Route, ordinals: Sequence[int]) -> tuple[float, float]:
        """Mean cost in micro-dollars and work in seconds of such rows, repeats counted once."""
        load, known = Load(), dict[Key, float]()
        for ordinal in ordinals:
            self._add(load, known, kind, route, self.scan.shape(ordinal))
        return load.cost_micro / len(ordinals), load.work_s / len(ordinals)

    def at_most(self, route_of: RouteOf) -> int:
        """Micro-dollars that the rows cost at most: every call at its ceiling, none found."""
        total = 0
        for ordinal, shape in enumerate(self.scan, start=1):
            route = route_of(ordinal, self.scan.kinds.of(shape))
            if route is not None:
                total += self.ceiling(route, shape)
        return total

    def ceiling(self, route: Route, shape: RowShape) -> int:
        """Micro-dollars that a row costs at most."""
        return sum(node.cost_micro for node in self.prices.of(route, shape.job))

    def _add(
        self, load: Load, known: dict[Key, float], kind: str, route: Route, shape: RowShape
    ) -> None:
        """Count a row in. `known` is how likely each call has been made for an earlier one."""
        load.rows += 1
        idle = 1.0
        nodes = self.prices.of(route, shape.job)
        keys = self._keys(nodes, route, shape, load.merges)
        for node, key in zip(nodes, keys, strict=True):
            there = known.get(key, 0.0)
            share = 1.0 if node.condition is None else self.rates.share(kind, route, node.node)
            new = share * (1 - there)
            if not new:
                continue
            known[key] = there + new
            work = new * self.rates.work(kind, route, node)
            load.cost_micro += new * self.rates.cost(kind, route, node)
            load.work_s += work
            load.by_model[node.model] += work
            load.calls[node.model] += new * node.visits
            idle *= 1 - new
        load.idle += idle

    def _keys(
        self, nodes: Sequence[NodePlan], route: Route, shape: RowShape, merges: bool
    ) -> list[Key]:
        """What tells a call from others: its model, and the inputs it depends on."""
        reads = {self.prices.view.asks[node.node].reads for node in nodes}
        text, photo = str(shape.text_key), str(shape.photo_key)
        keys: list[Key] = []
        for node in nodes:
            ask = self.prices.view.asks[node.node]
            if ask.reads == "facts":
                parts = [key for key, read in ((text, "text"), (photo, "image")) if read in reads]
                used = (route.name, *(parts[:1] if merges else parts))
            elif ask.reads == "image":
                used = (photo, text) if ask.question else (photo,)
            else:
                used = (text,)
            keys.append((node.node, node.models, *used))
        return keys


def residuals(
    seen: Iterable[RowSeen], rates: Rates, rows: Mapping[tuple[str, str], int], what: str
) -> list[Stratum]:
    """How sampled rows differ from their prediction, by kind and route, for the rows to come.

    `what` is "cost" or "work"; of a row whose replies were there already nothing is known of work.
    """
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    least: dict[tuple[str, str], float] = defaultdict(float)
    for row in seen:
        off = 0.0
        for call in row.calls:
            off += _off(rates, row, call, what)
            if call.is_conditional:
                doubt = rates.doubt(row.kind, row.route, call.node)
                least[row.kind, row.route.name] = max(
                    least[row.kind, row.route.name], doubt * _rate(rates, row, call, what) ** 2
                )
        if what == "cost" or any(not call.reused or call.is_conditional for call in row.calls):
            found[row.kind, row.route.name].append(off)
    return [Stratum(found.get(key, ()), count, least[key]) for key, count in rows.items() if count]


def _off(rates: Rates, row: RowSeen, call: CallSeen, what: str) -> float:
    """How a call differs from its prediction; one that may be spared, by whether it was made."""
    rate = _rate(rates, row, call, what)
    if call.is_conditional:
        return (call.made - rates.share(row.kind, row.route, call.node)) * rate
    if what == "cost":
        return call.cost_micro - rate
    return 0.0 if call.reused else call.work_s - rate


def _rate(rates: Rates, row: RowSeen, call: CallSeen, what: str) -> float:
    """What a call of this node comes to if it is made."""
    micro, ms = round(call.expected_micro), call.expected_s * 1000
    node = NodePlan(call.node, call.model, ms, micro, micro, 0.0, 0)
    predict = rates.cost if what == "cost" else rates.work
    return predict(row.kind, row.route, node)


def spread_over(shares: Mapping[str, Sequence[tuple[Route | None, int]]]) -> RouteOf:
    """A rule that gives each kind's rows their routes in these numbers, evenly over the table."""
    counts = {kind: [0] * len(ways) for kind, ways in shares.items()}
    passed: dict[str, int] = defaultdict(int)

    def route_of(ordinal: int, kind: str) -> Route | None:
        ways = shares.get(kind)
        if not ways:
            return None
        passed[kind] += 1
        place = most_behind(counts[kind], [rows for _, rows in ways], passed[kind])
        counts[kind][place] += 1
        return ways[place][0]

    return route_of


def most_behind(given: Sequence[int], wanted: Sequence[int], passed: int) -> int:
    """Which of several shares is furthest from its part after `passed` rows."""
    total = sum(wanted) or 1
    behind = [passed * want / total - have for have, want in zip(given, wanted, strict=True)]
    return max(range(len(behind)), key=behind.__getitem__)
