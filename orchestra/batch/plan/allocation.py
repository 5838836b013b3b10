"""Spends a cap where it helps most: the allocation of a plan, and the one of a batch that runs.

The multiple-choice knapsack's linear relaxation (Sinha and Zoltners 1979): each group of like rows
has ways of serving one, of which those on the upper concave hull of worth over cost can be best;
steps along the hulls are taken in the order of worth gained for a dollar, so at most one row is
not where the exact optimum has it. Pure; it knows no model and no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from orchestra.batch.plan.batch_plan import BatchPlan, KindPlan
from orchestra.batch.plan.kinds import TableShape
from orchestra.core.money import MICRO_PER_USD
from orchestra.routing.routes import Route

TIME_PRICES = (0.0, 0.25, 1.0, 4.0, 16.0, 1e6)  # of the whole time, in whole budgets
NEGLIGIBLE = 1e-12
RETUNE_ROWS = 32
PRIOR_ROWS = 50  # as many rows of the plan's own prices stand beside what rows really cost


@dataclass(frozen=True, slots=True)
class Way:
    """One way of serving a row of a group: what it costs, takes, and is worth (0 to 1)."""

    name: str
    cost_micro: float
    worth: float
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are alike, and the ways of serving one of them."""

    name: str
    rows: int
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Allocation:
    """Rows by group and way; `left` are those of each group that are not served."""

    served: dict[str, dict[str, int]]
    left: dict[str, int]
    cost_micro: float
    seconds: float
    worth: float


@dataclass(slots=True)
class _Step:
    """Moving rows of a group from one hull point to the next."""

    group: Group
    level: int
    gain: float
    price: float
    cost: float
    seconds: float


@dataclass(slots=True)
class _Filling:
    """An allocation in the making: rows of each group at each level, and what is left."""

    cost: float
    seconds: float
    levels: dict[str, list[int]] = field(default_factory=dict)

    def take(self, step: _Step) -> None:
        """Move as many rows as there is money and time for."""
        levels = self.levels[step.group.name]
        rows = levels[step.level - 1]
        for left, need in ((self.cost, step.cost), (self.seconds, step.seconds)):
            if need > 0 and left < rows * need:
                rows = max(0, int(left / need + NEGLIGIBLE))
        levels[step.level - 1] -= rows
        levels[step.level] += rows
        self.cost -= rows * step.cost
        self.seconds -= rows * step.seconds


def hull(ways: Sequence[Way], time_price: float = 0.0) -> list[Way]:
    """The ways on the upper concave hull of worth over cost, cheapest first.

    The hull starts at no cost and no worth. `time_price` is what a second costs beside.
    """

    def price(way: Way) -> float:
        return way.cost_micro + time_price * way.seconds

    kept: list[tuple[float, float, Way | None]] = [(0.0, 0.0, None)]
    for way in sorted(ways, key=lambda way: (price(way), -way.worth, way.name)):
        x, y = price(way), way.worth
        if y <= kept[-1][1]:
            continue  # one that is no dearer is worth as much
        while len(kept) > 1 and _slope(kept[-2], x, y) >= _slope(kept[-2], *kept[-1][:2]):
            kept.pop()
        kept.append((x, y, way))
    return [way for _, _, way in kept if way is not None]


def _slope(start: tuple[float, float, Way | None], x: float, y: float) -> float:
    run = x - start[0]
    return (y - start[1]) / run if run > 0 else float("inf")


def allocate(
    groups: Sequence[Group], budget_micro: float, limit_s: float | None = None
) -> Allocation:
    """The allocation of most worth that costs `budget_micro` and takes `limit_s` at most.

    With a limit of time several prices of a second are tried and the best result is taken.
    """
    if limit_s is None:
        return _filled(groups, budget_micro, float("inf"), 0.0)
    exchange = budget_micro / limit_s if limit_s > 0 else 0.0
    tried = [_filled(groups, budget_micro, limit_s, price * exchange) for price in TIME_PRICES]
    return max(tried, key=lambda one: (one.worth, -one.cost_micro))


