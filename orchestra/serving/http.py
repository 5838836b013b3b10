"""The HTTP face of a `Service`, under any ASGI server: routes, streams, errors, hang-ups.

What a run does is told as it does it (`told.py`). A question to one model is streamed as it is
decoded, and so is a graph's answer where one ask's text is sure to be it; another exists only at
its end and comes as one piece. An error before the first piece is an ordinary error response; one
after it ends the stream with an event that holds the error.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.core.errors import Cancelled, OrchestraError, UsageError
from orchestra.core.job import Result
from orchestra.core.tags import problem, read_tags
from orchestra.graph.threads import Thread
from orchestra.observe import metrics
from orchestra.observe.trace import span
from orchestra.serving.chat import ChatChunks
from orchestra.serving.problems import CLIENT_CLOSED, STATUSES, body, headers_of, reported
from orchestra.serving.service import Service
from orchestra.serving.stream import KEEPALIVE, KEEPALIVE_S, EventStream, Telling
from orchestra.serving.told import run_stream
from orchestra.serving.words import (
    AnswerRequest,
    ChatAnswer,
    ChatRequest,
    Health,
    JobRequest,
    ModelEntry,
    ModelList,
    ProblemBody,
    RunRequest,
    ThreadList,
    VectorAnswer,
    VectorRequest,
)

TAG_HEADER = "X-Orchestra-Tag"
MAX_BODY_BYTES = 48 * 2**20  # a photo of 32 MiB, the most that is read, as a data URI
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProblemBody}
    for status in sorted({413, *(status for _, status in STATUSES)} - {CLIENT_CLOSED})
}
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream`, chunks of it as server-sent events.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    }
}
BODIES = {  # by path; see `_body`
    "/v1/chat/completions": ChatRequest,
    "/v1/embeddings": VectorRequest,
    "/v1/plan": JobRequest,
}
T = TypeVar("T")
DONE = "data: [DONE]\n\n"


class HungUp(Exception):
    """The client is gone, and its work was cancelled."""


def make_app(service: Service, *, keepalive_s: float = KEEPALIVE_S) -> FastAPI:
    """The application of one ingress replica; a stream is not silent for longer than that."""
    app = FastAPI(
        title="Orchestra",
        description="One graph, many models, one budget. POST / is the same as POST /v1/jobs.",
        responses=ERRORS,
    )
    app.add_middleware(BodyLimit)
    app.add_middleware(NothingForeseen)
    _add_errors(app)
    _add_jobs(app, service, keepalive_s)
    _add_threads(app, service, keepalive_s)
    _add_chat(app, service, keepalive_s)
    _add_state(app, service)
    return app


def _add_jobs(app: FastAPI, service: Service, keepalive_s: float) -> None:
    @app.post("/", include_in_schema=False)
    @app.post("/v1/jobs", response_model=Result, responses=STREAMED)
    async def jobs(job: RunRequest, request: Request) -> Any:
        """Run a job through a graph: every field with its source, evidence and confidence.

        With `stream`, an event for each chunk of `stream_mode`, then the result.
        """
        with _span(request, "jobs"):
            tagged = job.model_copy(update={"tags": _tags(request, job.tags)})
            if not tagged.stream:
                return await until_gone(request, service.job(tagged))
            start = functools.partial(service.job, tagged)
            return await until_gone(request, run_stream(start, keepalive_s))

    @app.post("/v1/plan")
    async def plan(job: JobRequest, request: Request) -> dict[str, Any]:
        """How a job would be routed and what it would cost at most; spends nothing."""
        with _span(request, "plan"):
            return (await service.plan(job)).public()


def _add_threads(app: FastAPI, service: Service, keepalive_s: float) -> None:
    @app.get("/v1/threads")
    async def threads() -> ThreadList:
        """The runs that wait for an answer or were left, the first kept first."""
        return ThreadList(data=await service.threads())

    @app.get("/v1/threads/{thread_id:path}")
    async def thread(thread_id: str) -> Thread:
        """One of them, and what it asks."""
        return await service.thread(thread_id)

    @app.post("/v1/threads/{thread_id:path}/answer", response_model=Result, responses=STREAMED)
    async def answer(thread_id: str, given: AnswerRequest, request: Request) -> Any:
        """Go on with a run: its result, or what it asks next. Of two answers one is heard."""
        with _span(request, "answer"):
            if not given.stream:
                return await until_gone(request, service.answer(thread_id, given))
            start = functools.partial(service.answer, thread_id, given)
            return await until_gone(request, run_stream(start, keepalive_s))


def _add_chat(app: FastAPI, service: Service, keepalive_s: float) -> None:
    @app.post("/v1/chat/completions", response_model=ChatAnswer, responses=STREAMED)
    async def chat(chat_request: ChatRequest, request: Request) -> Any:
        """OpenAI's chat completion; `model` is a card, a graph or `auto`."""
        tags = _tags(request, chat_request.metadata or {})
        tagged = chat_request.model_copy(update={"metadata": tags})
        with _span(request, "chat"):
            if tagged.stream:
                return await until_gone(request, chat_stream(service, tagged, keepalive_s))
            return await until_gone(request, service.chat(tagged))

    @app.post("/v1/embeddings")
    async def embeddings(asked: VectorRequest, request: Request) -> VectorAnswer:
        """OpenAI's embeddings; `model` is a card that offers `encode`, or `auto`."""
        with _span(request, "embeddings"):
            return await until_gone(request, service.vectors(asked, _tags(request, {})))

    @app.get("/v1/models")
    async def models() -> ModelList:
        """The names that `model` may take."""
        return ModelList(data=service.models())

    @app.get("/v1/models/{name:path}")
    async def model(name: str) -> ModelEntry:
        """One of them."""
        return service.model(name)


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def healthz() -> Health:
        """Whether this process answers."""
        return Health(status="ok")

    @app.get("/readyz", responses={503: {"model": Health}})
    async def readyz() -> JSONResponse:
        """Whether every model can answer, and why one cannot."""
        models = await service.ready()
        ready = all(state == "ready" for state in models.values())
        state = Health(status="ok" if ready else "not ready", models=models)
        return JSONResponse(state.model_dump(), 200 if ready else 503)

    @app.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        """Prometheus metrics of this ingress replica."""
        return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)


