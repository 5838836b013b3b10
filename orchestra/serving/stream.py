"""Server-sent events of work that is told of as it goes, until its end or its reader's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from orchestra.core.errors import Cancelled
from orchestra.observe import metrics

R = TypeVar("R")
TellPiece = Callable[[str], None]
MOST_UNREAD = 8 * 2**20  # characters of a stream that are kept for a reader who is slower than it
UNREAD = (
    f"Of the stream {MOST_UNREAD:,} characters were not read, so its work was ended. Read events "
    "as they come, or ask for fewer modes."
)
KEEPALIVE_S = 15.0  # proxies close what has been silent for a minute, or for half of one
KEEPALIVE = ": still at work\n\n"  # a comment, which clients skip


@dataclass(frozen=True, slots=True)
class End(Generic[R]):
    """The last that is told: what the work came to, or why it failed."""

    outcome: R | Exception


class Unread:
    """What was told and not read yet, in characters."""

    def __init__(self, most: int = MOST_UNREAD) -> None:
        self._most, self._held = most, 0

    def add(self, piece: str) -> bool:
        """Note a piece; false where that is more than is kept for a reader."""
        self._held += len(piece)
        return self._held <= self._most

    def take(self, piece: str) -> None:
        """It was read."""
        self._held -= len(piece)


class Telling(Generic[R]):
    """Work in a task of its own, and what it has told that nobody has read yet.

    `end` is there once all of it was read.
    """

    def __init__(
        self,
        task: asyncio.Task[None],
        queue: asyncio.Queue[str | End[R]],
        first: str | End[R],
        unread: Unread,
    ) -> None:
        self._task = task
        self._queue = queue
        self._first = first
        self._unread = unread
        self.end: End[R] | None = None

    @classmethod
    async def begin(cls, work: Callable[[TellPiece], Awaitable[R]]) -> Telling[R]:
        """Begin it, and wait for its first piece. Raises an error that comes before that."""
        queue: asyncio.Queue[str | End[R]] = asyncio.Queue()
        unread = Unread()

        def tell(piece: str) -> None:
            if unread.add(piece):
                queue.put_nowait(piece)
            elif not task.cancelling():
                queue.put_nowait(End(Cancelled(UNREAD)))
                task.cancel()

        async def do() -> None:
            try:
                queue.put_nowait(End(await work(tell)))
            except Exception as error:  # a graph's own, too: the reader would wait for ever
                queue.put_nowait(End(error))

        task = asyncio.create_task(do())
        try:
            first = await queue.get()
        except asyncio.CancelledError:
            task.cancel()
            raise
        if isinstance(first, End) and isinstance(first.outcome, Exception):
            raise first.outcome
        return cls(task, queue, first, unread)

    async def pieces(self, idle_s: float) -> AsyncGenerator[str | None]:
        """What is told up to the end, in its order; None whenever `idle_s` went by in silence."""
        told: str | End[R] | None = self._first
        while not isinstance(told, End):
            if told is not None:
                self._unread.take(told)
            yield told
            try:
                async with asyncio.timeout(idle_s):
                    told = await self._queue.get()
            except TimeoutError:
                told = None
        self.end = told

    def stop(self) -> None:
        """Nobody wants it any more."""
        self._task.cancel()


class EventStream(StreamingResponse):
    """Events of a telling; who stops listening ends its work.

    That must not be left to the generator: one whose reader is gone before the first event never
    runs, and so never comes to its end either.
    """

    def __init__(self, telling: Telling[Any], events: AsyncIterator[str]) -> None:
        headers = {"Cache-Control": "no-cache"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._telling = telling

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; at their end nobody works on the answer any more."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._telling.stop()
            if self._telling.end is None:
                metrics.count_problem(Cancelled.__name__)
