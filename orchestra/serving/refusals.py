"""Errors as the application answers them, whichever part of it they come from."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from orchestra.core.errors import Cancelled, OrchestraError
from orchestra.observe import metrics
from orchestra.serving.gone import HungUp
from orchestra.serving.problems import CLIENT_CLOSED, body, headers_of, reported

NOT_KEPT = "No response is kept: send the whole conversation as input"
CURES = {  # of what validates in one form only, which asks for nothing
    "previous_response_id": NOT_KEPT,
    "conversation": NOT_KEPT,
    "prompt": "No prompt is kept: send its text as instructions",
    "background": "Nothing runs unheard but a batch: see POST /v1/batches",
    "truncation": "No conversation is cut: leave it out",
    "n": "One answer is made of a request: send it again for another",
    "stop": "An answer is not cut at words: leave it out, and cut it yourself",
    "tool_choice": "No tool is called here: leave tools out, or let a graph call them",
    "functions": "No function is called here: leave it out, or let a graph call them",
    "logprobs": "Confidence of fields stands in `orchestra.fields`: leave it out",
    "top_logprobs": "Confidence of fields stands in `orchestra.fields`: leave it out",
    "logit_bias": "A card decides how its tokens are drawn: leave it out",
    "presence_penalty": "A card decides how its tokens are drawn: leave it out",
    "frequency_penalty": "A card decides how its tokens are drawn: leave it out",
    "modalities": "Answers are text: leave it out",
}


def add_errors(app: FastAPI) -> None:
    """Have every error answered in one form."""

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
        headers = {**headers_of(error.status_code), **(error.headers or {})}
        if error.status_code == 405:
            headers["Allow"] = ", ".join(request.scope.get("orchestra.methods", ()))
        return JSONResponse(body(error.status_code, code, message), error.status_code, headers)

    @app.exception_handler(HungUp)
    async def on_hung_up(request: Request, error: HungUp) -> Response:
        metrics.count_problem(Cancelled.__name__)
        return Response(status_code=CLIENT_CLOSED)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        """What does not validate: where, what was given, and what may stand there."""
        first = min(error.errors(), key=lambda entry: entry["type"] != "extra_forbidden")
        place = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
        given = repr(first.get("input"))
        if isinstance(first.get("input"), bytes):
            given = "a body that is not application/json: send that Content-Type"
        shown = given if len(given) <= 80 else f"{given[:80]}..."
        cure = CURES.get(place.partition(".")[0])
        keys = "" if cure else _keys(request)
        fault = first["msg"].removeprefix("Value error, ")
        message = f"{place}: {fault} (got {shown}). {cure or keys}. See /docs."
        metrics.count_problem("InvalidRequest")
        return JSONResponse(body(400, "InvalidRequest", message, place), 400)


def refusal(error: OrchestraError) -> Response:
    """The answer of a request that got `error`, which is counted and logged."""
    status, answer = reported(error)
    return JSONResponse(answer, status, headers_of(status, error.retry_after_s))


def _keys(request: Request) -> str:
    """The keys that the body of a request may have, or the query where it takes no body."""
    route = request.scope["route"]
    if route.body_field is not None:
        kind = route.body_field.field_info.annotation
        fields = getattr(kind, "model_fields", None)  # a body of any keys has none
        return "It takes an object" if fields is None else f"Keys: {', '.join(fields)}"
    return f"Keys: {', '.join(field.name for field in route.dependant.query_params)}"
