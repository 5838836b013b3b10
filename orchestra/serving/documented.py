"""What the document says of each route beside its answer: the errors it may give, and streams.

Whatever stands before the routes refuses with one of `GUARDS`, so each route has those; `WORK` is
what running something can come to, `READING` what looking something up can.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from orchestra.serving.words import ProblemBody

Responses = dict[int | str, dict[str, Any]]
ABOUT = {
    400: "The request is wrong: the message names what, and the cure",
    401: "No key, or one that is not known or was revoked",
    402: "What a budget has left does not hold it",
    403: "The key may not do this",
    404: "There is none of that name",
    409: "It is under way, or has changed meanwhile",
    408: "The body came too slowly",
    413: "The body is too large",
    421: "The server does not go by this name",
    422: "No plan fits the budget, or the model refused to answer",
    429: "Too much was asked: come again after `Retry-After`",
    431: "Too many headers, or too long ones",
    500: "A fault of the server, which its log tells of",
    502: "A model gave no usable answer",
    503: "Something does not answer: come again after `Retry-After`",
    504: "The deadline has passed",
    507: "The disk is full",
}
GUARDS = (400, 401, 403, 408, 413, 421, 429, 431, 500, 503)
READING = (404,)
WORK = (402, 404, 409, 422, 502, 504, 507)
_EVENT = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
}
STREAMED: Responses = {
    200: {
        "description": "The answer; with `stream`, chunks of it as server-sent events.",
        "content": {"text/event-stream": {"schema": _EVENT}},
    }
}


def errors(*statuses: int) -> Responses:
    """The errors of a route, each with OpenAI's body."""
    return {
        status: {"model": ProblemBody, "description": ABOUT[status]} for status in sorted(statuses)
    }


def document(app: FastAPI) -> None:
    """Have the document say what is so: a body that does not validate is 400 here, not 422."""

    def made() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
            )
            for operation in (one for path in schema["paths"].values() for one in path.values()):
                said = operation["responses"].get("422", {})
                if "HTTPValidationError" in str(said):
                    del operation["responses"]["422"]
            for unused in ("HTTPValidationError", "ValidationError"):
                schema["components"]["schemas"].pop(unused, None)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = made  # type: ignore[method-assign]  # as FastAPI's documentation has it
