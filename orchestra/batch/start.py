"""Starts a batch: settles what was asked for, checks that it can be done, opens its folder.

What is wrong with the request shows here, before a row is run or a cent is spent.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from decimal import Decimal
from functools import partial
from pathlib import Path

from orchestra.batch.beside import texts_beside
from orchestra.batch.folder import Folder
from orchestra.batch.output.summary import Summary
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.plan.pilot import quoted_plan
from orchestra.batch.plan.planner import allotment_of, followed_plan, plan_table, plan_where_tight
from orchestra.batch.plan.survey import Wish
from orchestra.batch.progress import Progress
from orchestra.batch.request import Request, settle
from orchestra.batch.retry import retried_kinds
from orchestra.batch.row_run import row_budget
from orchestra.batch.run.far import run_far
from orchestra.batch.run.runner import BatchRun
from orchestra.batch.spec import DEFAULT_IN_FLIGHT, BatchSpec, RunSettings
from orchestra.book.ledger import LocalLedger
from orchestra.cluster.owned import connected
from orchestra.core.errors import ConfirmationNeeded, InvalidBudget
from orchestra.core.garbage import collected_seldom
from orchestra.core.job import Budget
from orchestra.core.turns import short_turns
from orchestra.fleet.opened import OpenFleet
from orchestra.images.limits import ImageLimits
from orchestra.routing import planner
from orchestra.routing.candidates import JobShape, price_unknown
from orchestra.routing.introspect import view
from orchestra.routing.plan import Plan

SAMPLE_TEXT_BYTES = 200
MOST_COUNT = 10**12  # of rows


async def plan_batch(
    fleet: OpenFleet,
    spec: BatchSpec,
    wish: Wish,
    *,
    out: Path | None,
    in_flight: int = DEFAULT_IN_FLIGHT,
    yes: bool = False,
    progress: Progress | None = None,
) -> BatchPlan:
    """What the batch `spec` into `out` would come to.

    A sample is run and paid into the batch's book. Without `out` nothing is run: prices are then
    those of the cards. Raises as `settle` and `plan_table` do.
    """
    check_counts(wish.limit, in_flight)
    check_prices(fleet, wish.budget)
    if out is not None:
        _confirm_paid(fleet, wish.budget, yes)
    request = settle(fleet, spec)
    _tell(request, progress)
    if out is None:
        return await plan_table(fleet, request, wish, folder=None, in_flight=in_flight)
    await fleet.prepare(typical_plan(fleet, request, wish.budget))
    folder = Folder.open(out, request.spec, table=request.table)
    with closing(folder.book):
        return await plan_table(
            fleet, request, wish, folder=folder, in_flight=in_flight, progress=progress
        )


async def run_batch(
    fleet: OpenFleet,
    spec: BatchSpec,
    settings: RunSettings,
    *,
    plan: BatchPlan | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Enrich the table of `spec` into the folder `settings.out`; again to go on where it stopped.

    `plan` gives each row its route and sets the budget where none is given; what is spent is then
    spent where it helps most. A resumed batch goes on with its plan. Rows over budget wait for
    more. Raises `UsageError` and `PlanError` before anything is spent, and `BatchPaused` when a
    model stopped answering for longer than `probe_delays_s`.
    """
    on, budget = settings.on, _budget_of(settings.budget, plan)
    cache = None if fleet.cache is None else fleet.cache.folder.resolve()
    settings = settings.model_copy(
        update={
            "budget": budget,
            "cache": cache,
            "allow_private": fleet.image_limits.allow_private,
        }
    )
    if on is not None and on.startswith("ray://"):
        with connected(on, fleet.file):
            return await run_far(run_here, spec.named(), settings, plan)
    check_counts(settings.limit, settings.in_flight)
    check_prices(fleet, budget)
    kinds = retried_kinds(settings.retry_failed)
    _confirm_paid(fleet, budget, settings.yes)
    request = settle(fleet, spec)
    _tell(request, progress)
    if plan is not None:
        plan.check(request.spec.identity)
    typical = typical_plan(fleet, request, budget)
    if on is None:
        await fleet.prepare(typical)
    with ExitStack() as stack:
        stack.enter_context(collected_seldom())
        stack.enter_context(short_turns())
        folder = Folder.open(
            settings.out, request.spec, table=request.table, patient=on is not None
        )
        stack.callback(folder.book.close)
        progress = progress or Progress()
        if folder.came is not None:
            progress.say(str(folder.came))
        plan = followed_plan(plan, folder, fleet)
        if plan is None and settings.spread and on is None:
            wish, in_flight = Wish(budget=budget, limit=settings.limit), settings.in_flight
            plan = await plan_where_tight(fleet, request, wish, folder, in_flight, progress)
        again = folder.book.with_errors(kinds).values()
        allotment = allotment_of(
            plan, request, folder, budget, settings.limit, again, fleet.reader.expect
        )
        quote = quoted_plan(plan, request, folder, settings.limit, fleet.reader.expect)
        ledger = LocalLedger(folder.book)
        kind: Callable[..., BatchRun] = BatchRun
        if on is not None:
            stack.enter_context(connected(on, fleet.file))
            from orchestra.batch.run.cluster import ClusterRun  # ray; after it was kept on loopback

            models = list(dict.fromkeys(node.model for node in typical.nodes))
            kind = partial(ClusterRun, models=models)
        run = kind(
            fleet=fleet.scoped(ledger, folder.images, texts_beside(fleet.file, request, folder)),
            ledger=ledger,
            request=request,
            folder=folder,
            settings=settings,
            progress=progress,
            plan=quote,
            allotment=allotment,
        )
        stack.callback(lambda: run.book.close())  # on a cluster it is opened again
        return await run.run()


