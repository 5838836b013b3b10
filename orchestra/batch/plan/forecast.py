"""Predicts what rows cost and take along a route, with 95% intervals, from a sample.

A ratio estimator: each row is priced exactly from what it has, and the sample tells how actual
calls compare with that price, for each kind of row and node. A call with the same text or photo
as an earlier one is found in the book, and counts once.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal

from orchestra.batch.plan.kinds import RowShape, TableShape
from orchestra.batch.plan.sample import Sample, SampledCall, SampledRow
from orchestra.batch.plan.worth import shrunk
from orchestra.core.stats import Estimate, Stratum, pace_of, spread_of, t_95
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import NodePlan
from orchestra.routing.routes import Prices, Route

LEAST_SEEN = 2  # calls of a kind by which it is judged by itself
ROUNDING = 0.25  # square micro-dollars: prices are rounded up, which hides half of one
DRIFT = 0.05  # of the spend: under a cap routes change as rows end (seen: up to 3.3%)
START_S = 1.0  # at most, for what comes once a batch: no wave of the sample has it
LEAST_PACE_ERROR = 0.05  # waves of a second do not see how a machine's load changes

Key = tuple[str, ...]


@dataclass(slots=True)
class _Ratio:
    """Sums of what was seen of some calls, and of what was expected of them."""

    calls: int = 0
    seen: float = 0.0
    expected: float = 0.0

    def add(self, seen: float, expected: float) -> None:
        """One more call."""
        self.calls += 1
        self.seen += seen
        self.expected += expected


Ratios = dict[Key, _Ratio]


@dataclass(slots=True)
class Rates:
    """How actual calls compare with their expected price and time."""

    view: GraphView
    _costs: Ratios = field(default_factory=lambda: defaultdict(_Ratio))
    _works: Ratios = field(default_factory=lambda: defaultdict(_Ratio))
    _asked: dict[Key, list[float]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, view: GraphView, rows: Iterable[SampledRow]) -> Rates:
        """Learn from the rows of a sample."""
        rates = cls(view)
        for row in rows:
            for call in row.calls:
                if call.is_conditional:
                    for key in rates._share_keys(row.kind, row.route, call.node):
                        rates._asked[key].append(float(call.made))
                if not call.made:
                    continue
                for key in rates._keys(row.kind, row.route, call.node, call.model):
                    rates._costs[key].add(call.cost_micro, call.expected_micro)
                    if not call.reused:
                        rates._works[key].add(call.work_s, call.expected_s)
        return rates

    def cost(self, kind: str, route: Route, node: NodePlan) -> float:
        """Micro-dollars of a call that is made."""
        made = node.expected_micro / (node.share or 1.0)
        return self._rated(self._costs, kind, route, node, made)

    def work(self, kind: str, route: Route, node: NodePlan) -> float:
        """Seconds of work of a call that is made."""
        made = node.latency_ms / (node.share or 1.0)
        return self._rated(self._works, kind, route, node, made / 1000)

    def _rated(
        self, ratios: Ratios, kind: str, route: Route, node: NodePlan, expected: float
    ) -> float:
        """What is expected, put right by the nearest calls of which enough were seen."""
        for key in self._keys(kind, route, node.node, node.models):
            ratio = ratios.get(key)
            if ratio is not None and ratio.calls >= LEAST_SEEN and ratio.expected > 0:
                return expected * ratio.seen / ratio.expected
        return float(expected)

    def share(self, kind: str, route: Route, node: str, planned: float | None = None) -> float:
        """How often a call that has a condition is made: as `planned`, else always, as far as no
        sample tells."""
        own, pooled = (self._asked.get(key) for key in self._share_keys(kind, route, node))
        return shrunk(own or (), pooled) if pooled else planned or 1.0

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
class Forecast:
    """What rows come to. Of `idle` rows all replies are there already."""

    idle: float = 0.0
    cost_micro: float = 0.0
    work_s: float = 0.0
    by_model: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    calls: dict[str, float] = field(default_factory=lambda: defaultdict(int))


RouteOf = Callable[[int, str], Route | None]  # of an ordinal and its kind
Counts = Mapping[tuple[str, str], int]  # rows to come by kind and route


class Forecaster:
    """Predicts what rows of `table` come to, by what those of `sample` did."""

    def __init__(self, table: TableShape, prices: Prices, sample: Sample) -> None:
        self.table = table
        self.prices = prices
        self.sample = sample
        self.rates = Rates.of(prices.view, sample.rows)
        # Mean pace of calls, the relative error of the next one's, and degrees of freedom.
        self.pace = pace_of(sample.paces) if sample.paces else (1.0, math.inf, 1)

    def forecast(
        self, route_of: RouteOf, paid: Iterable[tuple[int, Route]] = (), *, merges: bool = False
    ) -> Forecast:
        """What all rows come to, each along its route.

        `paid` are rows, by ordinal, whose calls along a route are in the book already. Texts and
        photos may come to the same facts, and what is written from them is then called for once:
        with `merges` as often as can be, else as seldom.
        """
        forecast, known = Forecast(), dict[Key, float]()
        for ordinal, route in paid:
            shape = self.table.shape(ordinal)
            nodes = self.prices.of(route, shape.job)
            for node, key in zip(nodes, self._keys(nodes, route, shape, merges), strict=True):
                if node.condition is None:
                    known[key] = 1.0
        for ordinal, shape in enumerate(self.table, start=1):
            kind = self.table.kinds.of(shape)
            route = route_of(ordinal, kind)
            if route is not None:
                self._add(forecast, known, kind, route, shape, merges)
        return forecast

    def typical(self, kind: str, route: Route, ordinals: Sequence[int]) -> tuple[float, float]:
        """Mean cost in micro-dollars and work in seconds of such rows, repeats counted once."""
        forecast, known = Forecast(), dict[Key, float]()
        for ordinal in ordinals:
            self._add(forecast, known, kind, route, self.table.shape(ordinal))
        return forecast.cost_micro / len(ordinals), forecast.work_s / len(ordinals)

    def at_most(self, route_of: RouteOf) -> int:
        """Micro-dollars that the rows cost at most: every call at its ceiling, none found."""
        return sum(
            self.ceiling(route, shape)
            for ordinal, shape in enumerate(self.table, start=1)
            if (route := route_of(ordinal, self.table.kinds.of(shape))) is not None
        )

    def ceiling(self, route: Route, shape: RowShape) -> int:
        """Micro-dollars that a row costs at most."""
        return sum(node.cost_micro for node in self.prices.of(route, shape.job))

    def spend(
        self, forecast: Forecast, merged: Forecast, rows: Counts, room_micro: float | None
    ) -> Estimate:
        """Micro-dollars still to be spent: no more than a budget's room, if there is one.

        `merged` is the forecast where as many calls merge as can.
        """
        spread, freedom = spread_of(self.residuals(rows, "cost"), ROUNDING)
        half = t_95(freedom) * spread if math.isfinite(spread) else forecast.cost_micro
        if room_micro is not None:
            half = math.hypot(half, DRIFT * forecast.cost_micro)
        most = math.inf if room_micro is None else max(0.0, room_micro)
        low, high = merged.cost_micro, forecast.cost_micro
        return Estimate(
            low=max(0.0, low - half),
            value=min(most, (low + high) / 2),
            high=min(most, high + half),
        )

    def seconds(self, forecast: Forecast, rows: Counts) -> Estimate | None:
        """Seconds on one host: the calls' work at the sample's pace, and rows without calls."""
        if not self.sample.paces:
            return None
        pace, error, freedom = self.pace
        spread, _ = spread_of(self.residuals(rows, "work"))
        off = spread / forecast.work_s if forecast.work_s and math.isfinite(spread) else 0.0
        idle_s = fmean(self.sample.row_s) * forecast.idle if self.sample.row_s else 0.0
        value = max(forecast.work_s * pace + idle_s, self._rate_limited_s(forecast))
        uneven = max(LEAST_PACE_ERROR, error)
        half = t_95(freedom) * (math.hypot(off, uneven) if math.isfinite(uneven) else 1.0)
        return Estimate(low=value / (1 + half), value=value, high=value * (1 + half) + START_S)

    def residuals(self, rows: Counts, what: Literal["cost", "work"]) -> list[Stratum]:
        """How sampled rows differ from their prediction, by kind and route, for the rows to come.

        Of a row whose replies were there already nothing is known of work.
        """
        found: dict[tuple[str, str], list[float]] = defaultdict(list)
        least: dict[tuple[str, str], float] = defaultdict(float)
        for row in self.sample.rows:
            off, key = 0.0, (row.kind, row.route.name)
            for call in row.calls:
                off += self._off(row, call, what)
                if call.is_conditional:
                    doubt = self.rates.doubt(row.kind, row.route, call.node)
                    least[key] = max(least[key], doubt * self._rate(row, call, what) ** 2)
            if what == "cost" or any(not call.reused or call.is_conditional for call in row.calls):
                found[key].append(off)
        return [
            Stratum(found.get(key, ()), count, least[key]) for key, count in rows.items() if count
        ]

    def _off(self, row: SampledRow, call: SampledCall, what: str) -> float:
        """How a call differs from its prediction; one that may be spared by whether it was made."""
        rate = self._rate(row, call, what)
        if call.is_conditional:
            return (call.made - self.rates.share(row.kind, row.route, call.node)) * rate
        if what == "cost":
            return call.cost_micro - rate
        return 0.0 if call.reused else call.work_s - rate

    def _rate(self, row: SampledRow, call: SampledCall, what: str) -> float:
        """What a call of this node comes to if it is made."""
        micro, ms = round(call.expected_micro), call.expected_s * 1000
        node = NodePlan(call.node, call.model, ms, micro, micro, 0.0, 0)
        predict = self.rates.cost if what == "cost" else self.rates.work
        return predict(row.kind, row.route, node)

    def _rate_limited_s(self, forecast: Forecast) -> float:
        """Seconds that limits of calls a minute make of it."""
        return max(
            (
                60 * forecast.calls[card.name] / card.limits.requests_per_minute
                for card in self.prices.fleet.models
                if card.limits.requests_per_minute is not None
            ),
            default=0.0,
        )

    def _add(
        self,
        forecast: Forecast,
        known: dict[Key, float],
        kind: str,
        route: Route,
        shape: RowShape,
        merges: bool = False,
    ) -> None:
        """Count a row in. `known` is how likely each call has been made for an earlier one."""
        idle = 1.0
        nodes = self.prices.of(route, shape.job)
        keys = self._keys(nodes, route, shape, merges)
        for node, key in zip(nodes, keys, strict=True):
            there = known.get(key, 0.0)
            share = 1.0
            if node.condition is not None:
                share = self.rates.share(kind, route, node.node, node.share)
            new = share * (1 - there)
            if not new:
                continue
            known[key] = there + new
            work = new * self.rates.work(kind, route, node)
            forecast.cost_micro += new * self.rates.cost(kind, route, node)
            forecast.work_s += work
            forecast.by_model[node.model] += work
            forecast.calls[node.model] += new * node.visits
            idle *= 1 - new
        forecast.idle += idle

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
