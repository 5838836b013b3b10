"""The door: what Serve's HTTP proxy does with a request before it sends it on to an ingress.

It says when the request arrived, so that the time in Serve's own queues counts. It answers at once
what an ingress has just refused to the same asker, because a request that is only to be refused
costs both processes milliseconds of CPU on its way, and at five times capacity that is most of
what the machine has. And it hangs up on who reads nothing of an answer.

Serve calls `middlewares` in the proxy's process where `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH`
names it, as `orchestra serve` sets it; without it everything works, and costs more.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.core.errors import Overloaded, QueueFull
from orchestra.serving.admission.arrival import LANE_HEADER, START_HEADER, deadline_s, kind_of
from orchestra.serving.admission.guard import STALL_S, is_work
from orchestra.serving.admission.told import HEADER, read_refusal
from orchestra.serving.problems import headers_of, problem

CALLBACK = "RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH"
PLACE = "orchestra.serving.admission.door:middlewares"
HOLD_S = 0.25  # for so long a refusal holds: a queue that was full has not run empty by then
ASKERS = 1024  # whose refusals are remembered, the last ones
WHO = (b"authorization", b"x-api-key", LANE_HEADER)

Key = tuple[str, tuple[bytes, ...]]


def middlewares() -> list[Middleware]:
    """What Serve's proxy is to wrap around itself."""
    return [Middleware(Door, seen=_counter())]


def _counter() -> Callable[[str], None]:
    # The proxy is a process of Ray's, so what it counts stands among Ray's metrics.
    from ray.util.metrics import Counter

    about = "Requests that were refused before they reached an ingress, by the refusal."
    refusals = Counter("orchestra_door_refusals", about, tag_keys=("type",))
    return lambda kind: refusals.inc(tags={"type": kind})


@dataclass(frozen=True, slots=True)
class _Held:
    """A refusal that an ingress made: until when it holds, of which deadlines."""

    until_s: float
    needed_s: float | None  # None: whatever the deadline
    again_s: float


class Refusals:
    """What was refused lately, by who asked for what."""

    def __init__(self) -> None:
        self._held: OrderedDict[Key, _Held] = OrderedDict()

    def note(self, key: Key, needed_s: float | None, again_s: float, now_s: float) -> None:
        """An ingress refused a request; `needed_s` is the deadline that would have done."""
        self._held[key] = _Held(now_s + HOLD_S, needed_s, again_s)
        self._held.move_to_end(key)
        if len(self._held) > ASKERS:
            self._held.popitem(last=False)

    def check(self, key: Key, given_s: float | None, now_s: float) -> None:
        """Raises what an ingress would raise again, for it raised it just now."""
        held = self._held.get(key)
        if held is None or now_s > held.until_s:
            return
        if held.needed_s is None:
            raise QueueFull(
                "The queue is full, and your share of it is taken. Try again in "
                f"{held.again_s:.0f} s, or send fewer at once.",
                retry_after_s=held.again_s,
            )
        if given_s is not None and given_s < held.needed_s:
            raise Overloaded(
                f"It would end after its deadline: latency_ms gives it {given_s * 1000:.0f} ms, "
                f"and {held.needed_s * 1000:.0f} ms are needed now. Try again in "
                f"{held.again_s:.0f} s, or raise latency_ms.",
                retry_after_s=held.again_s,
            )


class Door:
    """ASGI middleware of the proxy; `seen` hears of each refusal."""

    def __init__(self, app: ASGIApp, seen: Callable[[str], None] = lambda kind: None) -> None:
        self._app = app
        self._seen = seen
        self._refusals = Refusals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not is_work(scope):
            await self._pass(scope, receive, send, None)
            return
        headers = MutableHeaders(scope=scope)
        if START_HEADER.decode() not in headers:
            headers.append(START_HEADER.decode(), f"t={time.time():.6f}")
        first = await receive()
        key = None
        # A body that comes in pieces is not waited for.
        body = first.get("body", b"")
        if body and headers.get("content-length") == str(len(body)):
            key = (kind_of(scope["path"], body, len(body)), _who(scope))
            try:
                self._refusals.check(key, deadline_s(body), time.monotonic())
            except Overloaded as error:
                await self._refuse(error, scope, receive, send)
                return
        await self._pass(scope, _after(first, receive), send, key)

    async def _refuse(self, error: Overloaded, scope: Scope, receive: Receive, send: Send) -> None:
        self._seen(error.kind)
        status, answer = problem(error)
        response = JSONResponse(answer, status, headers_of(status, error.retry_after_s))
        await response(scope, receive, send)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, key: Key | None) -> None:
        is_stalled = False
        waiting: asyncio.Future[Message] | None = None

        async def watched() -> Message:
            """What the client sends; one that reads nothing has left, for the application."""
            nonlocal waiting
            waiting = asyncio.ensure_future(receive())
            try:
                return await waiting
            except asyncio.CancelledError:
                if is_stalled:
                    return {"type": "http.disconnect"}
                raise

        async def heard(message: Message) -> None:
            nonlocal is_stalled
            if is_stalled:
                return
            if message["type"] == "http.response.start":
                self._learn(key, message)
            try:
                async with asyncio.timeout(STALL_S):
                    await send(message)
            except TimeoutError:
                self._seen("Stalled")
                is_stalled = True
                if waiting is not None:
                    waiting.cancel()

        await self._app(scope, watched, heard)

    def _learn(self, key: Key | None, message: Message) -> None:
        """Note a refusal; what an ingress tells the door of it goes no further."""
        headers = MutableHeaders(raw=message["headers"])
        told = headers.get(HEADER)
        if told is None:
            return
        message["headers"] = [
            (name, value) for name, value in message["headers"] if name.lower() != HEADER.encode()
        ]
        refusal = read_refusal(told)
        if key is not None and refusal is not None:
            self._refusals.note(key, *refusal, time.monotonic())


def _who(scope: Scope) -> tuple[bytes, ...]:
    sent: dict[bytes, bytes] = dict(scope["headers"])
    return tuple(sent.get(name, b"") for name in WHO)


def _after(first: Message, receive: Receive) -> Receive:
    """`receive`, with a message before what comes."""
    rest: list[Any] = [first]

    async def next_one() -> Message:
        return rest.pop() if rest else await receive()

    return next_one
