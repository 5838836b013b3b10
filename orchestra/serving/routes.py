"""The routes of an ingress: jobs, runs that wait, chats, vectors, and how it stands.

What a run does is told as it does it (`told.py`). A question to one model is streamed as it is
decoded, and so is a graph's answer where one ask's text is sure to be it; another exists only at
its end and comes as one piece.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.convertors import Convertor, register_url_convertor

from orchestra.core.errors import UsageError
from orchestra.core.job import Result
from orchestra.core.tags import MOST_TAGS, problem, read_tags
from orchestra.graph.threads import Thread
from orchestra.observe import metrics
from orchestra.serving.chat import ChatChunks
from orchestra.serving.chat_words import ChatAnswer, ChatRequest
from orchestra.serving.documented import READING, STREAMED, WORK, errors
from orchestra.serving.gone import until_gone
from orchestra.serving.problems import reported
from orchestra.serving.service import Service
from orchestra.serving.stream import KEEPALIVE, EventStream, Telling
from orchestra.serving.told import run_stream
from orchestra.serving.waiting import MOST_PAGE, ThreadQuery, page_of
from orchestra.serving.words import (
    AnswerRequest,
    Health,
    JobRequest,
    ModelEntry,
    ModelList,
    RunRequest,
    ThreadDeleted,
    ThreadList,
    VectorAnswer,
    VectorRequest,
)

TAG_HEADER = "X-Orchestra-Tag"
Name = Annotated[str | None, Query(max_length=200)]
DONE = "data: [DONE]\n\n"


def add_jobs(app: FastAPI, service: Service, keepalive_s: float) -> None:
    """The routes of jobs and their plans."""

    @app.post("/", include_in_schema=False)
    @app.post("/v1/jobs", response_model=Result, responses=STREAMED | errors(*WORK))
    async def jobs(job: RunRequest, request: Request) -> Any:
        """Run a job through a graph: every field with its source, evidence and confidence.

        With `stream`, an event for each chunk of `stream_mode`, then the result.
        """
        tagged = job.model_copy(update={"tags": tags_of(request, job.tags)})
        if not tagged.stream:
            return await until_gone(request, service.job(tagged))
        start = functools.partial(service.job, tagged)
        return await until_gone(request, run_stream(start, keepalive_s))

    @app.post("/v1/plan", responses=errors(*WORK))
    async def plan(job: JobRequest, request: Request) -> dict[str, Any]:
        """How a job would be routed and what it would cost at most; spends nothing."""
        return (await service.plan(job)).public()


class ThreadName(Convertor[str]):
    """A thread's name in a path: any, slashes too, but that it does not end as a route does."""

    regex = ".+(?<!/answer)"

    def convert(self, value: str) -> str:
        """As it stands there."""
        return value

    def to_string(self, value: str) -> str:
        """As it stands in a path."""
        return value


register_url_convertor("thread", ThreadName())


def add_threads(app: FastAPI, service: Service, keepalive_s: float) -> None:
    """The routes of runs that wait."""

    @app.get("/v1/threads")
    async def threads(
        status: Literal["waiting", "left", "running"] | None = None,
        graph: Name = None,
        tag: Annotated[list[str], Query(description="key=value", max_length=MOST_TAGS)] = [],  # noqa: B006
        after: Name = None,
        limit: Annotated[int, Query(ge=1, le=MOST_PAGE)] = 100,
        order: Literal["asc", "desc"] = "asc",
    ) -> ThreadList:
        """The runs that wait for an answer or were left, the first kept first."""
        tags, newest = read_tags(tag), order == "desc"
        query = ThreadQuery(status, graph, tags, after, limit, newest)
        return page_of(await service.threads(), query)

    @app.get("/v1/threads/{thread_id:thread}", responses=errors(*READING))
    async def thread(thread_id: str) -> Thread:
        """One of them, and what it asks."""
        return await service.thread(thread_id)

    @app.delete("/v1/threads/{thread_id:thread}", responses=errors(*READING, 409))
    async def forget(thread_id: str) -> ThreadDeleted:
        """Have a run that waits or was left never go on; what it has spent stays booked."""
        await service.forget(thread_id)
        return ThreadDeleted(id=thread_id)

    @app.post(
        "/v1/threads/{thread_id:path}/answer",
        response_model=Result,
        responses=STREAMED | errors(*WORK),
    )
    async def answer(thread_id: str, given: AnswerRequest, request: Request) -> Any:
        """Go on with a run: its result, or what it asks next. Of two answers one is heard."""
        if not given.stream:
            return await until_gone(request, service.answer(thread_id, given))
        start = functools.partial(service.answer, thread_id, given)
        return await until_gone(request, run_stream(start, keepalive_s))


def add_chat(app: FastAPI, service: Service, keepalive_s: float) -> None:
    """The routes of chats, vectors and models."""

    @app.post("/v1/chat/completions", response_model=ChatAnswer, responses=STREAMED | errors(*WORK))
    async def chat(chat_request: ChatRequest, request: Request) -> Any:
        """OpenAI's chat completion; `model` is a card, a graph or `auto`."""
        tags = tags_of(request, chat_request.metadata or {})
        tagged = chat_request.model_copy(update={"metadata": tags})
        if tagged.stream:
            return await until_gone(request, chat_stream(service, tagged, keepalive_s))
        return await until_gone(request, service.chat(tagged))

    @app.post("/v1/embeddings", responses=errors(*WORK))
    async def embeddings(asked: VectorRequest, request: Request) -> VectorAnswer:
        """OpenAI's embeddings; `model` is a card that offers `encode`, or `auto`."""
        return await until_gone(request, service.vectors(asked, tags_of(request, {})))

    @app.get("/v1/models")
    async def models() -> ModelList:
        """The names that `model` may take."""
        return ModelList(data=service.models())

    @app.get("/v1/models/{name:path}", responses=errors(*READING))
    async def model(name: str) -> ModelEntry:
        """One of them."""
        return service.model(name)


def add_state(app: FastAPI, service: Service) -> None:
    """The routes that say how the server stands."""

    @app.get("/healthz")
    async def healthz() -> Health:
        """Whether this process answers."""
        return Health(status="ok")

    @app.get("/readyz", responses={503: {"model": Health}})
    async def readyz() -> JSONResponse:
        """Whether every model can answer and the book can be used, and why not."""
        models, book = await asyncio.gather(service.ready(), service.book())
        ready = all(state == "ready" for state in (*models.values(), book or "ready"))
        state = Health(status="ok" if ready else "not ready", models=models, book=book)
        return JSONResponse(state.model_dump(), 200 if ready else 503)

    @app.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        """Prometheus metrics: of all ingresses, and what was spent as their book has it."""
        await service.note_lost()
        return Response(await service.metrics(), media_type=metrics.CONTENT_TYPE)


def tags_of(request: Request, given: Mapping[str, str]) -> dict[str, str]:
    """The tags of a request: those of its body, and `X-Orchestra-Tag: key=value` headers.

    Raises `UsageError` for a header that is no pair, or for too many.
    """
    tags = {**read_tags(request.headers.getlist(TAG_HEADER)), **given}
    wrong = problem(tags)
    if wrong is not None:
        raise UsageError(wrong)
    return tags


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
