"""A ledger as if it were in another process: pickled messages, answers that come late or twice."""

from __future__ import annotations

import asyncio
import pickle
from typing import TypeVar

from orchestra.book.book import Book
from orchestra.book.ledger import LocalLedger
from orchestra.book.messages import AnyMessage, LedgerMessage, RowMessage

T = TypeVar("T")


class FarLedger:
    """Reaches `book` by messages; each one is delivered `times` times, the last answer counts.

    `hold` is a kind of message whose first answer is held back for ever, as when a node is lost.
    """

    def __init__(self, book: Book, times: int = 1, hold: type[AnyMessage] | None = None) -> None:
        self._near = LocalLedger(book)
        self._times = times
        self.hold = hold
        self.held = asyncio.Event()

    async def send(self, message: LedgerMessage[T] | RowMessage[T]) -> T:
        """See `RowLedger`."""
        await asyncio.sleep(0)
        answer = b""
        for _ in range(self._times):
            answer = await self._answer(pickle.loads(pickle.dumps(message)))
        if type(message) is self.hold:
            self.hold = None
            self.held.set()
            await asyncio.Event().wait()
        kind, value = pickle.loads(answer)
        if kind == "error":
            raise value
        return value

    async def _answer(self, message: AnyMessage) -> bytes:
        try:
            return pickle.dumps(("value", await self._near.send(message)))
        except Exception as error:  # any error travels back, as from an actor
            return pickle.dumps(("error", error))
