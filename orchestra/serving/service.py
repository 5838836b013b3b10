"""Answers requests over a fleet and its served graphs."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any

from orchestra.access.allowed import allowed_graphs, check_graph, check_model, may_use
from orchestra.access.principal import principal
from orchestra.app import Fleet
from orchestra.book.keys.key_messages import Left, ReadLeft
from orchestra.book.shared.member import LedgerMember
from orchestra.core.call import OnPiece
from orchestra.core.errors import (
    DeadlineExceeded,
    GraphFailed,
    OrchestraError,
    ThreadTaken,
    UnknownModel,
    UsageError,
)
from orchestra.core.job import Budget, CallRecord, Job, Result
from orchestra.fleet.opened import Build
from orchestra.graph.drive import Listener
from orchestra.graph.encode import Encoding, encode_texts
from orchestra.graph.progress import Tell
from orchestra.graph.query import Query, answer_query
from orchestra.graph.run import OWN_MODES
from orchestra.graph.threads import Thread
from orchestra.observe.log import log_result
from orchestra.observe.metrics import count_calls, count_result, count_spend, note_ready
from orchestra.observe.trace import span
from orchestra.routing.plan import Plan
from orchestra.serving.admission.arrival import left_of
from orchestra.serving.chat import answer_of, ask_of, job_of, turns_of
from orchestra.serving.chat_words import ChatAnswer, ChatRequest
from orchestra.serving.told_metrics import exposition
from orchestra.serving.vectors import vector_answer, vector_job
from orchestra.serving.words import (
    DEFAULT_MODES,
    AnswerRequest,
    JobRequest,
    ModelEntry,
    RunRequest,
    VectorAnswer,
    VectorRequest,
)

AUTO = "auto"
READY = "ready"
READY_S = 5.0
LOST_S = 1.0  # a scrape waits no longer to be told of lost models
DROPPED = (
    "What was told as it was written is not the answer that the graph ended with; POST /v1/jobs "
    "gives that."
)
INSIDE = (
    "The graph's own node {node!r} failed. The server's log has the trace; report it, with the "
    "request that led to it. What the other nodes answered is kept."
)


@dataclass(frozen=True, slots=True)
class Service:
    """One ingress's work. The first of `graphs` runs a job that names none.

    `lost` tells of the models that nothing hosts at the moment why that is so. `ledger` is the
    fleet's, where several ingresses share it, and `kept_in` the file of its book on this machine.
    `day_micro` is the most that the server spends in a day, in micro-dollars. `on_wait` hears of
    each run that begins to wait for a person: its result and its graph.
    """

    fleet: Fleet
    graphs: Mapping[str, Build]
    lost: Callable[[], Awaitable[Mapping[str, str]]] | None = None
    ledger: LedgerMember | None = None
    kept_in: Path | None = None
    day_micro: int | None = field(default=None, kw_only=True)
    on_wait: Callable[[Result, str], None] | None = field(default=None, kw_only=True)

    @property
    def book_path(self) -> Path | None:
        """Where the book of the fleet's ledger is, to be read beside it; None without one."""
        own = self.fleet.book
        return self.kept_in if own is None else own.path

    async def job(self, request: RunRequest, tell: Tell | None = None) -> Result:
        """Run a job through the graph it names; `tell` hears what its modes tell.

        Raises what planning raises, `ThreadTaken` for a thread that is under way, and the error of
        its photo for a job that has nothing else.
        """
        graph, job = self._graph_and_job(request)
        listener = _listener(request.stream_mode, tell)
        result = await self._run("job", graph, job, listener, request.thread_id)
        if not result.plan:
            _raise_failure(result)
        return result

    async def threads(self) -> list[Thread]:
        """The runs of who asks that wait, were left, or are gone on with at the moment."""
        return await self.fleet.threads()

    async def thread(self, thread_id: str) -> Thread:
        """One of them. Raises `UnknownThread`."""
        return await self.fleet.thread(thread_id)

    async def forget(self, thread_id: str) -> None:
        """Have one of them never go on. Raises `UnknownThread` and `ThreadTaken`."""
        await self.fleet.forget(thread_id)

    async def answer(
        self, thread_id: str, request: AnswerRequest, tell: Tell | None = None
    ) -> Result:
        """Go on with a run; `tell` hears what the modes of the request tell.

        Raises `UnknownThread`, `ThreadTaken` for who comes late, `UsageError` for an answer that
        is missing or that nothing asks for, and `UnknownModel` when its graph is not served.
        """
        thread = await self.thread(thread_id)
        graph = self._graph_of(thread, request.graph)
        answer = _answer_to(thread, request)
        made: list[CallRecord] = []
        listener = _listener(request.stream_mode, tell, made)
        build = self.graphs[graph]
        result = await self.fleet.resume(build, thread_id, answer, listener=listener)
        # What went before was counted when it ended; these are the calls of this part.
        cost = sum((call.cost_usd for call in made), Decimal(0))
        tokens = sum(c.input_tokens + c.output_tokens for c in made if not c.reused)
        part = {"calls": tuple(made), "cost_usd": cost, "tokens": tokens}
        _record("answer", graph, result.model_copy(update=part))
        self._note_wait(graph, result)
        return _public(result)

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
        job = _in_time(job_of(request))
        if request.model in self.graphs:
            check_graph(request.model)
            return await self._graph_chat(request, job, on_piece)
        card = None if request.model == AUTO else self.fleet.file.card(self._card(request.model))
        query = Query(ask_of(request, job, card), turns_of(request), card and card.name)
        with span("orchestra.chat"):
            result = await answer_query(self.fleet, query, job, on_piece)
            _record("chat", request.model, result, job.budget)
        _raise_failure(result)
        return answer_of(request, result, is_direct=True)

    async def vectors(self, request: VectorRequest, tags: Mapping[str, str]) -> VectorAnswer:
        """Vectors of texts. Raises what `encode_texts` does, and `UnknownModel`."""
        job = _in_time(vector_job(request, tags))
        model = None if request.model == AUTO else self._card(request.model)
        with span("orchestra.vectors"):
            started = monotonic()
            encoding = Encoding(request.texts, job, model)
            made = await encode_texts(self.fleet, encoding)
            count_calls(made.calls)
            count_spend(principal().tenant, float(made.cost_usd))
        return vector_answer(request, made, monotonic() - started)

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
            if card.is_hosted and may_use(card)
        ]
        auto = entry(id=AUTO, kind="auto", about="Whichever model fits the request and its budget")
        graphs = [
            entry(id=name, kind="graph", about="A graph") for name in allowed_graphs(self.graphs)
        ]
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
        found = {**dict(zip(hosted, states, strict=True)), **lost}
        for model, state in found.items():
            note_ready(model, is_ready=state == READY)
        return found

    async def note_lost(self) -> None:
        """Have the metrics tell of models without a replica, as far as that is known at once."""
        if self.lost is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LOST_S):
                lost = await self.lost()
            for model in [card.name for card in self.fleet.file.models if card.is_hosted]:
                note_ready(model, is_ready=model not in lost)

    async def book(self) -> str | None:
        """`ready`, or why the ledger begins nothing now; None where it is this process's own."""
        return None if self.ledger is None else await self.ledger.trouble() or "ready"

    async def left(self) -> list[Left]:
        """What the budgets of keys, tenants and the server have left of this day and month."""
        return await self.fleet.ledger.send(ReadLeft(self.day_micro))

    async def metrics(self) -> bytes:
        """As Prometheus reads them."""
        return await exposition(self.ledger)

    async def _state(self, model: str) -> str:
        try:
            async with asyncio.timeout(READY_S):
                await self.fleet.client(model).prepare()
        except TimeoutError:
            return f"loading for longer than {READY_S:g} s"
        except OrchestraError as error:
            return f"{error.kind}: {error}"
        return READY

    async def _graph_chat(
        self, request: ChatRequest, job: Job, on_piece: OnPiece | None
    ) -> ChatAnswer:
        if len(request.messages) > 1 or request.response_format is not None:
            raise UsageError(
                f"The graph {request.model!r} takes one message and has its own fields; the "
                f"request has {len(request.messages)} messages, response_format "
                f"{'set' if request.response_format else 'not set'}. Ask a card, or 'auto'."
            )
        bound = request.max_completion_tokens or request.max_tokens
        if bound is not None:
            raise UsageError(
                f"max_tokens is {bound}, and the bounds of the graph {request.model!r} stand on "
                "its own asks. Leave it out, and give orchestra.budget.tokens to bound the whole "
                "run; or ask a card, or 'auto'."
            )
        heard: list[str] = []

        def hear(piece: str) -> None:
            heard.append(piece)
            if on_piece is not None:
                on_piece(piece)

        listener = None if on_piece is None else Listener(frozenset(), _unheard, hear)
        result = await self._run("chat", request.model, job, listener)
        if result.status == "failed":
            _raise_failure(result)
        if heard and "".join(heard).strip() != (result.answer or "").strip():
            # Nothing that was heard is taken back: an answer that broke off ends with its error.
            _raise_failure(result)
            result = result.model_copy(update={"notes": (*result.notes, DROPPED)})
        return answer_of(request, result, is_direct=False)

    async def _run(
        self,
        kind: str,
        graph: str,
        job: Job,
        listener: Listener | None = None,
        thread_id: str | None = None,
    ) -> Result:
        result = await self.fleet.run(
            self.graphs[graph], job, listener=listener, thread_id=thread_id, graph_name=graph
        )
        _record(kind, graph, result, job.budget)
        self._note_wait(graph, result)
        return _public(result)

    def _note_wait(self, graph: str, result: Result) -> None:
        if result.status == "waiting" and self.on_wait is not None:
            self.on_wait(result, graph)

    def _graph_and_job(self, request: JobRequest) -> tuple[str, Job]:
        name = self._served(request.graph or next(iter(self.graphs)))
        return name, _in_time(Job(**request.model_dump(include=set(Job.model_fields))))

    def _served(self, name: str) -> str:
        if name not in self.graphs:
            raise UnknownModel(
                f"The graph {name!r} is not served (served are: {', '.join(self.graphs)})."
            )
        check_graph(name)
        return name

    def _graph_of(self, thread: Thread, given: str | None) -> str:
        name = given or thread.graph
        if name is None:
            raise UsageError(
                f"The run {thread.thread_id!r} was begun without a server, and its book does not "
                f"say by which graph. Give 'graph', one of: {', '.join(self.graphs)}."
            )
        return self._served(name)

    def _card(self, name: str) -> str:
        if not any(card.name == name and card.is_hosted for card in self.fleet.file.models):
            raise self._unknown(name)
        check_model(self.fleet.file, name)
        return name

    def _unknown(self, name: str) -> UnknownModel:
        have = ", ".join(entry.id for entry in self.models())
        return UnknownModel(f"There is no model {name!r}. Use one of: {have}.")