def _filled(
    groups: Sequence[Group], budget_micro: float, limit_s: float, time_price: float
) -> Allocation:
    hulls = {group.name: hull(group.ways, time_price) for group in groups}
    filling = _Filling(budget_micro, limit_s)
    steps: list[_Step] = []
    for group in groups:
        points = [Way("", 0.0, 0.0), *hulls[group.name]]
        filling.levels[group.name] = [group.rows, *[0] * len(hulls[group.name])]
        for level, (before, after) in enumerate(pairwise(points), start=1):
            cost = after.cost_micro - before.cost_micro
            seconds = after.seconds - before.seconds
            price = cost + time_price * seconds
            steps.append(_Step(group, level, after.worth - before.worth, price, cost, seconds))
    # Within a group a stable sort keeps the order of levels, whose gains a dollar only fall.
    for step in sorted(steps, key=_by_gain):
        filling.take(step)
    return _read(groups, hulls, filling.levels)


def _by_gain(step: _Step) -> float:
    return -(step.gain / step.price) if step.price > 0 else float("-inf")


def _read(
    groups: Sequence[Group], hulls: dict[str, list[Way]], levels: dict[str, list[int]]
) -> Allocation:
    served: dict[str, dict[str, int]] = {}
    left: dict[str, int] = {}
    cost = seconds = worth = 0.0
    for group in groups:
        none, *counts = levels[group.name]
        left[group.name] = none
        pairs = list(zip(hulls[group.name], counts, strict=True))
        served[group.name] = {way.name: count for way, count in pairs if count}
        cost += sum(way.cost_micro * count for way, count in pairs)
        seconds += sum(way.seconds * count for way, count in pairs)
        worth += sum(way.worth * count for way, count in pairs)
    return Allocation(served, left, cost, seconds, worth)


Shares = dict[str, list[tuple[Route | None, int]]]  # rows of each kind by route; None is left


def shares_of(allocation: Allocation) -> Shares:
    """The rows of an allocation by kind and route, those left last."""
    return {
        kind: [
            *((Route.named(name), rows) for name, rows in ways.items()),
            (None, allocation.left[kind]),
        ]
        for kind, ways in allocation.served.items()
    }


@dataclass(slots=True)
class Turns:
    """Gives a kind's rows their routes in these numbers, evenly over the table."""

    share: Sequence[tuple[Route | None, int]]
    _given: list[int] = field(default_factory=list)

    def next(self) -> Route | None:
        """The route that is furthest behind its part of the rows that had a turn."""
        if not self._given:
            self._given = [0] * len(self.share)
        total, passed = sum(rows for _, rows in self.share) or 1, sum(self._given) + 1
        behind = [
            passed * rows / total - given
            for (_, rows), given in zip(self.share, self._given, strict=True)
        ]
        place = max(range(len(behind)), key=behind.__getitem__)
        self._given[place] += 1
        return self.share[place][0]


