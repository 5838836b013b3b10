"""A ledger as runs, calls and rows reach it: messages go in, answers come out; no graph, no Ray."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from orchestra.book.book import Book
from orchestra.book.messages import (
    AnyMessage,
    CloseAccount,
    LedgerMessage,
    OpenAccount,
    RowMessage,
)
from orchestra.core.errors import BookError, DiskFull, OrchestraError
from orchestra.core.loops import PerLoop

T = TypeVar("T")
Waiting = list[tuple[AnyMessage, asyncio.Future[Any]]]


class Ledger(Protocol):
    """What a run and a call need of the book, in this process or in another one."""

    async def send(self, message: LedgerMessage[T]) -> T:
        """Do what `message` says and give its answer.

        Raises what the message says, and `BookError` (`BookLocked`, `DiskFull`) when the book
        cannot be used.
        """
        ...


class RowLedger(Protocol):
    """What a batch needs: a ledger that has its rows, too."""

    async def send(self, message: LedgerMessage[T] | RowMessage[T]) -> T:
        """As `Ledger.send`."""
        ...


class LocalLedger:
    """A book of this process.

    Messages that come in one turn of the event loop are done in one transaction, each answered
    once it is committed; a message that fails takes back only itself.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        # An answer belongs to the loop that waits for it, so each loop does its own messages.
        self._waiting: PerLoop[Waiting] = PerLoop(list)

    async def send(self, message: LedgerMessage[T] | RowMessage[T]) -> T:
        """Do what `message` says, with the others of this turn."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        waiting = self._waiting.here()
        if not waiting:
            loop.call_soon(self._do, waiting)
        waiting.append((message, answer))
        return await answer

    def _do(self, come: Waiting) -> None:
        """Do what has come in, in its order; one that nobody waits for any more is done too."""
        waiting = come.copy()
        come.clear()
        answers: list[Any] = []
        try:
            with self._book.transaction():
                for message, _ in waiting:
                    answers.append(self._attempt(message))
        except Exception as error:  # also a defect: who waits must hear of it
            # Nothing was kept. A full disk shows at a message or at the end, and is told to all.
            failed = next((one for one in answers if isinstance(one, DiskFull)), error)
            answers = [failed] * len(waiting)
        tell(waiting, answers)

    def _attempt(self, message: AnyMessage) -> Any:
        """The answer or the error of ours that it raised, which took back what it did."""
        try:
            return self._book.do(message)
        except OrchestraError as error:
            return error


async def open_or_close(ledger: Ledger, opened: OpenAccount) -> None:
    """Open an account; who is cancelled meanwhile leaves none open. Raises as `Ledger.send`."""
    try:
        await ledger.send(opened)
    except asyncio.CancelledError:
        # It may be open all the same, and nobody else knows of it.
        with suppress(BookError):
            await asyncio.shield(ledger.send(CloseAccount(opened.id)))
        raise


def tell(waiting: Waiting, answers: list[Any]) -> None:
    """Give who waits the answers, in order; one who was cancelled hears nothing."""
    for (_, future), answer in zip(waiting, answers, strict=True):
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
