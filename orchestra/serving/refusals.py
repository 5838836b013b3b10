"""Errors as the application answers them, whichever part of it they come from."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from orchestra.core.errors import Cancelled, OrchestraError
from orchestra.observe import metrics
from orchestra.serving.gone import HungUp
from orchestra.serving.problems import CLIENT_CLOSED, body, headers_of, reported
from orchestra.serving.words import (
    AnswerRequest,
    ChatRequest,
    JobRequest,
    RunRequest,
    VectorRequest,
)

BODIES = {  # by path; see `_body`
    "/v1/chat/completions": ChatRequest,
    "/v1/embeddings": VectorRequest,
    "/v1/plan": JobRequest,
}


def add_errors(app: FastAPI) -> None:
    @app.exception_handler(OrchestraError)
    async def on_error(request: Request, error: OrchestraError) -> Response:
        return refusal(error)

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        """No such route, a wrong method, or a body that is too large, too slow, or no JSON."""
        codes = {
            404: "NoSuchRoute",
            405: "WrongMethod",
            408: "BodyTooSlow",
            413: "BodyTooLarge",
        }
        code = codes.get(error.status_code, "InvalidRequest")
        message = str(error.detail)
        if error.status_code in (404, 405):
            message = f"{message}: {request.method} {request.url.path}. See /docs for the routes."
        metrics.count_problem(code)
        answer = body(error.status_code, code, message)
        return JSONResponse(answer, error.status_code, error.headers)

    @app.exception_handler(HungUp)
    async def on_hung_up(request: Request, error: HungUp) -> Response:
        metrics.count_problem(Cancelled.__name__)
        return Response(status_code=CLIENT_CLOSED)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        """What does not validate: where, what was given, and what may stand there."""
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
        given = repr(first.get("input"))
        if isinstance(first.get("input"), bytes):
            given = "a body that is not application/json: send that Content-Type"
        shown = given if len(given) <= 80 else f"{given[:80]}..."
        keys = ", ".join(_body(request.url.path).model_fields)
        message = f"{place}: {first['msg']} (got {shown}). Keys: {keys}. See /docs."
        metrics.count_problem("InvalidRequest")
        return JSONResponse(body(400, "InvalidRequest", message, place), 400)


def refusal(error: OrchestraError) -> Response:
    """The answer of a request that got `error`, which is counted and logged."""
    status, answer = reported(error)
    return JSONResponse(answer, status, headers_of(status, error.retry_after_s))


def _body(path: str) -> type[BaseModel]:
    """What the body of a request to `path` is read as."""
    return BODIES.get(path) or (AnswerRequest if path.endswith("/answer") else RunRequest)
