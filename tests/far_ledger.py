"""A ledger as if it were in another process: pickled messages, answers that come late or twice."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from orchestra.book.amounts import Spent
from orchestra.book.book import Book
from orchestra.book.ledger import LocalLedger
from orchestra.book.messages import Candidate, Hit, Payment, RowEnd, Start


class FarLedger:
    """Reaches `book` by messages; each one is delivered `times` times, the last answer counts.

    `hold` names a message whose answer is held back for ever, as when a node is lost.
    """

    def __init__(self, book: Book, times: int = 1, hold: str = "") -> None:
        self._near = LocalLedger(book)
        self._times = times
        self.hold = hold
        self.held = asyncio.Event()

    async def open_account(self, id: str, **limits: Any) -> None:
        """See `Ledger`."""
        await self._send(self._near.open_account, id, **limits)

    async def close_account(self, id: str) -> None:
        """See `Ledger`."""
        await self._send(self._near.close_account, id)

    async def abandon_account(self, id: str) -> None:
        """See `Ledger`."""
        await self._send(self._near.abandon_account, id)

    async def begin(self, start: Start) -> str | None:
        """See `Ledger`."""
        return await self._send(self._near.begin, start)

    async def hit(self, hit: Hit) -> str | None:
        """See `Ledger`."""
        return await self._send(self._near.hit, hit)

    async def settle(self, payment: Payment) -> None:
        """See `Ledger`."""
        await self._send(self._near.settle, payment)

    async def release(self, uid: str) -> None:
        """See `Ledger`."""
        await self._send(self._near.release, uid)

    async def spent(self, account: str) -> Spent:
        """See `Ledger`."""
        return await self._send(self._near.spent, account)

    async def admit(self, rows: Sequence[Candidate]) -> list[int | None]:
        """See `Ledger`."""
        return await self._send(self._near.admit, rows)

    async def finish_row(self, row: RowEnd) -> bool:
        """See `Ledger`."""
        return await self._send(self._near.finish_row, row)

    async def _send(self, act: Callable[..., Awaitable[Any]], *args: Any, **named: Any) -> Any:
        await asyncio.sleep(0)
        answer = b""
        for _ in range(self._times):
            far_args, far_named = pickle.loads(pickle.dumps((args, named)))
            answer = await _answer(act, far_args, far_named)
        if act.__name__ == self.hold:
            self.hold = ""
            self.held.set()
            await asyncio.Event().wait()
        kind, value = pickle.loads(answer)
        if kind == "error":
            raise value
        return value


async def _answer(act: Callable[..., Awaitable[Any]], args: Any, named: Any) -> bytes:
    try:
        return pickle.dumps(("value", await act(*args, **named)))
    except Exception as error:  # any error travels back, as from an actor
        return pickle.dumps(("error", error))
