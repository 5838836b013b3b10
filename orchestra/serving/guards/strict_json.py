"""Reads the JSON of a request strictly: what could be read in two ways is refused, with the reason.

Python's own reader takes the last of two equal keys, NaN, and as many brackets as its stack holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from itertools import accumulate
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from orchestra.serving.gone import HungUp

MOST_DEPTH = 64  # of lists and objects in each other
MOST_DIGITS = 300  # of a number
STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))
STEP = {byte: 1 if byte in b"[{" else -1 for byte in b"[]{}"}


class StrictRequest(Request):
    """A request whose body is read strictly."""

    async def json(self) -> Any:
        """The body's JSON. Raises `HTTPException` with status 400 that says what is wrong."""
        if not hasattr(self, "_json"):
            self._json = read_json(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route that is given a `StrictRequest`; who leaves before the body is whole hung up."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's own handler, behind a request that reads strictly."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            try:
                return await handle(StrictRequest(request.scope, request.receive))
            except HTTPException as error:  # FastAPI takes what it cannot read for a bad body
                if isinstance(error.__cause__, ClientDisconnect):
                    raise HungUp from None
                raise

        return strict


def read_json(body: bytes) -> Any:
    """The JSON of a body. Raises `HTTPException` (400) that names the fault and where it is."""
    check_depth(body)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise _refused(
            f"byte {error.start} is {body[error.start : error.start + 1]!r}, which is no UTF-8. "
            "Encode it as UTF-8"
        ) from error
    if text.startswith("\ufeff"):
        raise _refused("it begins with a byte order mark. Leave that out")
    try:
        value = json.loads(
            text, object_pairs_hook=_once, parse_constant=_no_constant, parse_int=_whole
        )
        if SURROGATE.search(body):
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeEncodeError as error:
        half = error.object[error.start : error.start + 1]
        raise _refused(
            f"a string holds {half!r}, half of a surrogate pair. Cut texts at whole characters"
        ) from error
    except json.JSONDecodeError as error:
        raise _refused(
            f"{error.msg} at line {error.lineno}, column {error.colno}. Correct it there"
        ) from error


def check_depth(body: bytes) -> None:
    """Raise `HTTPException` (400) for lists and objects too deep in each other."""
    if body.count(b"[") + body.count(b"{") <= MOST_DEPTH:
        return
    brackets = STRING.sub(b"", body).translate(None, NO_BRACKET)
    depth = max(accumulate(map(STEP.__getitem__, brackets)), default=0)
    if depth > MOST_DEPTH:
        raise _too_deep(f"{depth:,}")


def _too_deep(depth: str) -> HTTPException:
    return _refused(
        f"it has lists and objects {depth} deep in each other; the limit is {MOST_DEPTH}. "
        "Flatten it"
    )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of pairs, each key once and of whole characters."""
    made: dict[str, Any] = {}
    for key, value in pairs:
        if key in made:
            raise _refused(f"the key {key!r:.80} stands twice in one object. Give it once")
        made[key] = value
    return made


def _no_constant(name: str) -> Any:
    raise _refused(f"{name} is no JSON. Give a number, or null")


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise _refused(
            f"the number {digits[:12]}... has {len(digits):,} digits; the limit is {MOST_DIGITS}. "
            "Give fewer"
        )
    return int(digits)


def _refused(why: str) -> HTTPException:
    return HTTPException(400, f"The body cannot be read as JSON: {why}.")
