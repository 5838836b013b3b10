"""`Admission`: the ASGI guard that lets requests in, has them wait, or refuses them.

It stands behind the guard that says who asks. What does no work of models (health, metrics,
documents, lists) passes it. A client that hangs up leaves the queue at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.access.principal import Lane, Principal
from orchestra.core.errors import Overloaded, QueueFull
from orchestra.serving.admission.arrival import arrived, deadline_s, kind_of, lane_of, waited_s
from orchestra.serving.admission.limit import FixedLimit, FoundLimit
from orchestra.serving.admission.queue import LANES, Arrival, FairQueue
from orchestra.serving.admission.turnstile import MOST_BYTES, Turnstile

PLACES = 256  # of the queue
WORK = ("/", "/v1/jobs", "/v1/chat/completions", "/v1/embeddings", "/v1/responses")
MOST_BODY = 64 * 2**20  # bytes; what is longer is refused by the guard of its route
STALL_S = 30.0  # without a byte of a body
STOPPED = f"The body stopped coming for {STALL_S:g} s before its end. Send all of Content-Length."
Refuse = Callable[[Overloaded], ASGIApp]


class Bookkeeping(Protocol):
    """Who counts what becomes of requests."""

    def count(self, lane: str, outcome: str) -> None:
        """A request was admitted, refused with the error of that name, or left."""

    def queued(self, lane: str, seconds: float) -> None:
        """One was admitted that had waited for so long."""

    def depth(self, lane: str, count: int) -> None:
        """So many wait."""


def is_work(scope: Scope) -> bool:
    """Whether a request has models work."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
    return path in WORK or (path.startswith("/v1/threads/") and path.endswith("/answer"))


