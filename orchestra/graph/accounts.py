"""The account that a job spends from, what is left beside it, and when its time is over."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal

from orchestra.book.ledger import open_or_close
from orchestra.book.messages import AbandonAccount, CloseAccount, OpenAccount
from orchestra.core.errors import BookError
from orchestra.core.job import Budget, Job
from orchestra.core.money import limit_micro, usd
from orchestra.core.tags import label_of
from orchestra.graph.backing import Backing
from orchestra.graph.intake import Intake
from orchestra.routing.plan import Plan


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What an account holds for a job: the ceiling of the plan that it began with."""

    cost_micro: int
    tokens: int

    @classmethod
    def of(cls, plan: Plan) -> Ceiling:
        """The ceiling of a plan."""
        return cls(plan.cost_micro, plan.tokens)

    def beside(self, budget: Budget) -> Budget:
        """What it leaves of a budget, for nodes that are no asks."""
        cost, tokens = budget.cost_usd, budget.tokens
        return Budget(
            cost_usd=None if cost is None else max(Decimal(0), cost - usd(self.cost_micro)),
            tokens=None if tokens is None else max(0, tokens - self.tokens),
            memory_gib=budget.memory_gib,
        )


async def open_account(
    fleet: Backing,
    account: str,
    job: Job,
    ceiling: Ceiling,
    *,
    parent: str | None,
    hold: bool = False,
) -> None:
    """Open the account of a job, or open it again with what it has spent still counted.

    Calls may reserve the plan's ceiling; what they cost, above their bounds too, is held against
    the job's own budget.
    """
    cost = job.budget.cost_usd
    opened = OpenAccount(
        account,
        parent=parent,
        cost_micro=None if cost is None else limit_micro(cost),
        tokens=job.budget.tokens,
        hold=hold,
        label=label_of(job.tags),
        ceiling_micro=ceiling.cost_micro,
        ceiling_tokens=ceiling.tokens,
    )
    await open_or_close(fleet.ledger, opened)


async def close_account(fleet: Backing, account: str) -> None:
    """Close an account; calls in it that nobody waits for any more are presumed.

    A client that hung up leaves such ones. A book that failed leaves the account open, and its own
    error is the one to tell.
    """
    try:
        await fleet.ledger.send(CloseAccount(account))
    except BookError:
        with suppress(BookError):
            await fleet.ledger.send(AbandonAccount(account))


def deadline(intake: Intake, started: float) -> float | None:
    """When the job's time is over, by the monotonic clock; taking it in was part of it."""
    latency_ms = intake.job.budget.latency_ms
    return None if latency_ms is None else started + latency_ms / 1000 - intake.seconds
