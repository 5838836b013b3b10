"""What who asks may see of what was used: their own tenant's, or all."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from orchestra.access.principal import ANYONE, principal
from orchestra.book.book import Book
from orchestra.book.usage import UsageSums, usage
from orchestra.core.errors import UsageError


def sees_all() -> bool:
    """Whether who asks sees what all tenants used: an operator, and who needs no key."""
    who = principal()
    return who.tenant == ANYONE.tenant or "admin" in who.scope.routes


async def used(
    book: Path | None, by: Sequence[str], since: date | None = None, until: date | None = None
) -> UsageSums:
    """The usage of a book that a ledger has, by these headings.

    It is read beside the ledger, in a thread of its own: a long book takes a while to sum, in which
    others are answered. Raises `UsageError` without a book, and as `usage` does.
    """
    if book is None:
        raise UsageError(
            "What was used is summed from a book's file, and the server has none. Start it with "
            "--book FILE."
        )
    tenant = None if sees_all() else principal().tenant
    return await asyncio.to_thread(_read, book, by, since, until, tenant)


def _read(
    path: Path, by: Sequence[str], since: date | None, until: date | None, tenant: str | None
) -> UsageSums:
    with Book.open(path, exclusive=False) as book:
        return usage(book, by, since=since, until=until, tenant=tenant)
