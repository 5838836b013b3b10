"""What a batch does with a plan: keeps it, makes one where money is tight, and follows it."""

from __future__ import annotations

from itertools import islice

from orchestra.batch.folder import Folder
from orchestra.batch.plan.allot import Allotment
from orchestra.batch.plan.kinds import Scan
from orchestra.batch.plan.plan_table import Wish, plan_table
from orchestra.batch.plan.quote import BatchPlan, read_plan
from orchestra.batch.progress import Progress
from orchestra.batch.request import Request
from orchestra.core.errors import BudgetExceeded, InvalidTable
from orchestra.core.identity import snapshot
from orchestra.core.job import Budget
from orchestra.core.money import limit_micro
from orchestra.fleet.opened import OpenFleet

PLAN = "plan"


def kept_plan(folder: Folder) -> BatchPlan | None:
    """The plan that the batch in `folder` was started with."""
    kept = folder.book.meta(PLAN)
    return None if kept is None else read_plan(kept, origin=f"The book of {str(folder.path)!r}")


def followed_plan(given: BatchPlan | None, folder: Folder, fleet: OpenFleet) -> BatchPlan | None:
    """The plan given, else the one that the batch in `folder` was started with.

    Raises `InvalidPlan` for a new plan of other prices. A batch goes on with the plan it was
    started with whatever its models cost since: its cap holds at today's prices.
    """
    kept = kept_plan(folder)
    if given is not None and given != kept:
        given.check_snapshot(snapshot(fleet.file))
    return given or kept


async def plan_where_tight(
    fleet: OpenFleet,
    request: Request,
    wish: Wish,
    folder: Folder,
    in_flight: int,
    progress: Progress | None,
) -> BatchPlan | None:
    """A plan from a sample; None when the budget is sure to do for all rows, or for no sample.

    Raises as `plan_table` does.
    """
    if wish.budget.cost_usd is None:
        return None
    try:
        sure = await plan_table(fleet, request, wish, folder=None, in_flight=in_flight)
    except InvalidTable:
        return None  # rows that all fail cost nothing, and the batch says why
    if sure.is_full and sure.at_most_usd < float(wish.budget.cost_usd):
        return None
    if progress is not None:
        progress.say("The budget may not do for all rows, so a sample is run to plan by.")
    try:
        return await plan_table(
            fleet, request, wish, folder=folder, in_flight=in_flight, progress=progress
        )
    except BudgetExceeded:
        if progress is not None:
            progress.say("The budget does not hold a sample: rows are run in the table's order.")
        return None


def allotment_of(
    plan: BatchPlan | None, request: Request, folder: Folder, budget: Budget, limit: int | None
) -> Allotment | None:
    """Routes by the plan, which is kept for a resume; None without a plan or a cap."""
    if plan is None:
        return None
    folder.book.set_meta(PLAN, plan.model_dump_json())
    if budget.cost_usd is None:
        return None
    rows = islice(request.table.rows(), limit)
    scan = Scan.of(rows, request.columns, request.base)
    scan.finished = folder.book.finished_ordinals()
    return Allotment(plan, scan, limit_micro(budget.cost_usd))
