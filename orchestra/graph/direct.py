"""One question to one model within a job's budget, without a graph; it knows no HTTP."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass

from orchestra.book.messages import CloseAccount, OpenAccount
from orchestra.core.ask import Ask
from orchestra.core.call import OnPiece, Turn
from orchestra.core.card import FleetFile
from orchestra.core.job import Job, Result
from orchestra.core.state import JobState
from orchestra.core.tags import label_of
from orchestra.graph.backing import Backing
from orchestra.graph.intake import take_in
from orchestra.graph.job_run import NO_TOOLS, JobRun, Tools
from orchestra.graph.result import assemble
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import Plan
from orchestra.routing.planner import JobShape, plan
from orchestra.routing.prompt_size import talk_bytes

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
