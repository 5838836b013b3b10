"""What a run of a part of a planned table was to come to: a pilot's own quote.

A plan says what its whole table comes to. Of the rows that a run is about each kind keeps its
costs, and the interval is wider, as fewer rows even out less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import islice

from orchestra.batch.folder import PLAN, Folder
from orchestra.batch.plan.batch_plan import BatchPlan, KindPlan
from orchestra.batch.plan.forecast import START_S
from orchestra.batch.plan.kinds import UNUSABLE, Expect, RowShape, TableShape, fresh_of
from orchestra.batch.request import Request
from orchestra.core.stats import Estimate

QUOTE = "quote"  # in a book's meta: what the last run was to come to


def quoted_plan(
    plan: BatchPlan | None,
    request: Request,
    folder: Folder,
    limit: int | None,
    expect: Expect | None = None,
) -> BatchPlan | None:
    """The plan of the rows that a run with `limit` is about, which the folder keeps.

    It is `plan` itself where that is of as many rows.
    """
    if plan is None:
        return None
    total = request.table.count()
    if plan.rows != (total if limit is None else min(total, limit)):
        spec, rows = request.spec, islice(request.table.rows(), limit)
        plan = quote_of(plan, TableShape.of(rows, spec.columns, spec.base, expect=expect))
    folder.book.set_meta(QUOTE, plan.model_dump_json())
    return plan


def kept_quote(folder: Folder) -> BatchPlan | None:
    """What the last run in `folder` was to come to; None where it had no plan."""
    text = folder.book.meta(PLAN) and folder.book.meta(QUOTE)
    origin = f"The book of {str(folder.path)!r}"
    return None if not text else BatchPlan.of_json(text, origin=origin)


def quote_of(plan: BatchPlan, table: TableShape) -> BatchPlan:
    """`plan` of the rows of `table`: its figures, not its routes. Pure.

    Rows of the sample are paid, wherever they stand. A kind that the plan does not know costs what
    the others do on average.
    """
    kinds = _by_kind(plan, table)
    known = {kind.name: kind for kind in plan.kinds}
    rest = {name: len(rows) for name, rows in kinds.items()}
    for ordinal in plan.sampled:
        if ordinal <= len(table):
            name = plan.edges.of(table.shape(ordinal))
            rest[name] = max(0, rest.get(name, 0) - 1)
    before = {kind.name: kind.rows - kind.sampled - kind.left for kind in plan.kinds}
    fresh = {name: fresh_of(rows) for name, rows in kinds.items()}
    cost, work = (_part(known, before, rest, fresh, what) for what in ("cost_usd", "seconds"))
    spread = _spread(sum(before.values()), sum(rest.values()), len(plan.sampled))
    usable = sum(map(len, kinds.values()))
    return plan.model_copy(
        update={
            "rows": len(table),
            "unusable": len(table) - usable,
            "spend": plan.spend and _spend(plan.spend, plan.spent_usd, cost, spread),
            "seconds": plan.seconds and _seconds(plan.seconds, work, spread),
            "quality": plan.quality and _wider(plan.quality, spread, 1.0),
            "review": None,
            "expected_usd": plan.spent_usd + (plan.expected_usd - plan.spent_usd) * cost,
            "work_s": plan.work_s * work,
        }
    )


def _by_kind(plan: BatchPlan, table: TableShape) -> dict[str, list[RowShape]]:
    found: dict[str, list[RowShape]] = {}
    for shape in table:
        if (name := plan.edges.of(shape)) != UNUSABLE:
            found.setdefault(name, []).append(shape)
    return found


def _part(
    known: Mapping[str, KindPlan],
    before: Mapping[str, int],
    rest: Mapping[str, int],
    fresh: Mapping[str, float],
    what: str,
) -> float:
    """What the rows come to, as a part of what those of the plan do."""
    each = {name: _mean(kind, what) for name, kind in known.items()}
    whole = sum(each[name] * before[name] for name in known)
    if whole <= 0:
        return sum(rest.values()) / max(1, sum(before.values()))
    usual = whole / max(1, sum(before.values()))
    part = 0.0
    for name, rows in rest.items():
        kind = known.get(name)
        # The first rows of a table repeat less of what came before them.
        more = 1.0 if kind is None else fresh.get(name, 1.0) / (kind.fresh or 1.0)
        part += rows * more * each.get(name, usual)
    return part / whole


def _mean(kind: KindPlan, what: str) -> float:
    """What a row of the kind costs or takes, over its routes."""
    rows = sum(way.rows for way in kind.ways)
    ways = kind.ways if rows else kind.ways[:1]
    weights = [way.rows for way in ways] if rows else [1] * len(ways)
    total = sum(weights)
    return sum(getattr(way, what) * n for way, n in zip(ways, weights, strict=True)) / max(1, total)


def _spread(before: int, rest: int, sampled: int) -> float:
    """How wide the total of `rest` rows is beside that of `before`: rows differ, and the sample's
    mean is off by the same for all of them."""
    seen = max(1, sampled)
    return math.sqrt((rest + rest**2 / seen) / max(1.0, before + before**2 / seen))


def _spend(spend: Estimate, spent: float, part: float, spread: float) -> Estimate:
    value = spent + (spend.value - spent) * part
    low, high = (spend.value - spend.low) * spread, (spend.high - spend.value) * spread
    return Estimate(low=max(spent, value - low), value=value, high=value + high)


def _seconds(seconds: Estimate, part: float, spread: float) -> Estimate:
    wider = spread / part if part else 1.0
    scaled = _wider(seconds.times(part), max(1.0, wider), math.inf)
    return scaled.model_copy(update={"high": scaled.high + START_S})


def _wider(estimate: Estimate, factor: float, most: float) -> Estimate:
    low, value, high = estimate.interval
    factor = max(1.0, factor)
    return Estimate(
        low=max(0.0, value - (value - low) * factor),
        value=value,
        high=min(most, value + (high - value) * factor),
    )
