"""Runs one job, through a graph or as one question to one model: plan, account, calls, result."""

from __future__ import annotations

import asyncio
import time
import traceback
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
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
from orchestra.core.money import limit_micro, usd
from orchestra.core.state import Context, JobState, Outcome, fields_of, outcomes_of
from orchestra.core.tags import label_of
from orchestra.graph.allowance import CURRENT, Allowance
from orchestra.graph.backing import Backing
from orchestra.graph.intake import Intake, first_state, take_in
from orchestra.graph.job_run import JobRun
from orchestra.graph.translation import Tools
from orchestra.routing.candidates import JobShape
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import Plan
from orchestra.routing.planner import plan
from orchestra.routing.prompt_size import talk_bytes
from orchestra.routing.timing import IDLE


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
        return assemble({}, intake, None)
    # Rows of a batch are planned alike, however many others are under way.
    chosen = planned or fleet.plan_for(graph, intake.shape, job.budget, IDLE)
    await _open_account(fleet, account, job, chosen, parent=parent, hold=parent is not None)
    raw_job = job.model_dump(mode="json")
    run_id = f"{account}@{id(fleet):x}"
    run = JobRun(fleet, job, account, chosen, _deadline(intake, started), raw_job=raw_job)
    enter(run_id, run)
    unplanned = _unplanned(run, chosen, parent)
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
    done = assemble(state, intake, chosen, run.calls, seconds)
    times = {"intake_seconds": intake.seconds, "model_seconds": run.at_work.seconds()}
    return done.model_copy(update={name: round(value, 6) for name, value in times.items()})


async def _open_account(
    fleet: Backing, account: str, job: Job, plan: Plan, *, parent: str | None, hold: bool = False
) -> None:
    """Open an account of a job, for no more than its plan's ceiling and its budget."""
    cost = job.budget.cost_usd
    opened = OpenAccount(
        account,
        parent=parent,
        cost_micro=None if cost is None else limit_micro(cost),
        tokens=job.budget.tokens,
        hold=hold,
        label=label_of(job.tags),
        ceiling_micro=plan.cost_micro,
        ceiling_tokens=plan.tokens,
    )
    await fleet.ledger.send(opened)


def _deadline(intake: Intake, started: float) -> float | None:
    """When the job's time is over, by the monotonic clock; taking it in was part of it."""
    latency_ms = intake.job.budget.latency_ms
    return None if latency_ms is None else started + latency_ms / 1000 - intake.seconds


def _unplanned(run: JobRun, plan: Plan, parent: str | None) -> Allowance:
    """What nodes that are no asks may spend of the job: what its plan leaves of the budget."""
    budget = run.job.budget
    cost, tokens = budget.cost_usd, budget.tokens
    return Allowance(
        run.fleet,
        f"{run.account}:unplanned",
        asyncio.get_running_loop(),
        Budget(
            cost_usd=None if cost is None else max(Decimal(0), cost - usd(plan.cost_micro)),
            tokens=None if tokens is None else max(0, tokens - plan.tokens),
            memory_gib=budget.memory_gib,
        ),
        parent=parent,
        beside=run.account,
        ends_at=run.ends_at,
        calls=run.calls,
        label=label_of(run.job.tags),
    )


async def unprepared_run(fleet: Backing) -> JobRun:
    """A run for a graph that was invoked without `Fleet.run`: no budget beyond the job's own."""
    account = f"unplanned:{uuid.uuid4().hex}"
    await fleet.ledger.send(OpenAccount(account))
    return JobRun(fleet, Job(), account, None)


@dataclass(frozen=True, slots=True)
class Query:
    """An ask with the conversation before it, and the one card that may answer (None: any).

    `node` names it in plan and book, `calls` is how often it may be asked within one plan.
    """

    ask: Ask
    turns: tuple[Turn, ...] = ()
    model: str | None = None
    tools: Tools = field(default_factory=Tools)
    node: str = "answer"
    calls: int = 1


def plan_query(fleet: Backing, query: Query, job: Job) -> Plan:
    """The plan of a query; `job`'s images need not have been read. Spends nothing."""
    file = fleet.file
    if query.model is not None:
        card = file.card(query.model)
        file = FleetFile.model_construct(**{**dict(file), "models": (card,)})
    size = len((job.text or "").encode()) + talk_bytes(query.turns, query.tools.offered)
    shape = JobShape(size, len(job.images), job.data == "local")
    view = GraphView.of_node(query.node, query.ask, visits=query.calls)
    return plan(view, shape, job.budget, file)


async def answer_query(
    fleet: Backing,
    query: Query,
    job: Job,
    on_piece: OnPiece | None = None,
    *,
    parent: str | None = None,
    ends_at: float | None = None,
) -> Result:
    """Ask one model, without a graph. `on_piece` hears the answer as it is decoded.

    `parent` is the account that pays, `ends_at` a deadline (by the monotonic clock) beside that of
    the job's own budget.

    Raises what planning and loading raise, and the first photo's error: a question about a photo
    that cannot be seen has no answer. A failed call stands in the result.
    """
    intake = await take_in(fleet, job)
    if intake.errors:
        raise intake.errors[0].error()
    planned = plan_query(fleet, query, intake.job)
    await fleet.prepare(planned)
    started = time.monotonic()
    account = f"question:{uuid.uuid4().hex}"
    state = JobState(job=intake.job.model_dump(mode="json"))
    await _open_account(fleet, account, intake.job, planned, parent=parent)
    ends = [end for end in (ends_at, _deadline(intake, started)) if end is not None]
    run = JobRun(
        fleet,
        intake.job,
        account,
        planned,
        min(ends, default=None),
        turns=query.turns,
        tools=query.tools,
        on_piece=on_piece,
    )
    try:
        outcome = await run.ask(query.node, query.ask, state)
    finally:
        await fleet.ledger.send(CloseAccount(account))
    state["outcomes"] = {query.node: outcome.model_dump(mode="json")}
    return assemble(state, intake, planned, run.calls, time.monotonic() - started)


def assemble(
    state: Any,
    intake: Intake,
    plan: Plan | None,
    calls: Sequence[CallRecord] = (),
    seconds: float = 0.0,
) -> Result:
    """The result of a state. Without a merge, the fields of all nodes stand side by side."""
    outcomes = outcomes_of(state)
    fields = fields_of(state)
    if not fields:
        fields = {name: f for outcome in outcomes.values() for name, f in outcome.fields.items()}
    errors = intake.errors + tuple(o.error for o in outcomes.values() if o.error is not None)
    answer = _answer(fields, outcomes) or _own_answer(state)
    paid = [call for call in calls if not call.reused]
    # Branches end in any order; calls are told as the plan lists their nodes.
    places = {node.node: place for place, node in enumerate(plan.nodes if plan else ())}
    return Result(
        status=_status(fields, answer, errors),
        fields=fields,
        answer=answer,
        errors=errors,
        notes=tuple(note for outcome in outcomes.values() for note in outcome.notes),
        calls=tuple(sorted(calls, key=lambda call: places.get(call.node, len(places)))),
        images=intake.job.images,
        plan={} if plan is None else plan.public(),
        cost_usd=sum((call.cost_usd for call in calls), Decimal(0)),
        tokens=sum(call.input_tokens + call.output_tokens for call in paid),
        seconds=round(seconds, 6),
    )


def _answer(fields: dict[str, Field], outcomes: dict[str, Outcome]) -> str | None:
    if "answer" in fields:
        value = fields["answer"].value
        return None if value is None else str(value)
    return next((o.answer for o in reversed(outcomes.values()) if o.answer is not None), None)


def _own_answer(state: Any) -> str | None:
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