def _tags(request: Request, given: Mapping[str, str]) -> dict[str, str]:
    """The tags of a request: those of its body, and `X-Orchestra-Tag: key=value` headers.

    Raises `UsageError` for a header that is no pair, or for too many.
    """
    tags = {**read_tags(request.headers.getlist(TAG_HEADER)), **given}
    wrong = problem(tags)
    if wrong is not None:
        raise UsageError(wrong)
    return tags


def _span(request: Request, route: str) -> Any:
    """One span around a request, a child of the caller's if it sent a `traceparent`."""
    sent = {name: request.headers[name] for name in ("traceparent",) if name in request.headers}
    return span("orchestra.http", {"http.route": route}, sent)


async def until_gone(request: Request, work: Awaitable[T]) -> T:
    """What `work` returns; a client that hangs up cancels it, down to the decoding.

    Raises `HungUp` then.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.create_task(_hang_up(request.receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise HungUp
        return task.result()
    except asyncio.CancelledError:  # Ray Serve tells of a hang-up like this as well
        metrics.count_problem(Cancelled.__name__)
        raise
    finally:
        watch.cancel()
        task.cancel()


async def _hang_up(receive: Callable[[], Awaitable[Message]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        """The rest of a body that was read already."""


async def chat_stream(service: Service, request: ChatRequest, idle_s: float) -> EventStream:
    """The answer as a stream. Raises an error that comes before the first piece."""
    telling = await Telling.begin(lambda tell: service.chat(request, tell))
    return EventStream(telling, _chat_events(request, telling, idle_s))


async def _chat_events(
    request: ChatRequest, telling: Telling[ChatAnswer], idle_s: float
) -> AsyncIterator[str]:
    chunks = ChatChunks(request)
    yield chunks.event(chunks.delta({"role": "assistant", "content": ""}))
    is_heard = False
    async for piece in telling.pieces(idle_s):
        is_heard = is_heard or piece is not None
        yield KEEPALIVE if piece is None else chunks.event(chunks.delta({"content": piece}))
    if telling.end is None:
        return
    if isinstance(telling.end.outcome, Exception):
        yield chunks.event(reported(telling.end.outcome)[1])
        return
    for chunk in chunks.ending(telling.end.outcome, is_heard=is_heard):
        yield chunks.event(chunk)
    yield DONE


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(OrchestraError)
    async def on_error(request: Request, error: OrchestraError) -> Response:
        status, answer = reported(error)
        return JSONResponse(answer, status, headers_of(status))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        """No such route, a wrong method, or a body over the bound."""
        codes = {404: "NoSuchRoute", 405: "WrongMethod", 413: "BodyTooLarge"}
        code = codes.get(error.status_code, "InvalidRequest")
        message = str(error.detail)
        if error.status_code in (404, 405):
            message = f"{message}: {request.method} {request.url.path}. See /docs for the routes."
        metrics.count_problem(code)
        return JSONResponse(body(error.status_code, code, message), error.status_code)

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


def _body(path: str) -> type[BaseModel]:
    """What the body of a request to `path` is read as."""
    return BODIES.get(path) or (AnswerRequest if path.endswith("/answer") else RunRequest)


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
