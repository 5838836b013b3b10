"""What was spent, as the console shows it: by the book, or without one by this process's counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from orchestra.book.costs import By, CostLine, costs
from orchestra.core.errors import UsageError
from orchestra.core.money import usd
from orchestra.observe import metrics
from orchestra.serving.service import Service

WAYS: tuple[By, ...] = ("model", "tag", "node", "day")


@dataclass(frozen=True, slots=True)
class SpendLine:
    """One line: what it is called, and what it came to. `share` is its part of the dearest."""

    name: str
    cost_usd: Decimal
    calls: int
    tokens: int
    saved_usd: Decimal
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class SpendTable:
    """The lines, dearest first, their sum, and the `ways` they can be summed by.

    `is_kept`: they are those of a book, and not only since this process began.
    """

    by: str
    ways: Sequence[str]
    lines: tuple[SpendLine, ...]
    total: SpendLine
    is_kept: bool


async def spend_of(service: Service, by: str) -> SpendTable:
    """What `service` has spent, summed by one of its ways.

    Raises `UsageError` for another, and `BookError` when the book cannot be read.
    """
    book = service.fleet.book
    ways: tuple[By, ...] = WAYS if book is not None else WAYS[:1]
    known: dict[str, By] = {way: way for way in ways}
    chosen = known.get(by)
    if chosen is None:
        raise UsageError(f"The spend is not summed by {by!r}. Use one of: {', '.join(ways)}.")
    if book is None:
        lines = tuple(
            SpendLine(one.model, Decimal(str(one.cost_usd)), one.calls, one.tokens, Decimal(0))
            for one in metrics.spent_by_model()
        )
        return table_of(by, ways, lines, is_kept=False)
    # A long book takes a while to sum, in which others are answered.
    bill = await asyncio.to_thread(costs, book, chosen)
    lines = tuple(map(_line, bill.lines))
    return table_of(chosen, ways, lines, total=_line(bill.total), is_kept=True)


def table_of(
    by: str,
    ways: Sequence[str],
    lines: Sequence[SpendLine],
    *,
    is_kept: bool,
    total: SpendLine | None = None,
) -> SpendTable:
    """The table of `lines`; their sum is `total`, where they overlap as those of tags do."""
    most = max((line.cost_usd for line in lines), default=Decimal(0)) or Decimal(1)
    ordered = sorted(lines, key=lambda line: (-line.cost_usd, line.name))
    shared = tuple(
        SpendLine(
            line.name,
            line.cost_usd,
            line.calls,
            line.tokens,
            line.saved_usd,
            float(line.cost_usd / most),
        )
        for line in ordered
    )
    return SpendTable(by, ways, shared, total or _sum(lines), is_kept)


def _line(line: CostLine) -> SpendLine:
    cost, saved = usd(line.cost_micro), usd(line.saved_micro)
    return SpendLine(line.name, cost, line.calls, line.tokens, saved)


def _sum(lines: Sequence[SpendLine]) -> SpendLine:
    return SpendLine(
        "total",
        sum((line.cost_usd for line in lines), Decimal(0)),
        sum(line.calls for line in lines),
        sum(line.tokens for line in lines),
        sum((line.saved_usd for line in lines), Decimal(0)),
    )
