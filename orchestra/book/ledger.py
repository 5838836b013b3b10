"""The book as its clients reach it: a few coarse messages, each one transaction; no graph, no Ray.

Arguments and answers are plain picklable values, so that the book may live in another process.
Calls are named by ids that their clients make (`uid`), and each message may be sent again when
its answer was lost: the second one changes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, Protocol, TypeVar

from orchestra.book.amounts import Amount, Spent
from orchestra.book.book import Book
from orchestra.book.messages import Candidate, Hit, Payment, RowEnd, Start
from orchestra.core.errors import DiskFull, OrchestraError
from orchestra.core.loops import PerLoop

T = TypeVar("T")


class Ledger(Protocol):
    """What a run and a call need of the book, in this process or in another one.

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
        label: str = "",
    ) -> None:
        """Open the budget `id`; see `Accounts.open_account`. Raises `BudgetExceeded`."""
        ...

    async def close_account(self, id: str) -> None:
        """Close `id` and give back what it holds; see `Accounts.close_account`."""
        ...

    async def abandon_account(self, id: str) -> None:
        """Close `id` as a crash would have left it; see `Recoverable.abandon`."""
        ...

    async def begin(self, start: Start) -> str | None:
        """The reply already paid for under the call's key; else None, and the call is on its way.

        On its way means reserved and dispatched in one transaction: it is paid for from now on,
        until `settle` or `release`. Raises `BudgetExceeded`.
        """
        ...

    async def hit(self, hit: Hit) -> str | None:
        """Book, at nothing, a call that a shared cache answered.

        The reply already paid for under its key, if there is one, is used instead and returned.
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


class RowLedger(Ledger, Protocol):
    """What a batch needs besides: its rows."""

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
    """A book of this process.

    Messages that come in one turn of the event loop are done in one transaction, each answered
    once it is committed; a message that fails takes back only itself.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        # An answer belongs to the loop that waits for it, so each loop does its own messages.
        self._waiting: PerLoop[list[_Message]] = PerLoop(list)

    async def open_account(
        self,
        id: str,
        *,
        parent: str | None = None,
        cost_micro: int | None = None,
        tokens: int | None = None,
        hold: bool = False,
        label: str = "",
    ) -> None:
        """Open the budget `id`."""
        await self._done(
            lambda book: book.open_account(
                id,
                parent=parent,
                cost_micro=cost_micro,
                tokens=tokens,
                hold=hold,
                label=label,
            )
        )

    async def close_account(self, id: str) -> None:
        """Close `id` and give back what it holds."""
        await self._done(lambda book: book.close_account(id))

    async def abandon_account(self, id: str) -> None:
        """Close `id` as a crash would have left it."""
        self._book.abandon(id)

    async def begin(self, start: Start) -> str | None:
        """The reply already paid for, or None: the call is on its way."""
        return await self._done(
            lambda book: book.begin(
                start.uid,
                start.account,
                key=start.key,
                node=start.node,
                model=start.model,
                cost_micro=start.cost_micro,
                tokens=start.tokens,
            )
        )

    async def hit(self, hit: Hit) -> str | None:
        """Book a call that a shared cache answered, once; or the reply that the book has."""
        return await self._done(
            lambda book: book.hit(
                hit.uid,
                hit.account,
                key=hit.key,
                node=hit.node,
                model=hit.model,
                saved=Amount(hit.saved_micro, hit.saved_tokens),
                reply=hit.reply,
            )
        )

    async def settle(self, payment: Payment) -> None:
        """Book what a call cost, once."""
        await self._done(
            lambda book: book.pay(
                payment.uid,
                cost_micro=payment.cost_micro,
                tokens=payment.tokens,
                cpu_s=payment.cpu_s,
                reply=payment.reply,
                measured=payment.measured,
            )
        )

    async def release(self, uid: str) -> None:
        """Give back what a call reserved, once."""
        await self._done(lambda book: book.give_back(uid))

    async def spent(self, account: str) -> Spent:
        """What `account` has spent and reserved."""
        return await self._done(lambda book: book.spent(account))

    async def admit(self, rows: Sequence[Candidate]) -> list[int | None]:
        """Which rows are finished, and who owns the ids of the others."""
        return await self._done(lambda book: _admit(book, rows))

    async def finish_row(self, row: RowEnd) -> bool:
        """Record a row, close its account and note its fields' names."""
        return await self._done(lambda book: _finish_row(book, row))

    async def _done(self, act: Callable[[Book], T]) -> T:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        waiting = self._waiting.here()
        if not waiting:
            loop.call_soon(self._do, waiting)
        waiting.append((act, answer))
        return await answer

    def _do(self, come: list[_Message]) -> None:
        """Do what has come in, in its order; one that nobody waits for any more is done too."""
        waiting = come.copy()
        come.clear()
        answers: list[Any] = []
        try:
            with self._book.transaction():
                for act, _ in waiting:
                    answers.append(_attempt(act, self._book))
        except Exception as error:  # also a defect: who waits must hear of it
            # Nothing was kept. A full disk shows at a message or at the end, and is told to all.
            failed = next((told for told in answers if isinstance(told, DiskFull)), error)
            answers = [failed] * len(waiting)
        for (_, answer), told in zip(waiting, answers, strict=True):
            if answer.done():
                continue
            if isinstance(told, Exception):
                answer.set_exception(told)
            else:
                answer.set_result(told)


_Message = tuple[Callable[[Book], Any], asyncio.Future[Any]]


def _attempt(act: Callable[[Book], Any], book: Book) -> Any:
    """What `act` gave or the error it raised, with what it did taken back by its own block."""
    try:
        return act(book)
    except OrchestraError as error:
        return error


def _admit(book: Book, rows: Sequence[Candidate]) -> list[int | None]:
    with book.transaction():
        finished = book.finished_among([row.key for row in rows])
        named = [
            (row.row_id, row.ordinal)
            for row in rows
            if row.row_id is not None and row.key not in finished
        ]
        owners = dict(zip(named, book.claim_ids(named), strict=True))
    admitted: list[int | None] = []
    for row in rows:
        owner = None if row.row_id is None else owners.get((row.row_id, row.ordinal))
        own = row.ordinal if owner is None else owner
        admitted.append(None if row.key in finished else own)
    return admitted


def _finish_row(book: Book, row: RowEnd) -> bool:
    with book.transaction() if row.names else nullcontext():
        if row.names:
            book.add_names(FIELDS, row.names)
        return book.finish_row(
            row.key,
            ordinal=row.ordinal,
            row_id=row.row_id,
            status=row.status,
            record_json=row.record_json,
            close=row.account,
        )
