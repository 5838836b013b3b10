"""Makes a batch's plan of what its sample says: routes by kind, and what they will come to.

Pure; it runs nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from orchestra.batch.plan.draft import Draft, Shares, counts_of, shares_of
from orchestra.batch.plan.figures import (
    Pace,
    cost_of,
    hosts_for,
    in_dollars,
    quality_of,
    replicas_for,
    rights_of,
    seconds_of,
)
from orchestra.batch.plan.forecast import Load
from orchestra.batch.plan.quote import BatchPlan, KindPlan, More, WayPlan
from orchestra.batch.plan.worth import sure_of
from orchestra.core.identity import snapshot
from orchestra.core.money import MICRO_PER_USD
from orchestra.core.stats import Estimate, pace_of, wilson
from orchestra.routing.allocate import Group, Way, allocate

HOUR_S = 3600.0
MOST_RESERVE = 0.05  # of the budget, kept so that the last rows can be reserved
ROUNDS = 6  # until what is allocated agrees with what is forecast


def quoted(q: Draft) -> BatchPlan:
    """The plan."""
    pace = pace_of(q.sample.paces) if q.sample.paces else (1.0, math.inf, 1)
    groups = [_group(q, kind, pace[0]) for kind in q.kinds]
    full: Shares = {kind: [(q.ways[kind][0], len(q.rest(kind)))] for kind in q.kinds}
    whole = q.load(full)
    whole_high = cost_of(q, full, whole).high
    reserve = _reserve(q)
    left = math.inf if q.cap_micro is None else max(0.0, q.cap_micro - q.spent_micro - reserve)
    limit_s = _limit_s(q, pace)
    is_full = whole_high <= left and (limit_s is None or whole.work_s * pace[0] <= limit_s)
    if is_full:
        shares, load = full, whole
    else:
        budget = whole_high if math.isinf(left) else left
        shares, load = _allocated(q, groups, budget, limit_s)
    spend = cost_of(q, shares, load)
    seconds = seconds_of(q, shares, load, pace)
    quality = quality_of(q, shares, groups, left, limit_s, is_full) if q.is_judged else None
    hosts = hosts_for(q, seconds, q.deadline_s)
    served = {
        kind: {r.name: n for r, n in share if r is not None} for kind, share in shares.items()
    }
    at_most = q.spent_micro + q.forecaster.at_most(q.along(shares))
    made = BatchPlan(
        table=str(q.request.table.path),
        rows=len(q.scan),
        unusable=len(q.scan) - len(q.scan.finished) - sum(map(len, q.kinds.values())),
        identity=q.request.identity,
        fleet=q.fleet.name,
        snapshot=snapshot(q.fleet),
        cost_usd=None if q.cap_micro is None else q.cap_micro / MICRO_PER_USD,
        deadline_s=q.deadline_s,
        hosts_given=q.hosts,
        seed=q.seed,
        gold=q.gold,
        fields=tuple(q.fields),
        edges=q.scan.kinds,
        kinds=tuple(_kind(q, group, served[group.name]) for group in groups),
        sampled=tuple(sorted(q.sampled)),
        is_full=is_full,
        full_usd=(q.spent_micro + whole.cost_micro) / MICRO_PER_USD,
        at_most_usd=min(at_most, q.cap_micro or at_most) / MICRO_PER_USD,
        reserve_usd=reserve / MICRO_PER_USD,
        spent_usd=q.spent_micro / MICRO_PER_USD,
        sample_usd=q.sample.spent_micro / MICRO_PER_USD,
        sample_s=q.sample.seconds,
        spend=in_dollars(q, spend) if q.sampled else None,
        seconds=seconds,
        quality=quality,
        worth=_mean_worth(q, groups, served),
        expected_usd=(q.spent_micro + load.cost_micro) / MICRO_PER_USD,
        work_s=load.work_s,
        hosts=hosts,
        replicas=replicas_for(q, load, pace, seconds),
        notes=tuple(q.notes),
    )
    return made.model_copy(
        update={
            "next_dollar": _next_dollar(q, made, groups, shares, left, limit_s),
            "next_hour": _next_hour(q, made, groups, shares, left, seconds),
        }
    )


def _group(q: Draft, kind: str, pace: float) -> Group:
    """The kind's rows that are still to be paid, and its ways."""
    rest = q.rest(kind)
    ways: list[Way] = []
    for route in q.tried(kind):
        cost, work = q.forecaster.typical(kind, route, rest or q.kinds[kind])
        ways.append(Way(route.name, cost, q.worth(kind, route), work * pace))
    return Group(kind, len(rest), tuple(ways))


def _reserve(q: Draft) -> float:
    """A row's ceiling: what has to be free for the last row to be admitted."""
    if q.cap_micro is None:
        return 0.0
    most = max(
        q.forecaster.ceiling(q.ways[kind][0], q.scan.shape(ordinals[0]))
        for kind, ordinals in q.kinds.items()
    )
    return min(most, MOST_RESERVE * q.cap_micro)


