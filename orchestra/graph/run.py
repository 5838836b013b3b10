"""Runs one job that was taken in through a graph: plan, account, graph, result.

It knows no concrete graph and no model; calls go through the fleet's clients.
"""

from __future__ import annotations

import asyncio
import time
import traceback
import uuid
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from langgraph.graph.state import CompiledStateGraph

from orchestra.book.messages import CloseAccount, OpenAccount
from orchestra.core.ask import enter, leave
from orchestra.core.errors import (
    BookError,
    GraphFailed,
    OrchestraError,
)
from orchestra.core.job import Budget, Job, Result
from orchestra.core.money import usd
from orchestra.core.state import Context
from orchestra.core.tags import label_of
from orchestra.graph.allowance import CURRENT, Allowance
from orchestra.graph.backing import Backing
from orchestra.graph.intake import Intake, first_state
from orchestra.graph.job_run import JobRun
from orchestra.graph.result import assemble
from orchestra.routing.load import IDLE
from orchestra.routing.plan import Plan


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