class _ReadBody:
    """The body of a request, read before it waits, and what comes from its client after it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._parts: list[Message] = []
        self._next: asyncio.Task[Message] | None = None
        self._refusal: HTTPException | None = None
        self.size = 0
        self.is_whole = False

    async def read_part(self) -> bool:
        """The next part; false where that was the last, or where no other is to be read."""
        try:
            async with asyncio.timeout(STALL_S):
                message = await self._receive()
        except HTTPException as error:
            self._refusal = error  # of a guard before us; the application answers with it
            return False
        except TimeoutError:
            self._refusal = HTTPException(408, STOPPED)
            return False
        self._parts.append(message)
        self.size += len(message.get("body", b""))
        is_last = not message.get("more_body", False)
        self.is_whole = is_last and message["type"] == "http.request"
        return not is_last and self.size <= MOST_BODY

    def content(self) -> bytes:
        """All of it."""
        return b"".join(part.get("body", b"") for part in self._parts)

    def next(self) -> asyncio.Task[Message]:
        """The message that follows the body: it ends when the client leaves."""
        if self._next is None:
            self._next = asyncio.create_task(self._receive_one())
        return self._next

    async def receive(self) -> Message:
        """The messages as they came, for the application."""
        if self._parts:
            return self._parts.pop(0)
        if self._refusal is not None:
            raise self._refusal
        if self._next is not None:
            await asyncio.wait({self._next})
            return self._next.result()
        return await self._receive()

    def close(self) -> None:
        """Nobody waits for the client any more."""
        if self._next is not None:
            self._next.cancel()

    async def _receive_one(self) -> Message:
        return await self._receive()


class Admission:
    """Lets in as many requests as are served well at once; the others wait in a bounded queue.

    `turnstile` decides, which others may ask as well; else one is made of `places`, which bounds
    the queue, and `at_once`, which fixes how many are served at once (0 has it found by what they
    take). `who` says who asks, `refuse` makes the answer of one that is not let in.
    """

    def __init__(
        self,
        app: ASGIApp,
        who: Callable[[Scope], Principal],
        refuse: Refuse,
        seen: Bookkeeping,
        places: int = PLACES,
        at_once: int = 0,
        turnstile: Turnstile | None = None,
    ) -> None:
        self._app = app
        self._who = who
        self._refuse = refuse
        self._seen = seen
        self._reading_bytes = 0
        self.turnstile = turnstile_of(places, at_once) if turnstile is None else turnstile
        self._tell_depth()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on when its turn comes."""
        if not is_work(scope):
            await self._app(scope, receive, send)
            return
        at_s = time.monotonic() - waited_s(scope["headers"], time.time())
        body = _ReadBody(receive)
        who = self._who(scope)
        lane = lane_of(scope["headers"], who.lane)
        try:
            await self._read(body)
            if not body.is_whole:
                await self._app(scope, body.receive, send)
                return
            entry = _entry(scope, body, who, lane, at_s)
            if not await self._turn(entry, body):
                self._seen.count(lane, "left")
                return
            await self._serve(entry, scope, body, send)
        except Overloaded as error:
            self._seen.count(lane, error.kind)
            await self._refuse(error)(scope, receive, send)
        finally:
            body.close()

    async def _read(self, body: _ReadBody) -> None:
        """Read a body. Raises `QueueFull` where those that are read hold too much together."""
        before = 0
        try:
            is_more = True
            while is_more:
                is_more = await body.read_part()
                self._reading_bytes += body.size - before
                before = body.size
                if self._reading_bytes > MOST_BYTES:
                    raise QueueFull(
                        f"Bodies that are read now have more than {MOST_BYTES:,} bytes together. "
                        "Try again in 2 s.",
                        retry_after_s=2.0,
                    )
        finally:
            self._reading_bytes -= before

    async def _turn(self, entry: Arrival, body: _ReadBody) -> bool:
        """Wait until it may begin; false where its client left. Raises `Overloaded`."""
        turn = entry.told = asyncio.get_running_loop().create_future()
        now_s = time.monotonic()
        self.turnstile.offer(entry, now_s)
        if turn.done():
            turn.result()
            return True
        self._tell_depth()
        left_s = None if entry.deadline_s is None else entry.deadline_s - entry.work_s - now_s
        try:
            gone = body.next()
            await asyncio.wait({turn, gone}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._give_up(entry, turn)
            raise
        finally:
            self._tell_depth()
        if turn.done():
            turn.result()
            return True
        if gone.done():
            self._give_up(entry, turn)
            return False
        raise self.turnstile.late(entry, time.monotonic())

    def _give_up(self, entry: Arrival, turn: asyncio.Future[None]) -> None:
        """Its client is gone; a turn that came at the same moment goes to the next."""
        if not turn.done():
            self.turnstile.leave(entry, time.monotonic())
        elif turn.exception() is None:
            self.turnstile.end(entry, time.monotonic(), is_answered=False)

    async def _serve(self, entry: Arrival, scope: Scope, body: _ReadBody, send: Send) -> None:
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._seen.count(entry.lane, "admitted")
        self._seen.queued(entry.lane, entry.began_s - entry.queued_s)
        is_answered = False
        try:
            with arrived(entry.arrived_s):
                await self._app(scope, body.receive, noted)
            # One that ran out of time took at least so long.
            is_answered = 0 < status < 400 or status == 504
        finally:
            self.turnstile.end(entry, time.monotonic(), is_answered=is_answered)

    def _tell_depth(self) -> None:
        for lane in LANES:
            self._seen.depth(lane, self.turnstile.queue.count(lane))


def _entry(scope: Scope, body: _ReadBody, who: Principal, lane: Lane, at_s: float) -> Arrival:
    content = body.content()
    given_s = deadline_s(content)
    return Arrival(
        tenant=who.tenant,
        weight=who.weight,
        lane=lane,
        kind=kind_of(scope["path"], content, body.size),
        arrived_s=at_s,
        deadline_s=None if given_s is None else at_s + given_s,
        size=body.size,
    )


def turnstile_of(places: int, at_once: int) -> Turnstile:
    """A turnstile with a queue of so many places.

    `at_once` fixes how many are served at once; 0 has it found by what they take.
    """
    limit = FixedLimit(at_once) if at_once else FoundLimit()
    return Turnstile(limit, FairQueue(places), _told)


def _told(entry: Arrival, error: Overloaded | None) -> None:
    turn: asyncio.Future[None] = entry.told
    if turn.done():
        return
    if error is None:
        turn.set_result(None)
    else:
        turn.set_exception(error)
