"""The HTTP face of a `Service`, under any ASGI server: routes, streams, errors, hang-ups.

A question to one model is streamed as it is decoded; a graph's answer exists only at its end and
comes as one piece. An error before the first piece is an ordinary error response; one after it
ends the stream with an event that holds the error.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.core.errors import Cancelled, OrchestraError, UsageError
from orchestra.core.job import Result
from orchestra.core.tags import problem, read_tags
from orchestra.observe import metrics
from orchestra.observe.trace import span
from orchestra.serving.chat import ChatChunks
from orchestra.serving.problems import CLIENT_CLOSED, STATUSES, body, headers_of, reported
from orchestra.serving.service import Service
from orchestra.serving.words import (
    ChatAnswer,
    ChatRequest,
    Health,
    JobRequest,
    ModelEntry,
    ModelList,
    ProblemBody,
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
T = TypeVar("T")
Event = str | ChatAnswer | Exception
Queue = asyncio.Queue[Event]
Task = asyncio.Task[None]
DONE = "data: [DONE]\n\n"


class HungUp(Exception):
    """The client is gone, and its work was cancelled."""


def make_app(service: Service) -> FastAPI:
    """The application of one ingress replica."""
    app = FastAPI(
        title="Orchestra",
        description="One graph, many models, one budget. POST / is the same as POST /v1/jobs.",
        responses=ERRORS,
    )
    app.add_middleware(BodyLimit)
    app.add_middleware(NothingForeseen)
    _add_errors(app)
    _add_jobs(app, service)
    _add_chat(app, service)
    _add_state(app, service)
    return app


def _add_jobs(app: FastAPI, service: Service) -> None:
    @app.post("/", include_in_schema=False)
    @app.post("/v1/jobs", response_model=Result)
    async def jobs(job: JobRequest, request: Request) -> Result:
        """Run a job through a graph: every field with its source, evidence and confidence."""
        with _span(request, "jobs"):
            tagged = job.model_copy(update={"tags": _tags(request, job.tags)})
            return await until_gone(request, service.job(tagged))

    @app.post("/v1/plan")
    async def plan(job: JobRequest, request: Request) -> dict[str, Any]:
        """How a job would be routed and what it would cost at most; spends nothing."""
        with _span(request, "plan"):
            return (await service.plan(job)).public()


def _add_chat(app: FastAPI, service: Service) -> None:
    @app.post("/v1/chat/completions", response_model=ChatAnswer, responses=STREAMED)
    async def chat(chat_request: ChatRequest, request: Request) -> Any:
        """OpenAI's chat completion; `model` is a card, a graph or `auto`."""
        tags = _tags(request, chat_request.metadata or {})
        tagged = chat_request.model_copy(update={"metadata": tags})
        with _span(request, "chat"):
            if tagged.stream:
                return await until_gone(request, chat_stream(service, tagged))
            return await until_gone(request, service.chat(tagged))

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


class ChatStream(StreamingResponse):
    """An answer that is told while `task` makes it; who stops listening ends the task.

    That must not be left to the generator: one whose reader is gone before the first event never
    runs, and so never comes to its end either.
    """

    def __init__(self, request: ChatRequest, first: Event, queue: Queue, task: Task) -> None:
        super().__init__(self._events(request, first, queue), media_type="text/event-stream")
        self._task = task
        self._is_told = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; at their end nobody works on the answer any more."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._task.cancel()
            if not self._is_told:
                metrics.count_problem(Cancelled.__name__)

    async def _events(self, request: ChatRequest, event: Event, queue: Queue) -> AsyncIterator[str]:
        chunks = ChatChunks(request)
        yield chunks.event(chunks.delta({"role": "assistant", "content": ""}))
        is_heard = False
        while isinstance(event, str):
            is_heard = True
            yield chunks.event(chunks.delta({"content": event}))
            event = await queue.get()
        self._is_told = True
        if isinstance(event, Exception):
            yield chunks.event(reported(event)[1])
            return
        for chunk in chunks.ending(event, is_heard=is_heard):
            yield chunks.event(chunk)
        yield DONE


async def chat_stream(service: Service, request: ChatRequest) -> ChatStream:
    """The answer as a stream. Raises an error that comes before the first piece."""
    queue: Queue = asyncio.Queue()

    async def work() -> None:
        try:
            queue.put_nowait(await service.chat(request, queue.put_nowait))
        except Exception as error:  # a graph's own, too: the reader would wait for ever
            queue.put_nowait(error)

    task = asyncio.create_task(work())
    try:
        first = await queue.get()
    except asyncio.CancelledError:
        task.cancel()
        raise
    if isinstance(first, Exception):
        raise first
    return ChatStream(request, first, queue, task)


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
        shape = ChatRequest if request.url.path.endswith("completions") else JobRequest
        keys = ", ".join(shape.model_fields)
        message = f"{place}: {first['msg']} (got {shown}). Keys: {keys}. See /docs."
        metrics.count_problem("InvalidRequest")
        return JSONResponse(body(400, "InvalidRequest", message, place), 400)


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
