"""A book in another process: messages go out together, and answers come back in order.

It knows no Ray: how a bundle of messages is sent is given to it. Messages that are made while one
bundle is away wait and go with the next, so many rows share a round trip.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestra.book.amounts import Spent
from orchestra.book.book import Book
from orchestra.book.ledger import LocalLedger
from orchestra.book.messages import Candidate, Hit, Payment, RowEnd, Start
from orchestra.core.errors import OrchestraError


@dataclass(frozen=True, slots=True)
class Message:
    """One method of `Ledger` to be called, with its arguments."""

    method: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


Send = Callable[[list[Message]], Awaitable[list[Any]]]


class Keeper:
    """Has the book and does what messages say, one after the other."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._ledger = LocalLedger(book)

    async def apply(self, messages: Sequence[Message]) -> list[Any]:
        """The answer of each message, in order; an error of ours is an answer, too."""
        return [await self._answer(message) for message in messages]

    async def _answer(self, message: Message) -> Any:
        try:
            method = getattr(self._ledger, message.method)
            return await method(*message.arguments, **message.options)
        except OrchestraError as error:
            return error

    def close(self) -> None:
        """Let another process have the book."""
        self._book.close()


class RemoteLedger:
    """A `Ledger` whose book is kept by a `Keeper` that `send` reaches.

    `send` may deliver a bundle twice when an answer was lost: every message bears that.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._waiting: list[tuple[Message, asyncio.Future[Any]]] = []
        self._sender: asyncio.Task[None] | None = None

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
        options: dict[str, Any] = {
            "parent": parent,
            "cost_micro": cost_micro,
            "tokens": tokens,
            "hold": hold,
            "label": label,
        }
        await self._ask(Message("open_account", (id,), options))

    async def close_account(self, id: str) -> None:
        """Close `id` and give back what it holds."""
        await self._ask(Message("close_account", (id,)))

    async def abandon_account(self, id: str) -> None:
        """Close `id` as a crash would have left it."""
        await self._ask(Message("abandon_account", (id,)))

    async def begin(self, start: Start) -> str | None:
        """The reply already paid for, or None: the call is on its way."""
        return await self._ask(Message("begin", (start,)))

    async def hit(self, hit: Hit) -> str | None:
        """Book a call that a shared cache answered, once; or the reply that the book has."""
        return await self._ask(Message("hit", (hit,)))

    async def settle(self, payment: Payment) -> None:
        """Book what a call cost, once."""
        await self._ask(Message("settle", (payment,)))

    async def release(self, uid: str) -> None:
        """Give back what a call reserved, once."""
        await self._ask(Message("release", (uid,)))

    async def spent(self, account: str) -> Spent:
        """What `account` has spent and reserved."""
        return await self._ask(Message("spent", (account,)))

    async def admit(self, rows: Sequence[Candidate]) -> list[int | None]:
        """Which rows are finished, and who owns the ids of the others."""
        return await self._ask(Message("admit", (list(rows),)))

    async def finish_row(self, row: RowEnd) -> bool:
        """Record a row, close its account and note its fields' names."""
        return await self._ask(Message("finish_row", (row,)))

    async def _ask(self, message: Message) -> Any:
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((message, answer))
        if self._sender is None or self._sender.done():
            self._sender = asyncio.create_task(self._send_all())
        return await answer

    async def _send_all(self) -> None:
        """Send what waits, a bundle at a time, until nothing does."""
        while self._waiting:
            bundle, self._waiting = self._waiting, []
            answers: list[Any]
            try:
                answers = await self._send([message for message, _ in bundle])
            except OrchestraError as error:
                answers = [error] * len(bundle)
            for (_, future), answer in zip(bundle, answers, strict=True):
                if future.done():  # its asker was cancelled; the message was done all the same
                    continue
                if isinstance(answer, OrchestraError):
                    future.set_exception(answer)
                else:
                    future.set_result(answer)
