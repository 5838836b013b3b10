"""The account that a job spends from, and when its time is over."""

from __future__ import annotations

from orchestra.book.messages import OpenAccount
from orchestra.core.job import Job
from orchestra.core.tags import label_of
from orchestra.graph.backing import Backing
from orchestra.graph.intake import Intake
from orchestra.routing.plan import Plan


async def open_account(
    fleet: Backing, account: str, job: Job, plan: Plan, *, parent: str | None, hold: bool = False
) -> None:
    """Open an account of a job that holds the ceiling of its plan."""
    opened = OpenAccount(
        account,
        parent=parent,
        cost_micro=plan.cost_micro,
        tokens=plan.tokens,
        hold=hold,
        label=label_of(job.tags),
    )
    await fleet.ledger.send(opened)


def deadline(intake: Intake, started: float) -> float | None:
    """When the job's time is over, by the monotonic clock; taking it in was part of it."""
    latency_ms = intake.job.budget.latency_ms
    return None if latency_ms is None else started + latency_ms / 1000 - intake.seconds
