"""Runs one job, through a graph or as one question to one model: plan, account, calls, result."""

from __future__ import annotations

import asyncio
import time
import traceback
import uuid
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from langgraph.graph.state import CompiledStateGraph

from orchestra.book.messages import CloseAccount, OpenAccount
from orchestra.core.ask import Ask, enter, leave
from orchestra.core.call import OnPiece, Turn
from orchestra.core.card import FleetFile
from orchestra.core.errors import BookError, GraphFailed, OrchestraError
from orchestra.core.job import Budget, CallRecord, ErrorRecord, Field, Job, Result, Status
from orchestra.core.money import usd
from orchestra.core.outcome import Outcome, fields_of, outcomes_of
from orchestra.core.state import Context, JobState
from orchestra.core.tags import label_of
from orchestra.graph.allowance import CURRENT, Allowance
from orchestra.graph.backing import Backing
from orchestra.graph.intake import Intake, first_state, take_in
from orchestra.graph.job_run import NO_TOOLS, JobRun, Tools
from orchestra.routing.introspect import GraphView
from orchestra.routing.load import IDLE
from orchestra.routing.plan import Plan
from orchestra.routing.planner import JobShape, plan
from orchestra.routing.prompt_size import talk_bytes


async def run_job(
    fleet: Backing,
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
    What a node of the user's raises comes as it is, and with a `parent` as `GraphFailed`.
    """
    started = time.monotonic()
    job = intake.job
    if intake.is_lost:
        return assemble({}, intake.job, intake.errors, None, (), 0.0)
    # Rows of a batch are planned alike, however many others are under way.
    chosen = planned or fleet.plan_for(graph, intake.shape, job.budget, IDLE)
    opened = OpenAccount(
        account,
        parent=parent,
        cost_micro=chosen.cost_micro,
        tokens=chosen.tokens,
        hold=parent is not None,
        label=label_of(job.tags),
    )
    await fleet.ledger.send(opened)
    ends_at = None
    if job.budget.latency_ms is not None:
        ends_at = started + job.budget.latency_ms / 1000 - intake.seconds
    raw_job = job.model_dump(mode="json")
    run_id = f"{account}@{id(fleet):x}"
    run = JobRun(fleet, job, account, chosen, ends_at, raw_job=raw_job)
    enter(run_id, run)
    unplanned = _unplanned(run, parent)
    outer = CURRENT.set(unplanned)
    try:
        context = Context(fleet=fleet.file.name, run_id=run_id)
        state = await graph.ainvoke(first_state(graph, job, raw_job), context=context)
    except Exception as cause:
        if parent is None or isinstance(cause, OrchestraError):
            raise
        # In a batch, what a node of the user's own met in one row is not for the others to pay.
        place = traceback.extract_tb(cause.__traceback__)[-1]
        raise GraphFailed(
            f"The graph raised {type(cause).__name__}: {cause} (at {Path(place.filename).name}:"
            f"{place.lineno}). Mend its node, and run the table again into a new --out; with "
            "--cache nothing is paid twice."
        ) from cause
    finally:
        CURRENT.reset(outer)
        leave(run_id)
        with suppress(BookError):
            await unplanned.close()
        if parent is None:
            # A book that failed leaves calls open, and its own error is the one to tell.
            with suppress(BookError):
                await fleet.ledger.send(CloseAccount(account))
    seconds = time.monotonic() - started
    done = assemble(state, job, intake.errors, chosen, tuple(run.calls), seconds)
    times = {"intake_seconds": intake.seconds, "model_seconds": run.at_work.seconds()}
    return done.model_copy(update={name: round(value, 6) for name, value in times.items()})


def _unplanned(run: JobRun, parent: str | None) -> Allowance:
    """What nodes that are no asks may spend of the job: what its plan leaves of the budget."""
    budget, chosen = run.job.budget, run.plan
    planned = (0, 0) if chosen is None else (chosen.cost_micro, chosen.tokens)
    cost, tokens = budget.cost_usd, budget.tokens
    return Allowance(
        run.fleet,
        f"{run.account}:unplanned",
        asyncio.get_running_loop(),
        Budget(
            cost_usd=None if cost is None else max(Decimal(0), cost - usd(planned[0])),
            tokens=None if tokens is None else max(0, tokens - planned[1]),
            memory_gib=budget.memory_gib,
        ),
        parent=parent,
        ends_at=run.ends_at,
        calls=run.calls,
        label=label_of(run.job.tags),
    )


async def unprepared_run(fleet: Backing) -> JobRun:
    """A run for a graph that was invoked without `Fleet.run`: no budget beyond the job's own."""
    account = f"unplanned:{uuid.uuid4().hex}"
    await fleet.ledger.send(OpenAccount(account))
    return JobRun(fleet, Job(), account, None)


NODE = "answer"


@dataclass(frozen=True, slots=True)
class Question:
    """An ask with the conversation before it, and the one card that may answer (None: any).

    `node` names it in plan and book, `calls` is how often it may be asked within one plan.
    """

    ask: Ask
    turns: tuple[Turn, ...] = ()
    model: str | None = None
    tools: Tools = NO_TOOLS
    node: str = NODE
    calls: int = 1


def plan_question(fleet: Backing, question: Question, job: Job) -> Plan:
    """The plan of a question; `job`'s images need not have been read. Spends nothing."""
    file = fleet.file
    if question.model is not None:
        card = file.card(question.model)
        file = FleetFile.model_construct(**{**dict(file), "models": (card,)})
    said = talk_bytes(question.turns, question.tools.offered)
    text = len((job.text or "").encode())
    shape = JobShape(text + said, len(job.images), job.data == "local")
    node = question.node
    view = GraphView((node,), {node: question.ask}, frozenset(), {node: question.calls})
    return plan(view, shape, job.budget, file)


async def answer_question(
    fleet: Backing,
    question: Question,
    job: Job,
    on_piece: OnPiece | None = None,
    *,
    parent: str | None = None,
    ends_at: float | None = None,
) -> Result:
    """Ask one model. `on_piece` hears the answer as it is decoded.

    `parent` is the account that pays, `ends_at` a deadline (by the monotonic clock) beside that of
    the job's own budget.

    Raises what planning and loading raise, and the first photo's error: a question about a photo
    that cannot be seen has no answer. A failed call stands in the result.
    """
    intake = await take_in(fleet, job)
    if intake.errors:
        raise intake.errors[0].error()
    planned = plan_question(fleet, question, intake.job)
    await fleet.prepare(planned)
    started = time.monotonic()
    budget = intake.job.budget
    if budget.latency_ms is not None:
        own = started + budget.latency_ms / 1000 - intake.seconds
        ends_at = own if ends_at is None else min(own, ends_at)
    account = f"question:{uuid.uuid4().hex}"
    state = JobState(job=intake.job.model_dump(mode="json"))
    opened = OpenAccount(
        account,
        parent=parent,
        cost_micro=planned.cost_micro,
        tokens=planned.tokens,
        label=label_of(intake.job.tags),
    )
    await fleet.ledger.send(opened)
    run = JobRun(
        fleet,
        intake.job,
        account,
        planned,
        ends_at,
        turns=question.turns,
        tools=question.tools,
        on_piece=on_piece,
    )
    try:
        outcome = await run.ask(question.node, question.ask, state)
    finally:
        await fleet.ledger.send(CloseAccount(account))
    done = {"outcomes": {question.node: outcome.model_dump(mode="json")}}
    seconds = time.monotonic() - started
    return assemble(done, intake.job, (), planned, tuple(run.calls), seconds)


def assemble(
    state: Any,
    job: Job,
    intake_errors: tuple[ErrorRecord, ...],
    plan: Plan | None,
    calls: tuple[CallRecord, ...],
    seconds: float,
) -> Result:
    """The result of a state. Without a merge, the fields of all nodes stand side by side."""
    outcomes = outcomes_of(state)
    fields = fields_of(state)
    if not fields:
        fields = {name: f for outcome in outcomes.values() for name, f in outcome.fields.items()}
    errors = intake_errors + tuple(o.error for o in outcomes.values() if o.error is not None)
    answer = _answer(fields, outcomes) or _said(state)
    paid = [call for call in calls if not call.reused]
    return Result(
        status=_status(fields, answer, errors),
        fields=fields,
        answer=answer,
        errors=errors,
        notes=tuple(note for outcome in outcomes.values() for note in outcome.notes),
        calls=_in_plan_order(calls, plan),
        images=job.images,
        plan={} if plan is None else plan.public(),
        cost_usd=sum((call.cost_usd for call in calls), Decimal(0)),
        tokens=sum(call.input_tokens + call.output_tokens for call in paid),
        seconds=round(seconds, 6),
    )


def _in_plan_order(calls: tuple[CallRecord, ...], plan: Plan | None) -> tuple[CallRecord, ...]:
    """Calls as the plan lists their nodes: branches end in any order."""
    places = {node.node: place for place, node in enumerate(plan.nodes if plan else ())}
    return tuple(sorted(calls, key=lambda call: places.get(call.node, len(places))))


def _answer(fields: dict[str, Field], outcomes: dict[str, Outcome]) -> str | None:
    if "answer" in fields:
        value = fields["answer"].value
        return None if value is None else str(value)
    return next((o.answer for o in reversed(outcomes.values()) if o.answer is not None), None)


def _said(state: Any) -> str | None:
    """The answer of a state of the user's own: its `answer`, or the last of its messages."""
    if isinstance(state.get("answer"), str):
        return state["answer"]
    messages = state.get("messages") or ()
    return None if not messages else str(getattr(messages[-1], "text", "")) or None


def _status(
    fields: dict[str, Field], answer: str | None, errors: tuple[ErrorRecord, ...]
) -> Status:
    answered = answer is not None or any(field.answered for field in fields.values())
    if errors:
        return "partial" if answered else "failed"
    if not answered or any(field.contradiction or field.doubt for field in fields.values()):
        return "review"
    return "complete"
