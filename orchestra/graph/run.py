"""Runs one job through a graph: intake, plan, account, graph, result.

It knows no concrete graph and no model; calls go through the fleet's clients.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from langgraph.graph.state import CompiledStateGraph

from orchestra.budget.pricing import Work
from orchestra.clients.engine import Call, OnPiece, Turn
from orchestra.errors import BookError, DeadlineExceeded, ImageError, OrchestraError
from orchestra.graph.ask import Ask
from orchestra.graph.caller import Ticket
from orchestra.graph.narrow import CJK, clip, narrow, parsed, sanitise
from orchestra.graph.outcome import Outcome
from orchestra.graph.reading import prompt_hash, read_fields
from orchestra.graph.result import assemble
from orchestra.graph.runs import enter, leave
from orchestra.graph.state import Context, JobState
from orchestra.images.intake import normalise
from orchestra.job import CallRecord, ErrorRecord, Job, Result
from orchestra.routing.introspect import GraphView, view
from orchestra.routing.plan import NodePlan, Plan
from orchestra.routing.planner import JobShape, plan

if TYPE_CHECKING:
    from orchestra.fleet.fleet import Fleet


@dataclass(frozen=True, slots=True)
class Intake:
    """A job whose images are content hashes, and the errors of the images left out."""

    job: Job
    errors: tuple[ErrorRecord, ...] = ()

    @property
    def is_lost(self) -> bool:
        """Whether every image failed and there is no text, so nothing can be done."""
        return bool(self.errors) and not self.job.images and not (self.job.text or "").strip()

    @property
    def shape(self) -> JobShape:
        """What the planner needs of it."""
        text = len((self.job.text or "").strip().encode())
        return JobShape(text, len(self.job.images), self.job.data == "local")


async def take_in(fleet: Fleet, job: Job, base: Path | None = None) -> Intake:
    """Normalise and store the job's images; a bad one is an error for that image alone."""
    keys: list[str] = []
    errors: list[ErrorRecord] = []
    for source in job.images:
        try:
            image = await asyncio.to_thread(normalise, source, base=base, limits=fleet.image_limits)
            keys.append(await asyncio.to_thread(fleet.images.put, image))
        except ImageError as error:
            errors.append(ErrorRecord.of("images", error))
    text = None if job.text is None else sanitise(job.text)
    language = language_of(text) if job.language == "auto" else job.language
    update = {"images": tuple(keys), "text": text, "language": language}
    return Intake(job.model_copy(update=update), tuple(errors))


def language_of(text: str | None) -> Literal["en", "zh"]:
    """The language to write in for a text: Chinese when a tenth of its letters are."""
    letters = [char for char in text or "" if char.isalpha()]
    chinese = sum(1 for char in letters if CJK.match(char))
    return "zh" if chinese * 10 >= max(1, len(letters)) else "en"


@dataclass(frozen=True, slots=True)
class JobRun:
    """One job under way: what its nodes need to make their calls."""

    fleet: Fleet
    job: Job
    account: str
    plan: Plan | None
    ends_at: float | None = None
    # A conversation that goes on, and who hears the answer as it is decoded (`graph/direct.py`).
    turns: tuple[Turn, ...] = ()
    on_piece: OnPiece | None = None
    # Every call made, in order: a node that a loop visits twice leaves one outcome only.
    calls: list[CallRecord] = field(default_factory=list)

    async def ask(self, node: str, ask: Ask, state: JobState) -> Outcome:
        """Make the call that `ask` describes, within the plan, the budget and the deadline."""
        job = Job.model_validate(state["job"])
        try:
            planned = self._planned(node, ask, job)
            if planned is None:
                return Outcome(skipped=self._skip_reason(node))
            return await self._ask(node, ask, state, job, planned)
        except BookError:
            raise  # the book itself failed (a full disk): nothing may go on as if it had not
        except OrchestraError as error:
            return Outcome(error=ErrorRecord.of(node, error))

    def _planned(self, node: str, ask: Ask, job: Job) -> NodePlan | None:
        plan_ = self.plan or self._plan_alone(node, ask, job)
        return next((entry for entry in plan_.nodes if entry.node == node), None)

    def _plan_alone(self, node: str, ask: Ask, job: Job) -> Plan:
        """A run that nobody planned (Studio): the node is planned by itself."""
        alone = GraphView((node,), {node: ask}, frozenset(), {node: 1})
        return plan(alone, Intake(job).shape, job.budget, self.fleet.file)

    def _skip_reason(self, node: str) -> str:
        skipped = self.plan.skipped if self.plan else ()
        return next((entry.reason for entry in skipped if entry.option == node), "not planned")

    async def _ask(
        self, node: str, ask: Ask, state: JobState, job: Job, planned: NodePlan
    ) -> Outcome:
        card = self.fleet.file.card(planned.model)
        client = self.fleet.client(planned.model)
        images = job.images if ask.reads == "image" else ()
        call = Call(
            instruction=_instruction(ask, job),
            text=_data(ask, state, job),
            images=tuple(self.fleet.images.get(key) for key in images),
            max_tokens=ask.max_tokens,
            turns=self.turns,
        )
        room = card.limits.context_tokens - ask.max_tokens
        call, notes = await _fit(call, room, client)
        call = _constrained(call, ask, state)
        per_visit = planned.tokens // planned.visits - ask.max_tokens
        ticket = Ticket(
            node=node,
            card=card,
            account=self.account,
            ceiling=Work(per_visit, ask.max_tokens, len(images)),
            images=images,
            prompt_hash=prompt_hash(ask),
            left_s=self._left_s(node),
            on_piece=self.on_piece,
        )
        answer, record = await self.fleet.caller.call(client, call, ticket)
        if isinstance(answer, OrchestraError):
            error = ErrorRecord.of(node, answer)
            record = record.model_copy(update={"error": error})
            self.calls.append(record)
            return Outcome(error=error, call=record, notes=notes)
        self.calls.append(record)
        fields = read_fields(ask, answer, model=card.name, text=call.text, images=images)
        text = answer.text if ask.schema_json is None else None
        return Outcome(fields=fields, answer=text, call=record, notes=notes)

    def _left_s(self, node: str) -> float | None:
        if self.ends_at is None:
            return None
        left = self.ends_at - time.monotonic()
        if left <= 0:
            raise DeadlineExceeded(
                f"No time is left for node {node!r} (latency_ms={self.job.budget.latency_ms}). "
                "Raise latency_ms, or use a faster fleet."
            )
        return left


