"""What was spent and what budgets have left, as the console shows it to who asks.

With a book it is the usage of this month or of all time, a key's own tenant's unless it may see
all; without one it is the ledger's totals by model.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from orchestra.access.principal import principal
from orchestra.access.using import sees_all, used
from orchestra.book.costs import By, CostLine
from orchestra.book.keys.key_messages import Left
from orchestra.book.messages import ModelTotal, ReadTotals
from orchestra.core.errors import UsageError
from orchestra.core.money import usd
from orchestra.serving.service import Service

Period = Literal["month", "all"]
PERIODS: tuple[Period, ...] = ("month", "all")
WAYS: tuple[By, ...] = ("model", "tag", "node", "day")
PAYERS: tuple[By, ...] = ("tenant", "key")  # where keys are asked for


@dataclass(frozen=True, slots=True)
class SpendLine:
    """One line: what it is called, and what it came to. `share` is its part of the dearest."""

    name: str
    cost_usd: Decimal
    calls: int
    tokens: int
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class SpendTable:
    """The lines, dearest first, their sum, and the `ways` and `periods` they can be summed by.

    Lines of tags are more than their sum where a call has several. `is_kept`: they are those of a
    book, and not only since the ledger began. `budgets` is what is left of this month's.
    """

    by: str
    ways: Sequence[str]
    period: Period
    periods: Sequence[Period]
    lines: Sequence[SpendLine]
    total: SpendLine
    is_kept: bool
    budgets: Sequence[Left] = ()


async def spend_of(service: Service, by: str, period: Period = "month") -> SpendTable:
    """What `service` has spent, as far as who asks may see it.

    Raises `UsageError` for a way that there is not, and `BookError` when the book cannot be read.
    """
    path = service.book_path
    if path is None:
        ways, period = WAYS[:1], "all"
    elif principal().key:
        ways = (*PAYERS, *WAYS) if sees_all() else (*PAYERS[1:], *WAYS)
    else:
        ways = WAYS
    known: dict[str, By] = {way: way for way in ways}
    chosen = known.get(by)
    if chosen is None:
        raise UsageError(f"The spend is not summed by {by!r}. Use one of: {', '.join(ways)}.")
    left = [one for one in await service.left() if _may_see(one)]
    if path is None:
        lines = _by_model(await service.fleet.ledger.send(ReadTotals()))
        return SpendTable(by, ways, period, (), _shared(lines), _sum(lines), False, left)
    first = datetime.now(UTC).date().replace(day=1) if period == "month" else None
    found = await used(path, (chosen,), first)
    lines = [_line(one.names[0], one.line) for one in found.lines]
    total = _line("total", found.total)
    return SpendTable(by, ways, period, PERIODS, _shared(lines), total, True, left)


def _may_see(left: Left) -> bool:
    who = principal()
    own = who.key if left.kind == "key" else who.tenant
    return sees_all() or (left.kind != "server" and left.name == own)


def _line(name: str, line: CostLine) -> SpendLine:
    return SpendLine(name, usd(line.cost_micro), line.calls, line.tokens)


def _by_model(totals: Iterable[ModelTotal]) -> list[SpendLine]:
    """A line for each model, however its calls ended; what was given back is none."""
    found: dict[str, list[ModelTotal]] = {}
    for total in totals:
        if total.state != "released":
            found.setdefault(total.model, []).append(total)
    return [
        SpendLine(
            model,
            usd(sum(one.cost_micro for one in parts)),
            sum(one.calls for one in parts),
            sum(one.tokens for one in parts),
        )
        for model, parts in found.items()
    ]


def _shared(lines: Sequence[SpendLine]) -> tuple[SpendLine, ...]:
    """The lines, dearest first, each with its share."""
    most = max((line.cost_usd for line in lines), default=Decimal(0)) or Decimal(1)
    ordered = sorted(lines, key=lambda line: (-line.cost_usd, line.name))
    return tuple(replace(line, share=float(line.cost_usd / most)) for line in ordered)


def _sum(lines: Sequence[SpendLine]) -> SpendLine:
    return SpendLine(
        "total",
        sum((line.cost_usd for line in lines), Decimal(0)),
        sum(line.calls for line in lines),
        sum(line.tokens for line in lines),
    )
