"""A book in another process: messages go out together, and answers come back in order.

It knows no Ray: how a bundle of messages is sent is given to it. Messages that are made while one
bundle is away wait and go with the next, so many rows share a round trip.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from orchestra.book.book import Book
from orchestra.book.ledger import LocalLedger, Waiting, tell
from orchestra.book.messages import AnyMessage, LedgerMessage, RowMessage

T = TypeVar("T")
Send = Callable[[list[AnyMessage]], Awaitable[list[Any]]]


class Keeper:
    """Has the book and does what messages say, in their order."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._ledger = LocalLedger(book)

    async def apply(self, messages: Sequence[AnyMessage]) -> list[Any]:
        """The answer of each message, in order; an error is an answer, too."""
        sent = (self._ledger.send(message) for message in messages)
        return await asyncio.gather(*sent, return_exceptions=True)

    def close(self) -> None:
        """Let another process have the book."""
        self._book.close()


class RemoteLedger:
    """A ledger whose book is kept by a `Keeper` that `deliver` reaches.

    `deliver` may bring a bundle twice when an answer was lost: every message bears that.
    """

    def __init__(self, deliver: Send) -> None:
        self._deliver = deliver
        self._waiting: Waiting = []
        self._sender: asyncio.Task[None] | None = None

    async def send(self, message: LedgerMessage[T] | RowMessage[T]) -> T:
        """Have the keeper do what `message` says."""
        answer = self._put(message)
        self._go()
        return await answer

    def _put(self, message: AnyMessage) -> asyncio.Future[Any]:
        """Have a message wait for the next bundle; its answer."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((message, answer))
        return answer

    def _go(self) -> None:
        """Send what waits, as soon as no bundle is away."""
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all())

    async def _send_all(self) -> None:
        """Send what waits, a bundle at a time, until nothing does."""
        while self._waiting:
            bundle, self._waiting = self._waiting, []
            answers: list[Any]
            try:
                answers = await self._deliver([message for message, _ in bundle])
            except Exception as error:  # also a defect: who waits must hear of it
                answers = [error] * len(bundle)
            tell(bundle, answers)
