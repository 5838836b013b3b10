"""What each request passes before it reaches a route: plain ASGI, around the whole application."""

from __future__ import annotations

from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.observe import metrics
from orchestra.serving.problems import body, reported

MAX_BODY_BYTES = 48 * 2**20  # a photo of 32 MiB, the most that is read, as a data URI


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
    """Refuses a body over the bound, by its header or, where that is silent, as it comes in."""

    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._max_bytes:
            metrics.count_problem("BodyTooLarge")
            refusal = JSONResponse(
                body(413, "BodyTooLarge", self._message(f"{int(declared):,}")), 413
            )
            await refusal(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise HTTPException(413, self._message(f"more than {self._max_bytes:,}"))
            return message

        await self._app(scope, counted, send)

    def _message(self, size: str) -> str:
        return (
            f"The body has {size} bytes; the limit is {self._max_bytes:,}. Send a smaller photo, "
            "or its address."
        )
