"""`Admission`: the ASGI guard that lets requests in, has them wait, or refuses them.

It stands behind the guard that says who asks. What does no work of models (health, metrics,
documents, lists) passes it. A client that hangs up leaves the queue at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.access.principal import principal
from orchestra.core.errors import Overloaded
from orchestra.observe import metrics
from orchestra.serving.admission.arrival import arrived, deadline_s, kind_of, lane_of, waited_s
from orchestra.serving.admission.gate import Gate
from orchestra.serving.admission.limit import FixedLimit, FoundLimit
from orchestra.serving.admission.queue import LANES, Entry, FairQueue

PLACES = 256  # of the queue
WORK = ("/", "/v1/jobs", "/v1/chat/completions", "/v1/embeddings", "/v1/responses")
Refuse = Callable[[Overloaded], ASGIApp]


def is_work(scope: Scope) -> bool:
    """Whether a request has models work."""
    if scope["type"] != "http" or scope["method"] != "POST":
        return False
    path = scope["path"].removeprefix(scope.get("root_path", "")) or "/"
    return path in WORK or (path.startswith("/v1/threads/") and path.endswith("/answer"))


class _Body:
    """The body of a request, read before it waits, and what comes from its client after it."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._parts: list[Message] = []
        self._next: asyncio.Task[Message] | None = None
        self._refusal: HTTPException | None = None
        self.is_whole = False

    async def read(self) -> bytes:
        """All of it; what is there when the client leaves in the middle, or it grows too large."""
        while True:
            try:
                message = await self._receive()
            except HTTPException as error:
                self._refusal = error  # of a guard before us; the application answers with it
                break
            self._parts.append(message)
            if message["type"] != "http.request":
                break
            if not message.get("more_body", False):
                self.is_whole = True
                break
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
            return await asyncio.shield(self._next)
        return await self._receive()

    def close(self) -> None:
        """Nobody waits for the client any more."""
        if self._next is not None:
            self._next.cancel()

    async def _receive_one(self) -> Message:
        return await self._receive()


class Admission:
    """Lets in as many requests as are served well at once; the others wait in a bounded queue.

    `places` bounds the queue. `at_once` fixes how many are served at once; 0 has it found by what
    they take. `refuse` makes the answer of one that is not let in.
    """

    def __init__(
        self, app: ASGIApp, refuse: Refuse, places: int = PLACES, at_once: int = 0
    ) -> None:
        self._app = app
        self._refuse = refuse
        limit = FixedLimit(at_once) if at_once else FoundLimit()
        self.gate = Gate(limit, FairQueue(places), _told)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on when its turn comes."""
        if not is_work(scope):
            await self._app(scope, receive, send)
            return
        at_s = time.monotonic() - waited_s(scope["headers"], time.time())
        body = _Body(receive)
        entry = self._entry(scope, await body.read(), at_s)
        try:
            if not body.is_whole:
                await self._app(scope, body.receive, send)
                return
            if not await self._turn(entry, body):
                self._count(entry, "left")
                return
            await self._serve(entry, scope, body, send)
        except Overloaded as error:
            self._count(entry, error.kind)
            await self._refuse(error)(scope, receive, send)
        finally:
            body.close()

    def _entry(self, scope: Scope, body: bytes, at_s: float) -> Entry:
        who = principal()
        given_s = deadline_s(body)
        return Entry(
            tenant=who.tenant,
            weight=who.weight,
            lane=lane_of(scope["headers"], who.lane),
            kind=kind_of(scope["path"], body, len(body)),
            arrived_s=at_s,
            deadline_s=None if given_s is None else at_s + given_s,
            size=len(body),
        )

    async def _turn(self, entry: Entry, body: _Body) -> bool:
        """Wait until it may begin; false where its client left. Raises `Overloaded`."""
        turn = entry.told = asyncio.get_running_loop().create_future()
        now_s = time.monotonic()
        self.gate.offer(entry, now_s)
        if turn.done():
            turn.result()
            return True
        self._gauge()
        left_s = None if entry.deadline_s is None else entry.deadline_s - entry.work_s - now_s
        try:
            gone = body.next()
            await asyncio.wait({turn, gone}, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._give_up(entry, turn)
            raise
        finally:
            self._gauge()
        if turn.done():
            turn.result()
            return True
        if gone.done():
            self._give_up(entry, turn)
            return False
        raise self.gate.late(entry, time.monotonic())

    def _give_up(self, entry: Entry, turn: asyncio.Future[None]) -> None:
        """Its client is gone; a turn that came at the same moment goes to the next."""
        if not turn.done():
            self.gate.leave(entry, time.monotonic())
        elif turn.exception() is None:
            self.gate.end(entry, time.monotonic(), is_answered=False)

    async def _serve(self, entry: Entry, scope: Scope, body: _Body, send: Send) -> None:
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._count(entry, "admitted")
        metrics.observe_queue(entry.lane, entry.began_s - entry.queued_s)
        is_answered = False
        try:
            with arrived(entry.arrived_s):
                await self._app(scope, body.receive, noted)
            # One that ran out of time took at least so long.
            is_answered = status < 400 or status == 504
        finally:
            self.gate.end(entry, time.monotonic(), is_answered=is_answered)

    def _count(self, entry: Entry, outcome: str) -> None:
        metrics.count_admission(entry.lane, outcome)

    def _gauge(self) -> None:
        for lane in LANES:
            metrics.set_queue_depth(lane, self.gate.queue.count(lane))


def _told(entry: Entry, error: Overloaded | None) -> None:
    turn: asyncio.Future[None] = entry.told
    if turn.done():
        return
    if error is None:
        turn.set_result(None)
    else:
        turn.set_exception(error)
