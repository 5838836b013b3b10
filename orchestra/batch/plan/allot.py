"""Gives each row of a running batch its route, so that a budget lasts and is spent where it helps.

It follows a plan's ways and their prices, and allocates again as rows end: what calls really cost
corrects the rest. It knows no ledger, which holds the cap whatever is decided here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from orchestra.batch.plan.allocation import Group, Way, allocate
from orchestra.batch.plan.batch_plan import BatchPlan, KindPlan
from orchestra.batch.plan.forecast import most_behind
from orchestra.batch.plan.kinds import Scan
from orchestra.core.money import MICRO_PER_USD
from orchestra.routing.routes import Route

RETUNE_ROWS = 32
PRIOR_ROWS = 50  # as many rows of the plan's own prices stand beside what rows really cost


class Allotment:
    """Routes for the rows of `scan` that are not finished, within `cap_micro`."""

    def __init__(self, plan: BatchPlan, scan: Scan, cap_micro: int) -> None:
        scan.kinds = plan.edges
        self._plan = plan
        self._scan = scan
        self._cap = cap_micro
        self._kinds = {kind.name: kind for kind in plan.kinds}
        self._ways = {
            (kind.name, way.route): Way(
                way.route, way.cost_usd * MICRO_PER_USD, way.worth, way.seconds
            )
            for kind in plan.kinds
            for way in kind.ways
        }
        self._sampled = set(plan.sampled)
        self._first = _correction(plan)
        self._started: int | None = None
        self._expected_done = 0.0
        self._under_way: dict[int, float] = {}
        self.left = 0
        self.served = 0
        self.renew()

    def renew(self) -> None:
        """Begin with the rows that are not finished, as those left may find room now."""
        self._waiting = Counter(
            kind
            for kind, ordinals in self._scan.by_kind().items()
            for ordinal in ordinals
            if ordinal not in self._sampled and kind in self._kinds
        )
        self._wanted: dict[str, list[tuple[Route | None, int]]] = {}
        self._given: dict[str, list[int]] = {}
        self._passed: Counter[str] = Counter()
        self._since = RETUNE_ROWS
        self.left = self.served = 0

    def choose(self, ordinal: int, spent_micro: int) -> list[Route | None]:
        """Routes for a row in the order they are tried; None is the planner's own, and no route
        at all is over budget. `spent_micro` is what the batch has spent by now."""
        if self._started is None:
            self._started = spent_micro
        kind = self._scan.kinds.of(self._scan.shape(ordinal))
        known = self._kinds.get(kind)
        if known is None:
            return [None]  # nothing to be called for, or unlike all that was planned
        if ordinal in self._sampled:
            self._under_way[ordinal] = 0.0  # its calls are in the book
            return [*_from(known, known.ways[0].route)]
        self._retune(spent_micro)
        self._waiting[kind] -= 1
        self._passed[kind] += 1
        place = most_behind(
            self._given[kind], [rows for _, rows in self._wanted[kind]], self._passed[kind]
        )
        self._given[kind][place] += 1
        route = self._wanted[kind][place][0]
        if route is None:
            return []
        self._under_way[ordinal] = self._ways[kind, route.name].cost_micro
        return [*_from(known, route.name)]

    def ended(self, ordinal: int, is_finished: bool) -> None:
        """A row that was given routes is over; one that did not finish may be chosen for again."""
        cost = self._under_way.pop(ordinal, 0.0)
        if is_finished:
            self._expected_done += cost
            self._scan.finished.add(ordinal)
            self.served += 1
        else:
            self.left += 1

    def _retune(self, spent_micro: int) -> None:
        """Allocate what is left over the rows that wait, every few rows."""
        self._since += 1
        if self._since < RETUNE_ROWS:
            return
        self._since = 0
        factor = self._factor(spent_micro)
        open_micro = sum(self._under_way.values()) * factor
        reserve = self._plan.reserve_usd * MICRO_PER_USD
        left = max(0.0, self._cap - spent_micro - open_micro - reserve)
        groups = [self._group(name, rows, factor) for name, rows in self._waiting.items()]
        if self._fits_in_full(groups, left):
            made = {g.name: {self._kinds[g.name].ways[0].route: g.rows} for g in groups}
            over = dict.fromkeys(made, 0)
        else:
            allocation = allocate(groups, left)
            made, over = allocation.served, allocation.left
        for group in groups:
            ways: list[tuple[Route | None, int]] = [
                (Route.named(name), rows) for name, rows in made[group.name].items()
            ]
            self._wanted[group.name] = [*ways, (None, over[group.name])]
            self._given[group.name] = [0] * len(self._wanted[group.name])
            self._passed[group.name] = 0

    def _group(self, name: str, rows: int, factor: float) -> Group:
        ways = tuple(
            Way(way.name, way.cost_micro * factor, way.worth, way.seconds)
            for way in (self._ways[name, plan.route] for plan in self._kinds[name].ways)
        )
        return Group(name, rows, ways)

    def _fits_in_full(self, groups: Sequence[Group], left: float) -> bool:
        return sum(group.rows * group.ways[0].cost_micro for group in groups) <= left

    def _factor(self, spent_micro: int) -> float:
        """What rows cost beside the plan's price of a row: repeated calls cost nothing."""
        spent = spent_micro - (self._started or 0)
        prices = [way.cost_micro for way in self._ways.values()]
        prior = PRIOR_ROWS * sum(prices) / max(1, len(prices))
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
