"""What each request passes before it reaches a route: plain ASGI, around the whole application."""

from __future__ import annotations

import asyncio
import time

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.observe import metrics
from orchestra.serving.guards.body_limits import BodyBound, BodyLimits, PlainBytes, allowed_s
from orchestra.serving.problems import body, reported

MOST_HEADERS, MOST_HEADER_BYTES = 128, 32 * 1024


class NothingForeseen:
    """Tells a client of an error that nobody foresaw.

    A handler would do, but what it handles is raised on to the server all the same, which logs
    the message, and with it what the message quotes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        is_begun = False

        async def noted(message: Message) -> None:
            nonlocal is_begun
            is_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            status, answer = reported(error)
            if is_begun:
                raise  # half an answer: the server must break the connection
            await JSONResponse(answer, status)(scope, receive, send)


class BodyLimit:
    """Refuses headers and bodies over the bound of their route, and bodies that do not come.

    A body is judged by its header or, where that is silent, as it comes in; who reads it first may
    have refused the request before.
    """

    def __init__(self, app: ASGIApp, limits: BodyLimits | None = None) -> None:
        self._app = app
        self._limits = limits or BodyLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        bound = self._limits.of(scope["path"])
        wrong = _wrong_headers(scope) or _wrong_length(scope, bound)
        if wrong is not None:
            await refused(*wrong)(scope, receive, send)
            return
        await self._app(scope, _Counted(receive, bound), send)


class _Counted:
    """Receives a body within its bounds. Raises `HTTPException` with 413 or 408 for another."""

    def __init__(self, receive: Receive, bound: BodyBound) -> None:
        self._receive, self._bound, self._plain = receive, bound, PlainBytes()
        self._received = 0
        self._began = time.monotonic()
        self._is_whole = False

    async def __call__(self) -> Message:
        """The next message."""
        if self._is_whole:  # whoever waits for a hang-up may wait for long
            return await self._receive()
        left_s = self._began + allowed_s(self._received) - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left_s)):
                message = await self._receive()
        except TimeoutError:
            raise closing(408, self._slow()) from None
        block = message.get("body", b"")
        self._is_whole = not message.get("more_body", False)
        self._received += len(block)
        if self._received > self._bound.all_bytes:
            raise closing(413, too_large(f"more than {self._bound.all_bytes:,}", self._bound))
        if self._bound.plain_bytes < self._bound.all_bytes:
            self._plain.add(block)
            if self._plain.count > self._bound.plain_bytes:
                size = f"more than {self._bound.plain_bytes:,}"
                raise closing(413, too_large(size, self._bound, " beside its photos"))
        return message

    def _slow(self) -> str:
        seconds = time.monotonic() - self._began
        return (
            f"Of the body {self._received:,} bytes came in {seconds:.0f} s, and no more; it has to "
            f"come within {allowed_s(0):.0f} s and at {1 / (allowed_s(1) - allowed_s(0)):,.0f} "
            "bytes a second. Send it again over a faster connection, or photos by their addresses."
        )


def closing(status: int, message: str) -> HTTPException:
    """A refusal behind which the rest of the body is not read."""
    return HTTPException(status, message, {"Connection": "close"})


def refused(status: int, code: str, message: str) -> JSONResponse:
    """The answer to a request that goes no further; it is counted."""
    metrics.count_problem(code)
    return JSONResponse(body(status, code, message), status, {"Connection": "close"})


def too_large(size: str, bound: BodyBound, where: str = "") -> str:
    """What a body of `size` bytes is told."""
    cure = "Send a smaller photo, or its address."
    if where or bound.plain_bytes == bound.all_bytes:
        cure = "Send less text: what no model of the fleet can read is not taken."
    limit = bound.plain_bytes if where else bound.all_bytes
    return f"The body has {size} bytes{where}; the limit is {limit:,}. {cure}"


def _wrong_headers(scope: Scope) -> tuple[int, str, str] | None:
    headers = scope["headers"]
    size = sum(len(name) + len(value) for name, value in headers)
    if len(headers) > MOST_HEADERS or size > MOST_HEADER_BYTES:
        return (
            431,
            "HeadersTooLarge",
            (
                f"The request has {len(headers)} headers of {size:,} bytes; the limits are "
                f"{MOST_HEADERS} and {MOST_HEADER_BYTES:,}. Leave out those that nobody reads."
            ),
        )
    packed = [value for name, value in headers if name == b"content-encoding"]
    if any(value.strip().lower() not in (b"", b"identity") for value in packed):
        return (
            415,
            "BodyEncoded",
            (
                f"The body's Content-Encoding is {packed[0][:40].decode('latin-1')!r}; bodies are "
                "read as they are. Send it without."
            ),
        )
    return None


def _wrong_length(scope: Scope, bound: BodyBound) -> tuple[int, str, str] | None:
    told = {value.strip() for name, value in scope["headers"] if name == b"content-length"}
    if len(told) > 1 or any(not value.isdigit() or len(value) > 18 for value in told):
        shown = b", ".join(sorted(told))[:80].decode("latin-1")
        return (
            400,
            "InvalidRequest",
            (
                f"The request's Content-Length is {shown!r}, and has to be one number. Send "
                "the number of the body's bytes."
            ),
        )
    length = int(next(iter(told), b"0"))
    if length > bound.all_bytes:
        return 413, "BodyTooLarge", too_large(f"{length:,}", bound)
    return None
