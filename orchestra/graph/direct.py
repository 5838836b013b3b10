"""One question to one model within a job's budget, without a graph; it knows no HTTP."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestra.clients.engine import OnPiece, Turn
from orchestra.fleet.card import FleetFile
from orchestra.graph.ask import Ask
from orchestra.graph.intake import take_in
from orchestra.graph.result import assemble
from orchestra.graph.run import JobRun
from orchestra.graph.state import JobState
from orchestra.job import Job, Result
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import Plan
from orchestra.routing.planner import JobShape, plan

if TYPE_CHECKING:
    from orchestra.fleet.fleet import Fleet

NODE = "answer"


@dataclass(frozen=True, slots=True)
class Question:
    """An ask with the conversation before it, and the one card that may answer (None: any)."""

    ask: Ask
    turns: tuple[Turn, ...] = ()
    model: str | None = None


def plan_question(fleet: Fleet, question: Question, job: Job) -> Plan:
    """The plan of a question; `job`'s images need not have been read. Spends nothing."""
    file = fleet.file
    if question.model is not None:
        card = file.card(question.model)
        file = FleetFile.model_construct(**{**dict(file), "models": (card,)})
    said = sum(len(turn.text.encode()) + len(turn.role) for turn in question.turns)
    shape = JobShape(len((job.text or "").encode()) + said, len(job.images), job.data == "local")
    view = GraphView((NODE,), {NODE: question.ask}, frozenset(), {NODE: 1})
    return plan(view, shape, job.budget, file)


async def answer_question(
    fleet: Fleet, question: Question, job: Job, on_piece: OnPiece | None = None
) -> Result:
    """Ask one model. `on_piece` hears the answer as it is decoded.

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
    ends_at = (
        None if budget.latency_ms is None else started + budget.latency_ms / 1000 - intake.seconds
    )
    account = f"question:{uuid.uuid4().hex}"
    state = JobState(job=intake.job.model_dump(mode="json"))
    await fleet.ledger.open_account(account, cost_micro=planned.cost_micro, tokens=planned.tokens)
    run = JobRun(
        fleet, intake.job, account, planned, ends_at, turns=question.turns, on_piece=on_piece
    )
    try:
        outcome = await run.ask(NODE, question.ask, state)
    finally:
        await fleet.ledger.close_account(account)
    done = {"outcomes": {NODE: outcome.model_dump(mode="json")}}
    seconds = time.monotonic() - started
    return assemble(done, intake.job, (), planned, tuple(run.calls), seconds)
