"""The book as its clients reach it: a few coarse messages, each one transaction; no graph, no Ray.

Arguments and answers are plain picklable values, so that the book may live in another process.
Calls are named by ids that their clients make (`uid`), and each message may be sent again when
its answer was lost: the second one changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestra.budget.amounts import Spent
from orchestra.budget.book import Book


@dataclass(frozen=True, slots=True)
class Start:
    """A call about to be made: its worst case in micro-dollars and tokens, held in `account`.

    `key` names its reply: two calls with one key have the same answer.
    """

    uid: str
    account: str
    key: str
    node: str
    model: str
    cost_micro: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Payment:
    """What a call that began as `uid` came to; `reply` is stored under the call's key."""

    uid: str
    cost_micro: int
    tokens: int
    cpu_s: float = 0.0
    reply: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that may be run: its journal key, its place, and the id it names for itself."""

    key: str
    ordinal: int
    row_id: str | None = None


@dataclass(frozen=True, slots=True)
class RowEnd:
    """A row that is over: its record, the account to close, and the names of its fields."""

    key: str
    ordinal: int
    row_id: str
    status: str
    record_json: str
    account: str | None = None
    names: tuple[str, ...] = ()


class Ledger(Protocol):
    """What a run, a call and a row need of the book, in this process or in another one.

    Each method raises `BookError` (and `BookLocked`, `DiskFull`) when the book cannot be used.
    """

    async def open_account(
        self,
        id: str,
        *,
        parent: str | None = None,
        cost_micro: int | None = None,
        tokens: int | None = None,
        hold: bool = False,
    ) -> None:
        """Open the budget `id`; see `Accounts.open_account`. Raises `BudgetExceeded`."""
        ...

    async def close_account(self, id: str) -> None:
        """Close `id` and give back what it holds; see `Accounts.close_account`."""
        ...

    async def begin(self, start: Start) -> str | None:
        """The reply already paid for under the call's key; else None, and the call is on its way.

        On its way means reserved and dispatched in one transaction: it is paid for from now on,
        until `settle` or `release`. Raises `BudgetExceeded`.
        """
        ...

    async def settle(self, payment: Payment) -> None:
        """Book what a call cost, keep its reply, and refund the rest of its reservation."""
        ...

    async def release(self, uid: str) -> None:
        """Give back what a call reserved that cost nothing; an id that never began is fine."""
        ...

    async def spent(self, account: str) -> Spent:
        """What `account` has spent and reserved."""
        ...

    async def admit(self, rows: Sequence[Candidate]) -> list[int | None]:
        """Claim the ids of rows: for each None when it is finished, else the id's owner.

        The owner is the ordinal of the first row that claimed the id; the row's own one when
        the id is free, its own already, or not named.
        """
        ...

    async def finish_row(self, row: RowEnd) -> bool:
        """Record a row, close its account and note its fields' names, all or nothing.

        False when the row was finished before, by this message or another: the first record
        stays.
        """
        ...


# The note of a book that lists the names of all fields met, for the columns of the outputs.
FIELDS = "fields"


class LocalLedger:
    """A book of this process: each message is done at once, without waiting."""

    def __init__(self, book: Book) -> None:
        self._book = book

    async def open_account(
        self,
        id: str,
        *,
        parent: str | None = None,
        cost_micro: int | None = None,
        tokens: int | None = None,
        hold: bool = False,
    ) -> None:
        """Open the budget `id`."""
        self._book.open_account(id, parent=parent, cost_micro=cost_micro, tokens=tokens, hold=hold)

    async def close_account(self, id: str) -> None:
        """Close `id` and give back what it holds."""
        self._book.close_account(id)

    async def begin(self, start: Start) -> str | None:
        """The reply already paid for, or None: the call is on its way."""
        return self._book.begin(
            start.uid,
            start.account,
            key=start.key,
            node=start.node,
            model=start.model,
            cost_micro=start.cost_micro,
            tokens=start.tokens,
        )

    async def settle(self, payment: Payment) -> None:
        """Book what a call cost, once."""
        self._book.pay(
            payment.uid,
            cost_micro=payment.cost_micro,
            tokens=payment.tokens,
            cpu_s=payment.cpu_s,
            reply=payment.reply,
        )

    async def release(self, uid: str) -> None:
        """Give back what a call reserved, once."""
        self._book.give_back(uid)

    async def spent(self, account: str) -> Spent:
        """What `account` has spent and reserved."""
        return self._book.spent(account)

    async def admit(self, rows: Sequence[Candidate]) -> list[int | None]:
        """Which rows are finished, and who owns the ids of the others."""
        with self._book.transaction():
            finished = self._book.finished_among([row.key for row in rows])
            named = [
                (row.row_id, row.ordinal)
                for row in rows
                if row.row_id is not None and row.key not in finished
            ]
            owners = dict(zip(named, self._book.claim_ids(named), strict=True))
        admitted: list[int | None] = []
        for row in rows:
            owner = None if row.row_id is None else owners.get((row.row_id, row.ordinal))
            own = row.ordinal if owner is None else owner
            admitted.append(None if row.key in finished else own)
        return admitted

    async def finish_row(self, row: RowEnd) -> bool:
        """Record a row, close its account and note its fields' names."""
        with self._book.transaction():
            if row.names:
                self._book.add_names(FIELDS, row.names)
            return self._book.finish_row(
                row.key,
                ordinal=row.ordinal,
                row_id=row.row_id,
                status=row.status,
                record_json=row.record_json,
                close=row.account,
            )
