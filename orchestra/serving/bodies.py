"""Bodies of JSON as they are read: strictly, so that whatever is accepted can be told again.

Python's own reader takes numbers that JSON has not, halves of characters, and nesting until it
falls over; each of those would fail later, at a place that cannot say what was wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

MOST_NUMBER_DIGITS = 4300  # of Python's own reader


class StrictRequest(Request):
    """A request whose body is JSON as RFC 8259 has it."""

    async def json(self) -> Any:
        """The body's value. Raises `HTTPException` 400 for what is no JSON in UTF-8."""
        if not hasattr(self, "_json"):
            self._json = read_json(await self.body())
        return self._json


class StrictRoute(APIRoute):
    """A route that reads its body so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's handler, given such a request."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handle(StrictRequest(request.scope, request.receive))

        return strict


def read_json(raw: bytes) -> Any:
    """The value of a body. Raises `HTTPException` 400 naming what is no JSON, and the cure."""
    try:
        value = json.loads(raw, parse_constant=_no_number)
        if b"\\u" in raw:
            # Half of a character cannot be written again, wherever it would stand.
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise _refused("it is nested too deeply. Send fewer levels") from None
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise _refused(f"it holds half of a character, {half!r}. Send whole ones") from None
    except UnicodeDecodeError as error:
        raise _refused(f"byte {error.start} is not UTF-8. Encode the body as UTF-8") from None
    except json.JSONDecodeError as error:
        raise _refused(f"{error.msg} at character {error.pos}. Send one JSON object") from None
    except ValueError as error:  # a number that is too long, or none
        told = str(error) if "NaN" in str(error) or "Infinity" in str(error) else ""
        said = told or f"a number has more than {MOST_NUMBER_DIGITS} digits"
        raise _refused(f"{said}. Send a number that JSON has") from None
    return value


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def _refused(why: str) -> HTTPException:
    return HTTPException(400, f"The body cannot be read: {why}.")
