"""Asks that the plan of their job does not hold, as those of a graph that a node calls itself.

Each visit is planned by itself within what is left of an allowance, and holds its ceiling from it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from orchestra.access.allowed import allowed_fleet
from orchestra.book.keys.budget_names import budget_parts
from orchestra.book.messages import CloseAccount
from orchestra.core.ask import Ask
from orchestra.core.errors import BudgetExceeded, NoFeasiblePlan
from orchestra.core.job import Job
from orchestra.graph.accounts import Ceiling, open_account
from orchestra.graph.allowance import Allowance
from orchestra.graph.backing import Backing
from orchestra.graph.intake import Intake
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import NodePlan, Plan
from orchestra.routing.planner import plan

REFUND_POLL_S = 0.02


@asynccontextmanager
async def planned_alone(
    fleet: Backing, node: str, ask: Ask, job: Job, allowance: Allowance
) -> AsyncIterator[tuple[NodePlan, str]]:
    """The plan of one visit, whose model is loaded, and the account that pays for it.

    Raises `BudgetExceeded` where nothing fits in what is left, and what planning and loading raise.
    """
    account = f"{allowance.account}:{node}:{uuid.uuid4().hex}"
    while (chosen := await _held(fleet, node, ask, job, allowance, account)) is None:
        await asyncio.sleep(REFUND_POLL_S)
    try:
        await fleet.prepare(chosen)
        yield chosen.nodes[0], account
    finally:
        await fleet.ledger.send(CloseAccount(account))


async def _held(
    fleet: Backing, node: str, ask: Ask, job: Job, allowance: Allowance, account: str
) -> Plan | None:
    """A plan whose ceiling `account` now holds; None while calls under way may give some back."""
    left, is_waiting = await allowance.left()
    try:
        chosen = plan(
            GraphView.of_node(node, ask),
            Intake(job).shape,
            left,
            allowed_fleet(fleet.file),
            policy=fleet.policy,
        )
    except NoFeasiblePlan as error:
        if is_waiting:
            return None
        raise BudgetExceeded(
            f"The node {node!r} stands in a graph that a node calls itself, so it spends what the "
            f"plan leaves of the job's budget. {error}"
        ) from error
    try:
        ceiling, parent = Ceiling.of(chosen), allowance.account
        await open_account(fleet, account, job, ceiling, parent=parent, hold=True)
    except BudgetExceeded as error:
        if budget_parts(error.account or "") is not None:
            raise  # the money of who asks: nothing that this run gives back makes room
        return None  # another call took the room: plan again
    return chosen
