"""A request that is sent again under the same `Idempotency-Key` is done once, and answered alike.

What the draft of the IETF's HTTP API group says of that header holds: another body under a known
key is refused, and so is one that comes while the first is under way. An answer is kept for a day,
for its tenant alone. One that may turn out otherwise (a budget, a rate, a server that rests) is not
kept: the same key then asks anew.
"""

from __future__ import annotations

import hashlib
import time

from fastapi.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.access.principal import principal
from orchestra.book.filing.entries import KeptAnswer
from orchestra.book.filing.filing import Filing
from orchestra.observe import metrics
from orchestra.serving.problems import body

HEADER = b"idempotency-key"
REPLAYED = "Idempotent-Replayed"
MOST_KEY_CHARS = 255
KEPT_S = 86_400
HELD_S = 900  # a key whose process died is free again
MOST_ANSWER_BYTES = 16 * 2**20
FINAL = (200, 400, 404, 413, 422)
ENDS = (b"data: [DONE]\n\n", b"event: result\n", b"event: response.completed\n")  # of a stream
FILES = "/v1/files"  # its bodies differ each time: their parts are told apart by chance


class Once:
    """Stands before the routes, behind whatever says who asks."""

    def __init__(self, app: ASGIApp, filing: Filing) -> None:
        self._app = app
        self._filing = filing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it as it was answered before."""
        key = _key(scope)
        if key is None:
            await self._app(scope, receive, send)
            return
        if not key.strip() or len(key) > MOST_KEY_CHARS or scope["path"].startswith(FILES):
            why = f"Idempotency-Key has {len(key)} characters. Give 1 to {MOST_KEY_CHARS}."
            if scope["path"].startswith(FILES):
                why = "Idempotency-Key has no effect on files. Leave it out."
            await _refusal(400, "InvalidRequest", why)(scope, receive, send)
            return
        raw = await _whole(receive)
        if raw is None:
            return  # it hung up before it was there
        asked = hashlib.sha256(b"\0".join((scope["path"].encode(), scope["query_string"], raw)))
        await self._once(key, asked.hexdigest(), raw, scope, receive, send)

    async def _once(
        self, key: str, asked: str, raw: bytes, scope: Scope, receive: Receive, send: Send
    ) -> None:
        tenant, now = principal().tenant, int(time.time())
        known = self._filing.claim_key(tenant, key, asked, now=now, until=now + HELD_S)
        if known is not None:
            await _told_again(known, asked)(scope, receive, send)
            return
        heard = _Heard(send)
        try:
            await self._app(scope, _given(raw, receive), heard.send)
        finally:
            answer = heard.answer(asked)
            if answer is None:
                self._filing.free_key(tenant, key)
            else:
                self._filing.keep_answer(tenant, key, answer, until=now + KEPT_S)


class _Heard:
    """Passes an answer on, and remembers it as far as it may be given again."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._status = 0
        self._kind = b""
        self._parts: list[bytes] = []
        self._size = 0
        self._is_whole = False

    async def send(self, message: Message) -> None:
        """Send one message on."""
        await self._send(message)
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._kind = dict(message["headers"]).get(b"content-type", b"")
        elif message["type"] == "http.response.body":
            part = message.get("body", b"")
            self._size += len(part)
            if self._size <= MOST_ANSWER_BYTES:
                self._parts.append(part)
            self._is_whole = not message.get("more_body", False)

    def answer(self, asked: str) -> KeptAnswer | None:
        """The answer, if it is whole and would be the same another time."""
        if not self._is_whole or self._status not in FINAL or self._size > MOST_ANSWER_BYTES:
            return None
        said = b"".join(self._parts)
        if self._kind.startswith(b"text/event-stream") and not any(end in said for end in ENDS):
            return None  # it broke off with an error
        return KeptAnswer(asked, self._status, self._kind.decode("latin-1"), said)


def _key(scope: Scope) -> str | None:
    if scope["type"] != "http" or scope["method"] != "POST":
        return None
    found = dict(scope["headers"]).get(HEADER)
    return None if found is None else found.decode("latin-1")


def _told_again(known: KeptAnswer, asked: str) -> Response:
    if known.asked != asked:
        return _refusal(
            422,
            "IdempotencyKeyReused",
            "This Idempotency-Key came with another request. Give each request a key of its own.",
        )
    if known.status is None:
        return _refusal(
            409,
            "IdempotencyUnderWay",
            "The request of this Idempotency-Key is under way. Send it again for its answer.",
            {"Retry-After": "1"},
        )
    headers = {"Content-Type": known.kind, REPLAYED: "true"}
    return Response(known.body, known.status, headers)


def _refusal(
    status: int, code: str, message: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    metrics.count_problem(code)
    return JSONResponse(body(status, code, message), status, headers)


async def _whole(receive: Receive) -> bytes | None:
    """The body; None from who hung up."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _given(raw: bytes, receive: Receive) -> Receive:
    """The body once, then what comes after it."""
    is_given = False

    async def again() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": raw, "more_body": False}

    return again