def _instruction(ask: Ask, job: Job) -> str:
    if ask.question:
        return job.text or ask.instruction
    return ask.instruction.replace("{language}", job.language)


def _data(ask: Ask, state: JobState, job: Job) -> str | None:
    if ask.data is not None:
        rendered = ask.data(state)
        return None if rendered is None else sanitise(rendered)
    return None if ask.question or ask.reads == "image" else job.text


async def _fit(call: Call, room: int, client: Any) -> tuple[Call, tuple[str, ...]]:
    """Cut data that does not fit the context, and say so; the instruction is never cut."""
    text = call.text
    bound = len(call.instruction.encode()) + len((text or "").encode())
    if text is None or bound < room - 64:
        return call, ()
    fitted = call
    while fitted.text and (tokens := await client.count_tokens(fitted)) > room:
        keep = int(len(fitted.text) * min(0.95, room / tokens))
        fitted = replace(fitted, text=clip(fitted.text, keep))
    if fitted.text == text:
        return call, ()
    read = len(fitted.text or "")
    return fitted, (f"the model read the first {read} of {len(text)} characters of the text",)


def _constrained(call: Call, ask: Ask, state: JobState) -> Call:
    if ask.schema_json is None:
        return call
    if ask.shape is not None:
        return replace(call, schema=ask.shape(state))
    read_off = not ask.derived and ask.capability == "text"
    schema = narrow(ask.schema_json, call.text or "") if read_off else parsed(ask.schema_json)
    return replace(call, schema=schema)


async def run_job(
    fleet: Fleet,
    graph: CompiledStateGraph[Any, Any, Any, Any],
    intake: Intake,
    *,
    account: str,
    parent: str | None = None,
    planned: Plan | None = None,
) -> Result:
    """Plan and run one job under a new account that holds its ceiling.

    With a `parent` the caller closes the account (a batch does so as it writes the row);
    without one it is closed here.

    Raises `PlanError`, `EmptyJob`, `InvalidGraph` or `BudgetExceeded` before anything is spent.
    """
    started = time.monotonic()
    job = intake.job
    if intake.is_lost:
        return assemble({}, intake.job, intake.errors, None, (), 0.0)
    chosen = planned or plan(view(graph), intake.shape, job.budget, fleet.file)
    await fleet.ledger.open_account(
        account,
        parent=parent,
        cost_micro=chosen.cost_micro,
        tokens=chosen.tokens,
        hold=parent is not None,
    )
    ends_at = None
    if job.budget.latency_ms is not None:
        ends_at = started + job.budget.latency_ms / 1000
    run_id = uuid.uuid4().hex
    run = JobRun(fleet, job, account, chosen, ends_at)
    enter(run_id, run)
    try:
        context = Context(fleet=fleet.file.name, run_id=run_id)
        state = await graph.ainvoke({"job": job.model_dump(mode="json")}, context=context)
    finally:
        leave(run_id)
        if parent is None:
            # A book that failed leaves calls open, and its own error is the one to tell.
            with suppress(BookError):
                await fleet.ledger.close_account(account)
    seconds = time.monotonic() - started
    return assemble(state, job, intake.errors, chosen, tuple(run.calls), seconds)


async def unprepared_run(fleet_name: str) -> JobRun:
    """A run for a graph that was invoked without `Fleet.run`: no budget beyond the job's own."""
    from orchestra.fleet.fleet import shared_fleet  # fleet imports this module

    fleet = await shared_fleet(fleet_name)
    account = f"unplanned:{uuid.uuid4().hex}"
    await fleet.ledger.open_account(account)
    return JobRun(fleet, Job(), account, None)
