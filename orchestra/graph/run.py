"""Runs one job through a graph: plan, account, calls, result; and goes on where one waited."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict, Unpack

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command, Durability, StateSnapshot

from orchestra.access.own import given_name, own_name, spending_name
from orchestra.access.principal import principal
from orchestra.book.messages import (
    EndThread,
    LeaveThread,
    OpenAccount,
    ReadSpent,
    TakeThread,
)
from orchestra.core.ask import CURRENT_RUN
from orchestra.core.errors import BookError, GraphFailed, InvalidGraph, OrchestraError, UsageError
from orchestra.core.job import CallRecord, Job, Question, Result, Spend
from orchestra.core.money import usd
from orchestra.core.state import Context, outcomes_of
from orchestra.core.tags import label_of
from orchestra.graph.accounts import Ceiling, close_account, deadline, open_account
from orchestra.graph.allowance import CURRENT, Allowance
from orchestra.graph.assembly import assemble
from orchestra.graph.backing import Backing
from orchestra.graph.drive import Listener, Way, drive
from orchestra.graph.intake import Intake, first_state
from orchestra.graph.job_run import JobRun
from orchestra.graph.progress import Progress
from orchestra.graph.threads import (
    ThreadRecord,
    check_answer,
    check_models,
    keep_thread,
    record_of,
)
from orchestra.graph.voice import Voice
from orchestra.routing.introspect import view
from orchestra.routing.plan import Plan
from orchestra.routing.routes import plan_along
from orchestra.routing.timing import IDLE

Graph = CompiledStateGraph[Any, Any, Any, Any]


class GraphOptions(TypedDict, total=False):
    """What a graph is run with beside its job: as LangGraph has it, and `state`, more of its input.

    `subgraphs` has a stream tell of those as well.
    """

    state: Mapping[str, Any]
    context: Any
    config: RunnableConfig
    durability: Durability
    subgraphs: bool


class RunOptions(GraphOptions, total=False):
    """Those, and `thread_id`, which names the run, so that another process can go on with it.

    `graph_name` is kept with a run that waits or is left, to find its graph again.
    """

    thread_id: str | None
    graph_name: str | None


UNPLANNED = ":unplanned"
OWN_MODES = frozenset({"plan", "call", "spend", "result"})


async def run_job(
    fleet: Backing,
    graph: Graph,
    intake: Intake,
    *,
    account: str,
    parent: str | None = None,
    planned: Plan | None = None,
    listener: Listener | None = None,
    **options: Unpack[RunOptions],
) -> Result:
    """Plan and run one job under a new account that holds its ceiling.

    With a `parent` the caller closes the account (a batch does so as it writes the row), unless
    the run waits; without one it is closed here, and who asks pays for it.

    Raises `PlanError`, `EmptyJob`, `InvalidGraph` or `BudgetExceeded` before anything is spent.
    So does `ThreadTaken` for a thread that somebody else runs at the moment.
    What a node of the user's raises costs its own branch; where nothing else came of the run, it
    comes as it is, and with a `parent` as `GraphFailed`.
    """
    started = time.monotonic()
    named = name_of(options)
    options["thread_id"] = None if named is None else own_name(named)
    account = spending_name(account, options.get("graph_name"))
    if intake.is_lost:
        return assemble({}, intake, None, Progress())
    # Rows of a batch are planned alike, however many others are under way.
    chosen = planned or fleet.plan_for(graph, intake.shape, intake.job.budget, IDLE)
    ceiling = Ceiling.of(chosen)
    payer = parent or principal().account
    await open_account(fleet, account, intake.job, ceiling, parent=payer, hold=bool(payer))
    ends_at = deadline(intake, started)
    asks = dict(view(graph).asks)
    run = JobRun(fleet, intake.job, account, chosen, ends_at, asks=asks, in_graph=True)
    run.raw_job = run.job.model_dump(mode="json")
    under_way = _Segment(
        fleet, graph, intake, run, ceiling, parent, payer, options, listener, started
    )
    given = first_state(graph, run.job, run.raw_job) | dict(options.get("state", {}))
    return await under_way.run(given)


async def resume_job(
    fleet: Backing,
    graph: Graph,
    record: ThreadRecord,
    intake: Intake,
    answer: Any = None,
    *,
    parent: str | None = None,
    listener: Listener | None = None,
    **options: Unpack[GraphOptions],
) -> Result:
    """Go on with a run that waits for `answer`, or that its process left (`answer` is None then).

    It spends from the account that it began with, within what is left of its deadline, and finds
    its photos. `answer` is what `interrupt()` returns; a mapping of all the questions' ids answers
    several. One who answers a question has the run until its end or its next question. With a
    `parent` the caller ends the thread as well, unless it waits again.

    Raises as `run_job` does, `ThreadTaken` when somebody else has the run or has answered since
    `record` was read, and `UsageError` for an answer that nothing asks for.
    """
    started, by = time.monotonic(), uuid.uuid4().hex
    named = RunOptions(thread_id=record.thread_id, graph_name=record.graph, **options)
    name_of(named)
    await fleet.ledger.send(TakeThread(record.thread_id, record.version, by))
    try:
        check_answer(record, answer)
        shape, job, account = intake.shape, record.job, record.account
        models, seen = record.models, view(graph)
        check_models(record, fleet.file)
        chosen = plan_along(seen, shape, job.budget, fleet.file, models, fleet.policy)
        payer = parent or record.payer
        await open_account(fleet, account, job, record.ceiling, parent=payer, hold=bool(payer))
        ends_at, progress = deadline(intake, started), record.progress()
        asks = dict(seen.asks)
        run = JobRun(
            fleet, job, account, chosen, ends_at, progress=progress, asks=asks, in_graph=True
        )
        run.raw_job = run.job.model_dump(mode="json")
        under_way = _Segment(
            fleet,
            graph,
            intake,
            run,
            record.ceiling,
            parent,
            payer,
            named,
            listener,
            started,
            record,
            by,
        )
        under_way.before = await under_way.spent()
        return await under_way.run(await under_way.where_it_was(answer))
    finally:
        await _leave(fleet, record.thread_id, by)


def name_of(options: RunOptions) -> str | None:
    """The thread that a run is named by: its own option, or as LangGraph has it in its config.

    A run inside a node is given the config of the graph around it, whose thread is not its own.
    Raises `UsageError` where the two differ.
    """
    given = options.get("thread_id")
    configurable = options.get("config", RunnableConfig()).get("configurable", {})
    found = configurable.get("thread_id")
    if found is None or configurable.get("checkpoint_ns"):
        return given
    if given is not None and given != str(found):
        raise UsageError(
            f"The run has thread_id={given!r}, and its config the thread_id {found!r}. Name it "
            "once."
        )
    return str(found)


async def _leave(fleet: Backing, thread_id: str, by: str) -> None:
    """Let others have a run that came neither to its end nor to a question."""
    with suppress(BookError):
        await fleet.ledger.send(LeaveThread(thread_id, by))


class Paid(NamedTuple):
    """What a run has spent."""

    cost_usd: Decimal = Decimal(0)
    tokens: int = 0


NOTHING = Paid()


@dataclass(eq=False, slots=True)
class _Segment:
    """A run from its beginning, or from where it waited, to its end or its next question."""

    fleet: Backing
    graph: Graph
    intake: Intake
    job_run: JobRun
    ceiling: Ceiling
    parent: str | None
    payer: str | None
    options: RunOptions
    listener: Listener | None
    started: float
    record: ThreadRecord | None = None
    by: str = field(default_factory=lambda: uuid.uuid4().hex)
    # What earlier parts of the run spent; its process may have died before it noted all its calls.
    before: Paid = NOTHING
    # What this part of it has told of; a sum that is kept, as a long loop makes many calls.
    told: Paid = NOTHING
    ready: Graph = field(init=False)

    def __post_init__(self) -> None:
        self.ready = self.fleet.savers.ready(self.graph)

    @property
    def _thread_id(self) -> str:
        return self.options.get("thread_id") or self.job_run.account

    @property
    def _is_named(self) -> bool:
        return self.options.get("thread_id") is not None

    @property
    def _saves_here(self) -> bool:
        """Whether the checkpoints are ours to keep, with the record."""
        return self.ready.checkpointer is self.fleet.savers.own

    async def run(self, given: Any) -> Result:
        """The result of this part of the run."""
        run = self.job_run
        unplanned = self._unplanned()
        outer, outer_run = CURRENT.set(unplanned), CURRENT_RUN.set(run)
        has_begun = is_waiting = False
        try:
            await self._begin()
            has_begun = True
            state, questions = await drive(run, self.ready, self._way(given))
            is_waiting = bool(questions)
            return await self._result(state, questions)
        finally:
            CURRENT.reset(outer)
            CURRENT_RUN.reset(outer_run)
            if has_begun and self._saves_here:  # else they are those of who has the thread
                self.fleet.savers.forget(self._thread_id)
            with suppress(BookError):
                await unplanned.close()
            if self.parent is None or is_waiting:
                await close_account(self.fleet, run.account)
            if self._is_named and self.record is None:
                await _leave(self.fleet, self._thread_id, self.by)

    async def _begin(self) -> None:
        """Have the thread, and tell of the plan.

        Where its checkpoint is kept with its record, an earlier one stays as it was: who dies now
        leaves the question open.
        """
        run, listener = self.job_run, self.listener
        if self._is_named and not (self.record is not None and self._saves_here):
            await keep_thread(self.fleet, self._record(()), self.intake, by=self.by, held=True)
        if listener is None:
            return
        listener.tell("plan", run.plan)
        run.progress.calls.tell = self._tell_call
        if listener.on_piece is not None:
            run.voice = Voice.of(self.graph, listener.on_piece)

    async def where_it_was(self, answer: Any) -> Any:
        """What the graph is given to go on: the answer, or nothing, or all from the beginning."""
        record, run = self.record, self.job_run
        if record is None:
            raise BookError("A run that has no record cannot go on. Begin it with run_job.")
        if self._saves_here and record.checkpoint is not None:
            self.fleet.savers.load(self._thread_id, record.checkpoint)
        snapshot = None
        if self.ready.checkpointer is not None:
            snapshot = await self.ready.aget_state(self._config())
        if snapshot is None or not snapshot.config["configurable"].get("checkpoint_id"):
            # Its process died before anything was kept: what was paid for is in the book.
            return first_state(self.graph, run.job, run.raw_job or {}) | dict(
                self.options.get("state", {})
            )
        self._check_asked(record, snapshot)
        run.progress.go_on(outcomes_of(snapshot.values))
        # Without an answer it goes on where it was, and asks again what was not answered.
        return None if answer is None else Command(resume=answer)

    def _check_asked(self, record: ThreadRecord, snapshot: StateSnapshot) -> None:
        """Raise `InvalidGraph` where the graph has lost the node that asked: it would just end."""
        asked = {question.id for question in record.questions} - {""}
        if record.questions and not (
            asked & {each.id for each in snapshot.interrupts} if asked else snapshot.next
        ):
            raise InvalidGraph(
                f"The run {record.thread_id!r} asks {record.questions[0].text!r} at a node that "
                f"this graph has not (it has: {', '.join(self.graph.builder.nodes)}). Resume it "
                "with the graph that it began with."
            )

    def _config(self) -> RunnableConfig:
        config: RunnableConfig = {**self.options.get("config", RunnableConfig())}
        if self.ready.checkpointer is None:
            return config
        own = {"thread_id": self._thread_id, **config.get("configurable", {})}
        return {**config, "configurable": own}

    def _way(self, given: Any) -> Way:
        context = self.options.get("context")
        if context is None and self.graph.context_schema in (None, Context):
            context = Context(fleet=self.fleet.file.name)
        durability = self.options.get("durability") or ("exit" if self._saves_here else None)
        return Way(
            given,
            self._config(),
            context,
            self.listener,
            self.options.get("subgraphs", False),
            durability if self.ready.checkpointer is not None else None,
        )

    async def _result(self, state: Mapping[str, Any], questions: tuple[Question, ...]) -> Result:
        run, progress = self.job_run, self.job_run.progress
        seconds = time.monotonic() - self.started
        done = assemble(
            state, self.intake, run.plan, progress, questions=questions, seconds=seconds
        )
        if progress.raised is not None and done.status == "failed" and not progress.calls:
            raise self._as_it_is(progress.raised)
        if questions:
            record = self._record(questions)
            await keep_thread(self.fleet, record, self.intake, by=self.by, held=False)
        elif self._is_named and self.parent is None:
            await self.fleet.ledger.send(EndThread(self._thread_id, self.by))
        update: dict[str, Any] = {
            "intake_seconds": round(self.intake.seconds if self.record is None else 0.0, 6),
            "model_seconds": round(run.at_work.seconds(), 6),
        }
        if questions or self._is_named:
            update["thread_id"] = given_name(self._thread_id)
        if self.record is not None:
            paid = await self.spent()
            update |= {"cost_usd": paid.cost_usd, "tokens": paid.tokens}
        return done.model_copy(update=update)

    async def spent(self) -> Paid:
        """What the whole run has spent so far, by the book."""
        account, ledger = self.job_run.account, self.fleet.ledger
        found = [await ledger.send(ReadSpent(account))]
        with suppress(BookError):  # no node but asks has spent
            found.append(await ledger.send(ReadSpent(f"{account}{UNPLANNED}")))
        cost = sum(each.cost_micro for each in found)
        return Paid(usd(cost), sum(each.tokens for each in found))

    def _record(self, questions: tuple[Question, ...]) -> ThreadRecord:
        used = 0.0 if not questions else time.monotonic() - self.started
        record = record_of(
            self.job_run,
            self._thread_id,
            self.intake,
            self.ceiling,
            graph=self.options.get("graph_name"),
            payer=self.payer if self.parent is None else None,
            used_s=self.intake.seconds + used,
            questions=questions,
        )
        if questions and self._saves_here:
            kept = self.fleet.savers.dump(self._thread_id)
        else:
            kept = None if self.record is None else self.record.checkpoint
        return record.model_copy(update={"checkpoint": kept})

    def _as_it_is(self, raised: Exception) -> Exception:
        """What a node raised, for who made the graph; a row's is not for the others to pay."""
        if self.parent is None or isinstance(raised, OrchestraError):
            return raised
        failed = GraphFailed(
            f"{self.job_run.progress.failures[0].message} Run the table again into a new --out; "
            "with --cache nothing is paid twice."
        )
        failed.__cause__ = raised
        return failed

    def _tell_call(self, mode: str, record: CallRecord) -> None:
        listener, plan = self.listener, self.job_run.plan
        if listener is None:
            return
        listener.tell(mode, record)
        if not record.reused:
            tokens = record.input_tokens + record.output_tokens
            self.told = Paid(self.told.cost_usd + record.cost_usd, self.told.tokens + tokens)
        listener.tell(
            "spend",
            Spend(
                cost_usd=self.before.cost_usd + self.told.cost_usd,
                tokens=self.before.tokens + self.told.tokens,
                ceiling_usd=usd(0 if plan is None else plan.cost_micro),
                ceiling_tokens=0 if plan is None else plan.tokens,
            ),
        )

    def _unplanned(self) -> Allowance:
        """What nodes that are no asks may spend: what the job's plan leaves of its budget."""
        run = self.job_run
        return Allowance(
            run.fleet,
            f"{run.account}{UNPLANNED}",
            asyncio.get_running_loop(),
            self.ceiling.beside(run.job.budget),
            parent=self.payer,
            beside=run.account,
            ends_at=run.ends_at,
            calls=run.progress.calls,
            label=label_of(run.job.tags),
            on_stop=run.progress.stop_part,
        )


async def unprepared_run(fleet: Backing) -> JobRun:
    """A run for a graph that was invoked without `Fleet.run`: no budget beyond the job's own."""
    account = f"unplanned:{uuid.uuid4().hex}"
    await fleet.ledger.send(OpenAccount(account))
    return JobRun(fleet, Job(), account, None)
