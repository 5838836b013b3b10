"""Spends a cap where it helps most: which rows of each group are served, and in which way.

The multiple-choice knapsack's linear relaxation (Sinha and Zoltners 1979): each group of like rows
has ways of serving one, of which those on the upper concave hull of worth over cost can be best;
steps along the hulls are taken in the order of worth gained for a dollar, so at most one row is
not where the exact optimum has it. Pure; it knows no row, no model and no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

TIME_PRICES = (0.0, 0.25, 1.0, 4.0, 16.0, 1e6)  # of the whole time, in whole budgets
NEGLIGIBLE = 1e-12


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
    return max(tried, key=lambda made: (made.worth, -made.cost_micro))


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
