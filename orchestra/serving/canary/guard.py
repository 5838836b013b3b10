"""The innermost guard of an application with a canary: it passes a share of the work on."""

from __future__ import annotations

import time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.observe.outcome import noted_outcomes
from orchestra.serving.canary.trial import CANARY, STABLE, CanaryTrial

SHARED = ("/", "/v1/jobs", "/v1/chat/completions", "/v1/embeddings")  # work that is split
VERSION_HEADER = b"x-orchestra-version"
CLIENT_CLOSED = 499
WHOLE = ("complete", "review", "waiting")  # statuses of a result that is not less than asked


class Canary:
    """The innermost guard: passes a share of the work to the routes of another version."""

    def __init__(self, app: ASGIApp, other: ASGIApp, trial: CanaryTrial) -> None:
        self._versions = {STABLE: app, CANARY: other}
        self._trial = trial

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note how it ended."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] not in SHARED:
            await self._versions[STABLE](scope, receive, send)
            return
        messages, refused = await _body_of(receive)
        version = self._trial.version_of(b"".join(one.get("body", b"") for one in messages))
        status = 0

        async def replayed() -> Message:
            if messages:
                return messages.pop(0)
            if refused is not None:
                raise refused
            return await receive()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message.get("headers", []), (VERSION_HEADER, version.encode())]
                message = {**message, "headers": headers}
            await send(message)

        started = time.monotonic()
        is_failed = True
        with noted_outcomes() as outcomes:
            try:
                await self._versions[version](scope, replayed, noted)
                is_failed = status >= 400 or any(one not in WHOLE for one in outcomes)
            finally:
                if status != CLIENT_CLOSED:  # who hangs up tells nothing of the version
                    self._trial.ended(version, time.monotonic() - started, is_failed)


async def _body_of(receive: Receive) -> tuple[list[Message], HTTPException | None]:
    """The messages of a request until its body is whole, or its client is gone, or too much came.

    What a guard raises on the way is for the application to tell, as it would without a canary.
    """
    messages: list[Message] = []
    while True:
        try:
            message = await receive()
        except HTTPException as refused:
            return messages, refused
        messages.append(message)
        if message["type"] != "http.request" or not message.get("more_body", False):
            return messages, None
