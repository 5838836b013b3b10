"""A finished batch beside its quote: spend, time and quality, each within its interval or not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orchestra.batch.plan.quote import BatchPlan
from orchestra.batch.plan.worth import Gold, right_of
from orchestra.batch.tables.row import Row
from orchestra.core.job import Result
from orchestra.core.stats import Estimate

NOTHING = Result(status="failed")
ELSEWHERE = "ran_on_cluster"  # in a book's meta, once rows of it have run on one
NOT_COMPARED = "quoted for one host with its models loaded, and this ran on a cluster"


def beside(
    plan: BatchPlan,
    rows: Iterable[tuple[Row, Result | None]],
    cost_usd: float,
    seconds: float,
    *,
    is_elsewhere: bool = False,
) -> dict[str, Any]:
    """Each figure as quoted and actual; a row without a result is not right.

    A figure that was not quoted, or has no true values, is left out. The time of a batch
    `is_elsewhere`, on a cluster whose hosts start and load first, is not compared with the quote.
    """
    found: dict[str, Any] = {}
    if plan.spend is not None:
        found["spend_usd"] = _beside(plan.spend, cost_usd)
    if plan.seconds is not None:
        found["seconds"] = _beside(plan.seconds, seconds)
        if is_elsewhere:
            found["seconds"] |= {"within": None, "why": NOT_COMPARED}
    actual = _right(plan, rows) if plan.gold else None
    if plan.quality is not None and actual is not None:
        found["quality"] = _beside(plan.quality, actual)
    return found


def _beside(quoted: Estimate, actual: float) -> dict[str, Any]:
    return {
        "quoted": quoted.value,
        "interval": [quoted.low, quoted.high],
        "actual": actual,
        "within": quoted.holds(actual),
    }


def _right(plan: BatchPlan, rows: Iterable[tuple[Row, Result | None]]) -> float | None:
    """The share of rows with a true value that are right."""
    judge, right, total = Gold(plan.gold), 0.0, 0
    for row, result in rows:
        known = right_of(judge(row, result or NOTHING), plan.fields)
        if known is not None:
            right += known
            total += 1
    return right / total if total else None