def _limit_s(q: Draft, pace: Pace) -> float | None:
    """Seconds of one host that the deadline leaves, with room for a pace slower than measured."""
    if q.deadline_s is None or q.hosts is None:
        return None
    slower = 1 + (pace[1] if math.isfinite(pace[1]) else 0.0)
    return q.deadline_s * q.hosts / slower


def _allocated(
    q: Draft, groups: Sequence[Group], budget: float, limit_s: float | None
) -> tuple[Shares, Load]:
    """An allocation whose forecast fits: repeated calls cost nothing, so it may come to less."""
    wanted, best = budget, None
    for _ in range(ROUNDS):
        made = allocate(groups, wanted, limit_s)
        shares = shares_of(made)
        load = q.load(shares)
        if load.cost_micro <= budget and (best is None or load.cost_micro >= best[1].cost_micro):
            best = (shares, load)
        if load.cost_micro <= 0 or made.cost_micro <= 0:
            break
        if load.cost_micro <= budget and wanted * budget / load.cost_micro <= wanted * 1.005:
            break
        wanted *= budget / load.cost_micro
    if best is None:
        shares = shares_of(allocate(groups, budget, limit_s))
        best = (shares, q.load(shares))
    return best


def _kind(q: Draft, group: Group, served: Mapping[str, int]) -> KindPlan:
    kind, sampled = group.name, len(q.kinds[group.name]) - group.rows
    first = q.ways[kind][0].name
    ways = tuple(
        WayPlan(
            route=way.name,
            rows=served.get(way.name, 0) + (sampled if way.name == first else 0),
            cost_usd=way.cost_micro / MICRO_PER_USD,
            seconds=way.seconds,
            worth=way.worth,
            tried=len(q.evidence.trials[kind, way.name].worth),
            right=fmean(rights) if (rights := q.evidence.rights(kind, way.name)) else None,
        )
        for way in group.ways
    )
    results = q.evidence.full.get(kind, [])
    sure = [c for result in results if (c := sure_of(result, q.fields)) is not None]
    done = sum(result.status == "complete" for result in results)
    interval = wilson(done, len(results))
    return KindPlan(
        name=kind,
        rows=len(q.kinds[kind]),
        sampled=sampled,
        left=group.rows - sum(served.values()),
        ways=ways,
        complete=interval
        and Estimate(low=interval[0], value=done / len(results), high=interval[1]),
        confidence=fmean(sure) if sure else None,
    )


def _mean_worth(
    q: Draft, groups: Sequence[Group], served: Mapping[str, Mapping[str, int]]
) -> float:
    """Mean over all usable rows; those of the sample have the fullest route's."""
    total = worth = 0.0
    for group in groups:
        by_name = {way.name: way.worth for way in group.ways}
        sampled = len(q.kinds[group.name]) - group.rows
        total += len(q.kinds[group.name])
        worth += sum(by_name[name] * rows for name, rows in served[group.name].items())
        worth += sampled * by_name[q.ways[group.name][0].name]
    return worth / total


def _next_dollar(
    q: Draft,
    made: BatchPlan,
    groups: Sequence[Group],
    shares: Shares,
    left: float,
    limit_s: float | None,
) -> More | None:
    """What one dollar on top of the budget would change; None without a budget."""
    if q.cap_micro is None:
        return None
    if made.is_full:
        return More()
    richer, _ = _allocated(q, groups, left + MICRO_PER_USD, limit_s)
    return _gain(q, made, groups, shares, richer)


def _next_hour(
    q: Draft,
    made: BatchPlan,
    groups: Sequence[Group],
    shares: Shares,
    left: float,
    seconds: Estimate | None,
) -> More | None:
    """What one more hour would change; None without a deadline."""
    if q.deadline_s is None or seconds is None:
        return None
    if q.hosts is None:
        later = hosts_for(q, seconds, q.deadline_s + HOUR_S)
        return More(hosts=max(0, (made.hosts or 1) - (later or 1)))
    if made.is_full:
        return More()
    longer = (q.deadline_s + HOUR_S) * q.hosts
    budget = made.full_usd * 2 * MICRO_PER_USD if math.isinf(left) else left
    later_shares, _ = _allocated(q, groups, budget, longer)
    return _gain(q, made, groups, shares, later_shares)


def _gain(
    q: Draft, made: BatchPlan, groups: Sequence[Group], before: Shares, after: Shares
) -> More:
    served = {kind: {r.name: n for r, n in share if r is not None} for kind, share in after.items()}
    rows = sum(counts_of(after).values()) - sum(counts_of(before).values())
    gained = None
    if q.is_judged:
        total = sum(map(len, q.kinds.values()))
        gained = sum(
            len(q.kinds[kind])
            / total
            * (_mean(rights_of(q, kind, after[kind])) - _mean(rights_of(q, kind, before[kind])))
            for kind in q.kinds
        )
    return More(worth=_mean_worth(q, groups, served) - made.worth, rows=rows, quality=gained)


def _mean(values: Mapping[int, float]) -> float:
    return fmean(values.values()) if values else 0.0
