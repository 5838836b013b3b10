"""Answers requests over a fleet and its served graphs."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time

from orchestra.app import Fleet
from orchestra.core.call import OnPiece
from orchestra.core.errors import (
    DeadlineExceeded,
    GraphFailed,
    OrchestraError,
    UnknownModel,
    UsageError,
)
from orchestra.core.job import Budget, Job, Result
from orchestra.fleet.opened import Build
from orchestra.graph.query import Query, answer_query
from orchestra.observe.log import log_result
from orchestra.observe.metrics import count_result
from orchestra.observe.trace import span
from orchestra.routing.plan import Plan
from orchestra.serving.chat import answer_of, ask_of, job_of, turns_of
from orchestra.serving.words import ChatAnswer, ChatRequest, JobRequest, ModelEntry

AUTO = "auto"
READY_S = 5.0
INSIDE = (
    "The graph's own node {node!r} failed. The server's log has the trace; report it, with the "
    "request that led to it. What the other nodes answered is kept."
)


@dataclass(frozen=True, slots=True)
class Service:
    """One ingress's work. The first of `graphs` runs a job that names none.

    `lost` tells of the models that nothing hosts at the moment why that is so.
    """

    fleet: Fleet
    graphs: Mapping[str, Build]
    lost: Callable[[], Awaitable[Mapping[str, str]]] | None = None

    async def job(self, request: JobRequest) -> Result:
        """Run a job through the graph it names.

        Raises what planning raises, and the error of its photo for a job that has nothing else.
        """
        graph, job = self._graph_and_job(request)
        result = await self._run("job", graph, job)
        if not result.plan:
            _raise_failure(result)
        return result

    async def plan(self, request: JobRequest) -> Plan:
        """How a job would run; spends nothing."""
        graph, job = self._graph_and_job(request)
        if self.fleet.cache is not None and job.cache:
            return await self.fleet.plan_with_cache(self.graphs[graph], job)
        return self.fleet.plan(self.graphs[graph], job)

    async def chat(self, request: ChatRequest, on_piece: OnPiece | None = None) -> ChatAnswer:
        """Answer a conversation: by one model, or by a graph from its last message alone.

        Raises the typed error of a request that got no answer.
        """
        job = job_of(request)
        _in_time(job.budget)
        if request.model in self.graphs:
            return await self._graph_chat(request, job)
        card = None if request.model == AUTO else self.fleet.file.card(self._card(request.model))
        query = Query(ask_of(request, job, card), turns_of(request), card and card.name)
        with span("orchestra.chat", {"orchestra.model": request.model}):
            result = await answer_query(self.fleet, query, job, on_piece)
            _record("chat", request.model, result)
        _raise_failure(result)
        return answer_of(request, result, is_direct=True)

    def models(self) -> list[ModelEntry]:
        """Every name a request may give as its `model`."""
        file = self.fleet.file
        read = [card.price.as_of for card in file.models if card.price.as_of is not None]
        created = int(datetime.combine(max(read), time(), UTC).timestamp()) if read else 0
        entry = functools.partial(ModelEntry, created=created, owned_by="orchestra")
        cards = [
            entry(
                id=card.name,
                kind="card",
                about=card.about,
                capabilities=list(card.capabilities),
                data_goes_to=card.data_goes_to,
            )
            for card in file.models
            if card.is_hosted
        ]
        auto = entry(id=AUTO, kind="auto", about="Whichever model fits the request and its budget")
        graphs = [entry(id=name, kind="graph", about="A graph") for name in self.graphs]
        return [auto, *graphs, *cards]

    def model(self, name: str) -> ModelEntry:
        """The entry of one name. Raises `UnknownModel`."""
        found = next((entry for entry in self.models() if entry.id == name), None)
        if found is None:
            raise self._unknown(name)
        return found

    async def ready(self) -> dict[str, str]:
        """What each hosted model says: `ready`, or why it cannot answer."""
        hosted = [card.name for card in self.fleet.file.models if card.is_hosted]
        lost = {} if self.lost is None else await self.lost()
        states = await asyncio.gather(*map(self._state, hosted))
        return {**dict(zip(hosted, states, strict=True)), **lost}

    async def _state(self, model: str) -> str:
        try:
            async with asyncio.timeout(READY_S):
                await self.fleet.client(model).prepare()
        except TimeoutError:
            return f"loading for longer than {READY_S:g} s"
        except OrchestraError as error:
            return f"{error.kind}: {error}"
        return "ready"

    async def _graph_chat(self, request: ChatRequest, job: Job) -> ChatAnswer:
        if len(request.messages) > 1 or request.response_format is not None:
            raise UsageError(
                f"The graph {request.model!r} takes one message and has its own fields; the "
                f"request has {len(request.messages)} messages, response_format "
                f"{'set' if request.response_format else 'not set'}. Ask a card, or 'auto'."
            )
        result = await self._run("chat", request.model, job)
        if result.status == "failed":
            _raise_failure(result)
        return answer_of(request, result, is_direct=False)

    async def _run(self, kind: str, graph: str, job: Job) -> Result:
        with span("orchestra.job", {"orchestra.graph": graph}):
            result = _public(await self.fleet.run(self.graphs[graph], job))
            _record(kind, graph, result)
        return result

    def _graph_and_job(self, request: JobRequest) -> tuple[str, Job]:
        name = request.graph or next(iter(self.graphs))
        if name not in self.graphs:
            raise UnknownModel(
                f"The graph {name!r} is not served (served are: {', '.join(self.graphs)})."
            )
        _in_time(request.budget)
        return name, Job(**request.model_dump(exclude={"graph"}))

    def _card(self, name: str) -> str:
        if not any(card.name == name and card.is_hosted for card in self.fleet.file.models):
            raise self._unknown(name)
        return name

    def _unknown(self, name: str) -> UnknownModel:
        have = ", ".join(entry.id for entry in self.models())
        return UnknownModel(f"There is no model {name!r}. Use one of: {have}.")


def _record(kind: str, name: str, result: Result) -> None:
    count_result(result)
    log_result(kind, name, result)


def _public(result: Result) -> Result:
    """`result` without what a node of the user's own said as it failed: that stays in the log."""
    errors = tuple(
        error.model_copy(update={"message": INSIDE.format(node=error.stage)})
        if error.type == GraphFailed.__name__
        else error
        for error in result.errors
    )
    return result.model_copy(update={"errors": errors})


def _raise_failure(result: Result) -> None:
    if result.errors:
        raise result.errors[0].error()


def _in_time(budget: Budget) -> None:
    if budget.latency_ms is not None and budget.latency_ms <= 0:
        raise DeadlineExceeded(
            f"The deadline has passed already: latency_ms={budget.latency_ms:g}. "
            "Give the milliseconds that are left, more than 0."
        )