class Allotment:
    """Gives each row of a running batch its route, within `cap_micro`: `table` has them all.

    It follows the plan's ways and their prices, and allocates again as rows end: what calls really
    cost corrects the rest. The ledger holds the cap whatever is decided here.
    """

    def __init__(self, plan: BatchPlan, table: TableShape, cap_micro: int) -> None:
        table.kinds = plan.edges
        self._plan = plan
        self._table = table
        self._cap = cap_micro
        self._kinds = {kind.name: kind for kind in plan.kinds}
        self._prices = {
            (kind.name, way.route): way.cost_usd * MICRO_PER_USD
            for kind in plan.kinds
            for way in kind.ways
        }
        self._sampled = set(plan.sampled)
        self._first = _correction(plan)
        self._started: int | None = None
        self._expected_done = 0.0
        self._under_way: dict[int, float] = {}
        self.renew()

    def renew(self) -> None:
        """Begin with the rows that are not finished, as those left may find room now."""
        self._waiting = Counter(
            kind
            for kind, ordinals in self._table.by_kind().items()
            for ordinal in ordinals
            if ordinal not in self._sampled and kind in self._kinds
        )
        self._turns: dict[str, Turns] = {}
        self._since = RETUNE_ROWS
        self.left = self.served = 0

    def choose(self, ordinal: int, spent_micro: int) -> list[Route | None]:
        """Routes for a row in the order they are tried; None is the planner's own, and no route
        at all is over budget. `spent_micro` is what the batch has spent by now."""
        if self._started is None:
            self._started = spent_micro
        kind = self._table.kinds.of(self._table.shape(ordinal))
        known = self._kinds.get(kind)
        if known is None:
            return [None]  # nothing to be called for, or unlike all that was planned
        if ordinal in self._sampled:
            self._under_way[ordinal] = 0.0  # its calls are in the book
            return [*_from(known, known.ways[0].route)]
        self._since += 1
        if self._since >= RETUNE_ROWS:
            self._since = 0
            self._retune(spent_micro)
        self._waiting[kind] -= 1
        route = self._turns[kind].next()
        if route is None:
            return []
        self._under_way[ordinal] = self._prices[kind, route.name]
        return [*_from(known, route.name)]

    def ended(self, ordinal: int, is_finished: bool) -> None:
        """A row that was given routes is over; one that did not finish may be chosen for again."""
        cost = self._under_way.pop(ordinal, 0.0)
        if is_finished:
            self._expected_done += cost
            self._table.finished.add(ordinal)
            self.served += 1
        else:
            self.left += 1

    def _retune(self, spent_micro: int) -> None:
        """Allocate what is left over the rows that wait."""
        factor = self._factor(spent_micro)
        open_micro = sum(self._under_way.values()) * factor
        reserve = self._plan.reserve_usd * MICRO_PER_USD
        left = max(0.0, self._cap - spent_micro - open_micro - reserve)
        groups = [self._group(name, rows, factor) for name, rows in self._waiting.items()]
        if sum(group.rows * group.ways[0].cost_micro for group in groups) <= left:
            shares: Shares = {g.name: [(Route.named(g.ways[0].name), g.rows)] for g in groups}
        else:
            shares = shares_of(allocate(groups, left))
        self._turns = {kind: Turns(share) for kind, share in shares.items()}

    def _group(self, name: str, rows: int, factor: float) -> Group:
        ways = tuple(
            Way(way.route, self._prices[name, way.route] * factor, way.worth, way.seconds)
            for way in self._kinds[name].ways
        )
        return Group(name, rows, ways)

    def _factor(self, spent_micro: int) -> float:
        """What rows cost beside the plan's price of a row: repeated calls cost nothing."""
        spent = spent_micro - (self._started or 0)
        prior = PRIOR_ROWS * sum(self._prices.values()) / max(1, len(self._prices))
        if prior <= 0:
            return 1.0
        return (spent + prior * self._first) / (self._expected_done + prior)


def _from(kind: KindPlan, route: str) -> list[Route]:
    """The route, then those of the kind that are cheaper, the dearest of them first."""
    price = next(way.cost_usd for way in kind.ways if way.route == route)
    cheaper = sorted(
        (way for way in kind.ways if way.cost_usd < price), key=lambda way: -way.cost_usd
    )
    return [Route.named(route), *(Route.named(way.route) for way in cheaper)]


def _correction(plan: BatchPlan) -> float:
    """The plan's own forecast beside the sum of its rows' prices."""
    summed = sum(
        (way.rows - (kind.sampled if place == 0 else 0)) * way.cost_usd
        for kind in plan.kinds
        for place, way in enumerate(kind.ways)
    )
    return (plan.expected_usd - plan.spent_usd) / summed if summed > 0 else 1.0
