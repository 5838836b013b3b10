"""Answers that are ready as bytes, for what is refused hundreds of times a second."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from orchestra.core.errors import Overloaded
from orchestra.serving.admission.patience import STALL_S
from orchestra.serving.problems import headers_of, kind_of_problem, status_of

JSON = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class Prepared:
    """An ASGI application that gives one answer, whatever is asked."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer. A client that does not read it for half a minute goes without the rest."""
        start = {"type": "http.response.start", "status": self.status, "headers": [*self.headers]}
        try:
            async with asyncio.timeout(STALL_S):
                await send(start)
                await send({"type": "http.response.body", "body": self.body})
        except TimeoutError:
            return  # whoever serves closes a connection whose answer has no end


def refused(error: Overloaded) -> Prepared:
    """What a request is told that is not let in: the same as `problem` says of it."""
    status = status_of(error)
    told = {
        "message": str(error),
        "type": kind_of_problem(status),
        "param": None,
        "code": error.kind,
    }
    body = json.dumps({"error": told}, separators=(",", ":"), ensure_ascii=False).encode()
    again = headers_of(status, error.retry_after_s).items()
    headers = [(name.lower().encode(), value.encode()) for name, value in again]
    length = (b"content-length", str(len(body)).encode())
    return Prepared(status, (*headers, length, JSON), body)
