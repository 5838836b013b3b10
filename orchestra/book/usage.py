"""What was used, by several headings at once: the sums of `costs`, for who bills others."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import Any, get_args

from orchestra.book.costs import By, CostLine, Headings, sum_line
from orchestra.book.spending import Expense, Spending
from orchestra.core.errors import UsageError
from orchestra.core.money import usd

AMOUNTS = (
    "calls",
    "tokens",
    "cost_usd",
    "booked_usd",
    "corrected_usd",
    "presumed_usd",
    "saved_usd",
)


@dataclass(frozen=True, slots=True)
class UsageLine:
    """What calls under these `names` came to, one name for each heading."""

    names: tuple[str, ...]
    line: CostLine


@dataclass(frozen=True, slots=True)
class UsageSums:
    """Lines in the order of their names, and their `total`.

    Of tags a call may have several, and stands under each: then lines are more than the total.
    `since` and `until` are days in UTC, both counted in.
    """

    by: tuple[By, ...]
    since: date | None
    until: date | None
    lines: tuple[UsageLine, ...]
    total: CostLine

    def public(self) -> dict[str, Any]:
        """As the API and `--json` give it."""
        return {
            "by": list(self.by),
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "lines": [
                dict(zip(self.by, one.names, strict=True)) | _amounts(one.line)
                for one in self.lines
            ],
            "total": _amounts(self.total),
        }

    def csv(self) -> str:
        """A line each, without the total, which a spreadsheet makes itself; dollars are exact."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*self.by, *AMOUNTS])
        for one in self.lines:
            writer.writerow([*map(_plain, one.names), *_amounts(one.line, exact=True).values()])
        return text.getvalue()


def usage(
    book: Spending,
    by: Sequence[str],
    *,
    since: date | None = None,
    until: date | None = None,
    tenant: str | None = None,
) -> UsageSums:
    """Sum the calls of `book` from `since` to `until`, those of one `tenant` where it is given.

    Raises `UsageError` for a heading that there is not, or no heading.
    """
    known = _checked(by)
    headings = Headings.of(book)
    found: list[Expense] = []
    groups: dict[tuple[str, ...], list[Expense]] = {}
    for expense in book.expenses(None if since is None else since.isoformat()):
        if until is not None and expense.day > until.isoformat():
            continue
        if tenant is not None and headings.names("tenant", expense)[0] != tenant:
            continue
        found.append(expense)
        for names in product(*(headings.names(one, expense) for one in known)):
            groups.setdefault(names, []).append(expense)
    lines = (UsageLine(names, sum_line("", groups[names])) for names in sorted(groups))
    return UsageSums(known, since, until, tuple(lines), sum_line("total", found))


def _checked(by: Sequence[str]) -> tuple[By, ...]:
    known: dict[str, By] = {name: name for name in get_args(By)}
    for name in by:
        if name not in known:
            raise UsageError(f"Usage is not summed by {name!r}. Use: {', '.join(known)}.")
    if not by or len(set(by)) < len(by):
        raise UsageError(f"by={','.join(by)!r} names nothing, or one twice. Give each once.")
    return tuple(known[name] for name in by)


def _amounts(line: CostLine, *, exact: bool = False) -> dict[str, Any]:
    """The amounts of a line by name; `exact` dollars are text, which loses nothing."""
    as_dollars = (lambda micro: f"{usd(micro):f}") if exact else (lambda micro: float(usd(micro)))
    booked = (line.cost_micro, line.booked_micro, line.more_micro)
    dollars = (*booked, line.presumed_micro, line.saved_micro)
    return dict(zip(AMOUNTS, (line.calls, line.tokens, *map(as_dollars, dollars)), strict=True))


def _plain(cell: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
