"""One question to one model, without a graph: planned, paid and answered as a job is."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field

from orchestra.access.allowed import allowed_fleet, check_model, within
from orchestra.access.principal import principal
from orchestra.book.messages import CloseAccount
from orchestra.core.ask import Ask
from orchestra.core.call import OnPiece, Turn
from orchestra.core.card import FleetFile
from orchestra.core.job import Job, Result
from orchestra.core.place import Place
from orchestra.core.state import JobState
from orchestra.graph.accounts import Ceiling, deadline, open_account
from orchestra.graph.assembly import assemble
from orchestra.graph.backing import Backing
from orchestra.graph.intake import take_in
from orchestra.graph.job_run import JobRun
from orchestra.graph.translation import Tools
from orchestra.routing.candidates import JobShape
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import Plan
from orchestra.routing.planner import plan
from orchestra.routing.prompt_size import talk_bytes


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
    file = allowed_fleet(fleet.file)
    if query.model is not None:
        check_model(fleet.file, query.model)
        card = file.card(query.model)
        file = FleetFile.model_construct(**{**dict(file), "models": (card,)})
    size = len((job.text or "").encode()) + talk_bytes(query.turns, query.tools.offered)
    shape = JobShape(size, len(job.images), job.data == "local")
    view = GraphView.of_node(query.node, query.ask, visits=query.calls)
    return plan(view, shape, within(job.budget), file)


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

    `parent` is the account that pays, else that of who asks; `ends_at` a deadline (by the monotonic
    clock) beside that of the job's own budget.

    Raises what planning and loading raise, and the first photo's error: a question about a photo
    that cannot be seen has no answer. A failed call stands in the result.
    """
    intake = await take_in(fleet, job, fine=query.ask.is_fine)
    if intake.errors:
        raise intake.errors[0].error()
    planned = plan_query(fleet, query, intake.job)
    await fleet.prepare(planned)
    started = time.monotonic()
    account = f"question:{uuid.uuid4().hex}"
    state = JobState(job=intake.job.model_dump(mode="json"))
    payer = parent or principal().account
    ceiling, hold = Ceiling.of(planned), parent is None and payer is not None
    await open_account(fleet, account, intake.job, ceiling, parent=payer, hold=hold)
    ends = [end for end in (ends_at, deadline(intake, started)) if end is not None]
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
        name, outcome = await run.ask(Place(query.node), query.ask, state)
    finally:
        await fleet.ledger.send(CloseAccount(account))
    state["outcomes"] = {name: outcome.model_dump(mode="json")}
    seconds = time.monotonic() - started
    return assemble(state, intake, planned, run.progress, seconds=seconds)
