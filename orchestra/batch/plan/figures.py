"""The figures of a batch's plan, each with its 95% interval: spend, time, hosts, quality. Pure."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import fmean

from orchestra.batch.plan.draft import Draft, Shares, counts_of, shares_of
from orchestra.batch.plan.forecast import Load, residuals
from orchestra.core.money import MICRO_PER_USD
from orchestra.core.stats import Estimate, Right, share_of, spread_of, t_95
from orchestra.routing.allocate import Group, Way, allocate
from orchestra.routing.routes import Route

RESAMPLES = 200
ROUNDING = 0.25  # square micro-dollars: prices are rounded up, which hides half of one
DRIFT = 0.05  # of the spend: under a cap routes change as rows end (seen: up to 3.3%)
START_S = 1.0  # at most, for what comes once a batch: no wave of the sample has it
LEAST_PACE_ERROR = 0.05  # waves of a second do not see how a machine's load changes
Pace = tuple[float, float, int]  # mean, relative error, degrees of freedom


def cost_of(q: Draft, shares: Shares, load: Load) -> Estimate:
    """Micro-dollars still to be spent; more than the budget is not possible."""
    spread, freedom = spread_of(
        residuals(q.sample.seen, q.forecaster.rates, counts_of(shares), "cost"), ROUNDING
    )
    most = math.inf if q.cap_micro is None else max(0.0, q.cap_micro - q.spent_micro)
    half = t_95(freedom) * spread if math.isfinite(spread) else load.cost_micro
    if q.cap_micro is not None:
        half = math.hypot(half, DRIFT * load.cost_micro)
    low, high = q.load(shares, merges=True).cost_micro, load.cost_micro
    return Estimate(
        low=max(0.0, low - half),
        value=min(most, (low + high) / 2),
        high=min(most, high + half),
    )


def in_dollars(q: Draft, rest: Estimate) -> Estimate:
    """What the batch comes to with what it has spent by now."""
    return Estimate(
        low=(q.spent_micro + rest.low) / MICRO_PER_USD,
        value=(q.spent_micro + rest.value) / MICRO_PER_USD,
        high=(q.spent_micro + rest.high) / MICRO_PER_USD,
    )


def seconds_of(q: Draft, shares: Shares, load: Load, pace: Pace) -> Estimate | None:
    """Seconds on one host: the calls' work at the sample's pace, and rows without calls."""
    if not q.sample.paces:
        return None
    spread, _ = spread_of(residuals(q.sample.seen, q.forecaster.rates, counts_of(shares), "work"))
    off = spread / load.work_s if load.work_s and math.isfinite(spread) else 0.0
    idle_s = fmean(q.sample.row_s) * load.idle if q.sample.row_s else 0.0
    value = max(load.work_s * pace[0] + idle_s, _rate_limited_s(q, load))
    uneven = max(LEAST_PACE_ERROR, pace[1])
    relative = math.hypot(off, uneven) if math.isfinite(uneven) else 1.0
    half = t_95(pace[2]) * relative
    return Estimate(low=value / (1 + half), value=value, high=value * (1 + half) + START_S)


def _rate_limited_s(q: Draft, load: Load) -> float:
    """Seconds that limits of calls a minute make of it."""
    return max(
        (
            60 * load.calls[card.name] / card.limits.requests_per_minute
            for card in q.fleet.models
            if card.limits.requests_per_minute is not None
        ),
        default=0.0,
    )


def hosts_for(q: Draft, seconds: Estimate | None, deadline_s: float | None) -> int | None:
    """Hosts like this one that meet the deadline, at the slow end of the time."""
    if seconds is None or deadline_s is None:
        return None
    return max(1, math.ceil(seconds.high / deadline_s))


def replicas_for(q: Draft, load: Load, pace: Pace, seconds: Estimate | None) -> dict[str, int]:
    """Replicas of each model that do its part within the deadline, at the slow end of the time."""
    if seconds is None or q.deadline_s is None or not load.work_s:
        return {}
    share = seconds.high / load.work_s
    return {
        model: max(1, math.ceil(work * share / q.deadline_s))
        for model, work in sorted(load.by_model.items())
    }


def quality_of(
    q: Draft,
    shares: Shares,
    groups: Sequence[Group],
    left: float,
    limit_s: float | None,
    is_full: bool,
) -> Estimate | None:
    """The share of usable rows that will be right.

    Routes were chosen by the rows that judge them, which flatters them: by how much is found on
    resamples of those rows (Efron's optimism), and taken off.
    """
    judged = {kind: rights_of(q, kind, shares[kind]) for kind in q.kinds}
    total = sum(len(ordinals) for ordinals in q.kinds.values())
    made = share_of(
        [
            Right(list(judged[kind].values()), len(q.kinds[kind]) / total, len(q.kinds[kind]))
            for kind in q.kinds
        ]
    )
    if made is None or is_full:
        return made
    flattered = _optimism(q, groups, min(left, 1e15), limit_s)
    return Estimate(
        low=max(0.0, made.low - flattered),
        value=max(0.0, made.value - flattered),
        high=made.high,
    )


def rights_of(q: Draft, kind: str, share: Sequence[tuple[Route | None, int]]) -> dict[int, float]:
    """How right each judged row of the sample is, over the routes of its kind."""
    count = sum(rows for _, rows in share)
    parts = [(route, rows / count) for route, rows in share if rows] if count else []
    if not parts:  # every row of the kind is in the sample, which takes the fullest route
        parts = [(q.ways[kind][0], 1.0)]
    found: dict[int, float] = {}
    for ordinal in q.evidence.trials[kind, q.ways[kind][0].name].right:
        found[ordinal] = sum(
            part * q.evidence.trials[kind, route.name].right.get(ordinal, 0.0)
            for route, part in parts
            if route is not None
        )
    return found


def _optimism(q: Draft, groups: Sequence[Group], budget: float, limit_s: float | None) -> float:
    draw = random.Random(q.seed)
    total = sum(len(ordinals) for ordinals in q.kinds.values())
    flattery: list[float] = []
    for _ in range(RESAMPLES):
        picks = {kind: _resample(q, kind, draw) for kind in q.kinds}
        again = [
            Group(
                group.name,
                group.rows,
                tuple(
                    Way(
                        w.name,
                        w.cost_micro,
                        q.worth(group.name, Route.named(w.name), picks[group.name]),
                        w.seconds,
                    )
                    for w in group.ways
                ),
            )
            for group in groups
        ]
        shares = shares_of(allocate(again, budget, limit_s))
        gap = 0.0
        for kind in q.kinds:
            rights = rights_of(q, kind, shares[kind])
            seen = [rights[ordinal] for ordinal in picks[kind] if ordinal in rights]
            if seen:
                part = len(q.kinds[kind]) / total
                gap += part * (fmean(seen) - fmean(rights.values()))
        flattery.append(gap)
    return max(0.0, fmean(flattery))


def _resample(q: Draft, kind: str, draw: random.Random) -> list[int]:
    ordinals = list(q.evidence.trials[kind, q.ways[kind][0].name].worth)
    return draw.choices(ordinals, k=len(ordinals))
