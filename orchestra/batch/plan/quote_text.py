"""A batch's plan as a person reads it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestra.batch.plan.quote import BatchPlan, KindPlan
from orchestra.core.stats import Estimate
from orchestra.core.values import duration

MINUTE_S, HOUR_S = 60.0, 3600.0


def render(plan: BatchPlan) -> str:
    """The plan: what was sampled, routes by kind, and what the batch will come to."""
    lines = [f"table     {Path(plan.table).name}: {plan.rows} rows, {plan.unusable} unusable"]
    lines.append(f"fleet     {plan.fleet}   budget: {_limits(plan)}")
    if plan.sampled:
        lines.append(
            f"sample    {len(plan.sampled)} rows: {money(plan.sample_usd)} in "
            f"{duration(plan.sample_s)}, counted in the batch's book"
        )
    else:
        lines.append("sample    none (dry): prices and quality are those of the cards")
    lines += ["", *_table(plan), ""]
    lines += [f"note      {note}" for note in plan.notes]
    lines += _figures(plan)
    if plan.next_dollar is not None:
        lines.append(f"one more dollar  {plan.next_dollar}")
    if plan.next_hour is not None:
        lines.append(f"one more hour    {plan.next_hour}")
    return "\n".join(lines)


def _limits(plan: BatchPlan) -> str:
    told = [] if plan.cost_usd is None else [f"cost_usd={plan.cost_usd:f}".rstrip("0")]
    told += [] if plan.deadline_s is None else [f"deadline={duration(plan.deadline_s)}"]
    told += [] if plan.hosts_given is None else [f"hosts={plan.hosts_given}"]
    return ", ".join(told) or "no limits"


def _table(plan: BatchPlan) -> list[str]:
    rows = [("kind", "rows", "route", "takes it", "$ a row", "worth", "right", "complete", "sure")]
    for kind in plan.kinds:
        rows += _kind_rows(kind)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _kind_rows(kind: KindPlan) -> list[tuple[str, ...]]:
    complete = "" if kind.complete is None else _percent(kind.complete)
    sure = "" if kind.confidence is None else f"{kind.confidence:.2f}"
    told: list[tuple[str, ...]] = []
    for place, way in enumerate(kind.ways):
        right = "" if way.right is None else f"{way.right:.0%} of {way.tried}"
        head = (kind.name, str(kind.rows)) if place == 0 else ("", "")
        tail = (complete, sure) if place == 0 else ("", "")
        cost, worth = f"{way.cost_usd:.8f}", f"{way.worth:.2f}"
        told.append((*head, way.route, str(way.rows), cost, worth, right, *tail))
    if kind.left:
        told.append(("", "", "over budget", str(kind.left), "", "", "", "", ""))
    return told


def _figures(plan: BatchPlan) -> Sequence[str]:
    lines: list[str] = []
    guaranteed = f"at most {money(plan.at_most_usd)}, guaranteed"
    if plan.spend is None:
        lines.append(f"spend     {money(plan.expected_usd)} by the cards; {guaranteed}")
        lines.append(
            f"time      {duration(plan.work_s)} by the cards, one call at a time on one host"
        )
    else:
        spend = plan.spend
        lines.append(
            f"spend     {money(spend.value)} [{money(spend.low)}, {money(spend.high)}]; "
            f"{guaranteed}"
        )
        lines.append(f"time      {_time(plan.seconds)}")
    lines.append(f"quality   {_quality(plan)}")
    whole = (
        "the whole table fits" if plan.is_full else f"in full it would be {money(plan.full_usd)}"
    )
    left = f"; {plan.left} rows are over budget" if plan.left else ""
    lines.append(f"worth     {plan.worth:.3f} of 1 a row; {whole}{left}")
    if plan.hosts is not None:
        replicas = ", ".join(f"{model} {count}" for model, count in plan.replicas.items())
        lines.append(f"hosts     {plan.hosts} for the deadline; as replicas: {replicas}")
    return lines


def _quality(plan: BatchPlan) -> str:
    if plan.quality is not None:
        return f"{_percent(plan.quality)} of the usable rows right, by {_judged_by(plan)}"
    if plan.gold:
        return "unknown: a kind has no sampled row with a true value"
    return "unknown (give a column of true values: --gold category=true_category)"


def _judged_by(plan: BatchPlan) -> str:
    pairs = ", ".join(f"{name}={column}" for name, column in plan.gold.items())
    return pairs or "a calibrated policy"


def _time(seconds: Estimate | None) -> str:
    if seconds is None:
        return "unknown"
    low, high = duration(seconds.low), duration(seconds.high)
    return f"{duration(seconds.value)} [{low}, {high}] on one host like this one"


def _percent(share: Estimate) -> str:
    return f"{share.value:.1%} [{share.low:.1%}, {share.high:.1%}]"


def money(usd: float) -> str:
    """Dollars with as many places as are needed."""
    return f"${usd:,.2f}" if usd >= 1 else f"${usd:.6f}"
