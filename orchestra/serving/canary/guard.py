"""The innermost guard of an application with a canary: it passes a share of the work on.

What the canary fails without charging anything is done again by the stable version, and its client
sees that answer alone. What was charged, or has begun to be streamed, is told as it is: nobody pays
twice for one request.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.observe.metrics import count_retried
from orchestra.observe.outcome import RunEnd, noted_outcomes
from orchestra.serving.canary.seen import CANARY, STABLE
from orchestra.serving.canary.trial import CanaryTrial

VECTORS = "/v1/embeddings"
SHARED = ("/", "/v1/jobs", "/v1/chat/completions", VECTORS)  # work that is split
VERSION_HEADER = b"x-orchestra-version"
STREAM = b"text/event-stream"
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
        asked = await _asked(receive)
        version = self._trial.version_of(asked.body)
        answer = _Answer(version, send, is_held=version == CANARY)
        is_free = await self._tried(version, scope, asked.again(receive), answer)
        if answer.is_held and is_free and scope["path"] != VECTORS:
            count_retried()
            stable = _Answer(STABLE, send, is_held=False)
            await self._tried(STABLE, scope, asked.again(receive), stable)
        else:
            await answer.release()

    async def _tried(self, version: str, scope: Scope, receive: Receive, answer: _Answer) -> bool:
        """Have one version answer; whether it failed, and nothing was charged for that."""
        started = time.monotonic()
        is_failed, ends = True, list[RunEnd]()
        within = dict(scope)  # what routing writes there is of one version
        try:
            with noted_outcomes() as ends:
                await self._versions[version](within, receive, answer.send)
            is_failed = answer.status >= 400 or any(end.status not in WHOLE for end in ends)
        finally:
            scope["route"] = within.get("route")  # spans are named by it
            if answer.status != CLIENT_CLOSED:  # who hangs up tells nothing of the version
                self._trial.ended(version, time.monotonic() - started, is_failed)
        is_free = not any(end.cost_usd for end in ends)
        return is_failed and is_free and answer.status != CLIENT_CLOSED


class _Answer:
    """Sends the answer of a version on; one that `is_held` only once it is sure to be the one.

    A stream is sent as it comes.
    """

    def __init__(self, version: str, send: Send, *, is_held: bool) -> None:
        self.status = 0
        self.is_held = is_held
        self._version = version.encode()
        self._send = send
        self._held: list[Message] = []

    async def send(self, message: Message) -> None:
        """Send it, or hold it back."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message.get("headers", []), (VERSION_HEADER, self._version)]
            message = {**message, "headers": headers}
            kind = dict(headers).get(b"content-type", b"")
            self.is_held = self.is_held and not kind.startswith(STREAM)
        if self.is_held:
            self._held.append(message)
        else:
            await self._send(message)

    async def release(self) -> None:
        """Send what was held back."""
        for message in self._held:
            await self._send(message)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as it was received."""

    messages: Sequence[Message]
    refused: HTTPException | None

    @property
    def body(self) -> bytes:
        return b"".join(one.get("body", b"") for one in self.messages)

    def again(self, receive: Receive) -> Receive:
        """All of it once more, then what `receive` has beyond."""
        left = iter(self.messages)

        async def replayed() -> Message:
            message = next(left, None)
            if message is not None:
                return message
            if self.refused is not None:
                raise self.refused
            return await receive()

        return replayed


async def _asked(receive: Receive) -> _Asked:
    """The messages of a request until its body is whole, or its client is gone, or too much came.

    What a guard raises on the way is for the application to tell, as it would without a canary.
    """
    messages: list[Message] = []
    while True:
        try:
            message = await receive()
        except HTTPException as refused:
            return _Asked(messages, refused)
        messages.append(message)
        if message["type"] != "http.request" or not message.get("more_body", False):
            return _Asked(messages, None)