async def run_here(spec: BatchSpec, settings: RunSettings, plan: BatchPlan | None) -> Summary:
    """Run a batch that was asked for elsewhere, on the cluster of this machine."""
    limits = ImageLimits(allow_private=settings.allow_private)
    async with OpenFleet.open(
        spec.fleet, policy=spec.policy, cache=settings.cache, image_limits=limits
    ) as fleet:
        here = settings.model_copy(update={"on": "auto"})
        return await run_batch(fleet, spec, here, plan=plan)


def _tell(request: Request, progress: Progress | None) -> None:
    """Say how the table is read."""
    if progress is not None:
        for line in request.said:
            progress.say(line)


def _budget_of(budget: Budget, plan: BatchPlan | None) -> Budget:
    """The budget given, with the plan's cost where it sets none."""
    if budget.cost_usd is not None or plan is None or plan.cost_usd is None:
        return budget
    return budget.model_copy(update={"cost_usd": Decimal(f"{plan.cost_usd:.6f}")})


def check_counts(limit: int | None, in_flight: int) -> None:
    """Raise `InvalidBudget` for what is no number of rows."""
    for name, count in (("limit", limit), ("in_flight", in_flight)):
        if count is not None and not 1 <= count <= MOST_COUNT:
            raise InvalidBudget(
                f"{name}={count!r} is not a number of rows; give 1 to {MOST_COUNT:,}."
            )


def check_prices(fleet: OpenFleet, budget: Budget) -> None:
    """Raise `PlanError` where money is capped and a model has no price that is known."""
    unpriced = [card for card in fleet.file.models if card.is_hosted and card.price.unknown]
    if unpriced and budget.cost_usd is not None:
        raise price_unknown(unpriced)


def _confirm_paid(fleet: OpenFleet, budget: Budget, yes: bool) -> None:
    paid = [card.name for card in fleet.file.models if card.price.is_paid]
    if paid and budget.cost_usd is None and not yes:
        raise ConfirmationNeeded(
            f"The fleet {fleet.file.name!r} bills, or may bill, calls of {', '.join(paid)}, and "
            "the batch has no budget in dollars. Set one with --cost-usd, or confirm with --yes."
        )


def typical_plan(fleet: OpenFleet, request: Request, budget: Budget) -> Plan:
    """The plan of a typical row: a fleet that cannot work fails before any row."""
    columns = request.spec.columns
    shape = JobShape(SAMPLE_TEXT_BYTES if columns.text else 0, 1 if columns.images else 0)
    limits = row_budget(budget)
    return planner.plan(view(request.graph), shape, limits, fleet.file, policy=fleet.policy)