def _record(kind: str, name: str, result: Result, budget: Budget | None = None) -> None:
    count_result(result, None if budget is None else budget.latency_ms)
    count_spend(principal().tenant, float(result.cost_usd))
    log_result(kind, name, result)


def _listener(
    modes: Collection[str] | None, tell: Tell | None, made: list[CallRecord] | None = None
) -> Listener | None:
    """Who hears what `modes` tell, the result left out; calls are noted in `made` as well."""
    if tell is None and made is None:
        return None
    wanted = frozenset() if tell is None else frozenset(modes or DEFAULT_MODES)

    def hear(mode: str, chunk: Any) -> None:
        if mode == "call" and made is not None:
            made.append(chunk)
        if mode in wanted and tell is not None:
            tell(mode, chunk)

    return Listener(wanted - OWN_MODES, hear)


def _unheard(mode: str, chunk: Any) -> None:
    """Of a run whose answer alone is told, no other chunk is."""


def _answer_to(thread: Thread, request: AnswerRequest) -> Any:
    """What the request answers to the questions of a thread; None to have it go on."""
    asked = {question.id: question.text for question in thread.questions if question.id}
    if request.answers is not None:
        closed = [id for id in request.answers if id not in asked]
        if closed:
            raise ThreadTaken(
                f"The run {thread.thread_id!r} does not ask {closed[0]!r}, or not any longer (it "
                f"asks: {', '.join(asked) or 'nothing'}). Read how it stands; this answer changed "
                "nothing."
            )
        return request.answers
    if request.answer is None and asked and thread.status != "running":
        raise UsageError(
            f"The run {thread.thread_id!r} waits for an answer to {next(iter(asked.values()))!r}, "
            "and the request has none. Give 'answer', or 'answers' by the ids of its questions."
        )
    return request.answer


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


def _in_time(job: Job) -> Job:
    """`job` with what is left of its deadline. Raises `DeadlineExceeded` where nothing is."""
    given = job.budget.latency_ms
    if given is None:
        return job
    budget = left_of(job.budget)
    if budget.latency_ms is not None and budget.latency_ms <= 0:
        raise DeadlineExceeded(
            f"The deadline has passed already: latency_ms={given:g}. "
            "Give the milliseconds that are left, more than 0."
        )
    return job.model_copy(update={"budget": budget})
