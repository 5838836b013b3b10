"""Starts a batch: settles what was asked for, checks that it can be done, opens its folder.

What is wrong with the request shows here, before a row is run or a cent is spent.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from orchestra.batch.folder import IMAGES, Folder, resume_command
from orchestra.batch.output.summary import Summary
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.plan.planner import allotment_of, followed_plan, plan_table, plan_where_tight
from orchestra.batch.plan.survey import Wish
from orchestra.batch.progress import Progress, Silent
from orchestra.batch.recipe import Recipe
from orchestra.batch.request import Request, named, settle
from orchestra.batch.row_run import Language, RowOptions, row_budget
from orchestra.batch.run.far import run_far
from orchestra.batch.run.row_host import RowWork
from orchestra.batch.run.runner import (
    DEFAULT_IN_FLIGHT,
    PROBE_DELAYS_S,
    Batch,
    Options,
)
from orchestra.book.ledger import LocalLedger
from orchestra.cluster.owned import connected
from orchestra.core.errors import ConfirmationNeeded, InvalidBudget
from orchestra.core.job import Budget
from orchestra.fleet.opened import Build, OpenFleet
from orchestra.routing import planner
from orchestra.routing.introspect import view
from orchestra.routing.plan import Plan
from orchestra.routing.planner import JobShape

SAMPLE_TEXT_BYTES = 200


async def plan_batch(
    fleet: OpenFleet,
    build: Build,
    table: Path,
    wish: Wish,
    *,
    out: str | Path | None,
    in_flight: int = DEFAULT_IN_FLIGHT,
    yes: bool = False,
    progress: Progress | None = None,
    **request: Any,
) -> BatchPlan:
    """What the batch of `table` into `out` would come to; see `settle` for the request.

    A sample is run and paid into the batch's book. Without `out` nothing is run: prices are then
    those of the cards. Raises as `plan_table` does.
    """
    _check_counts(wish.limit, in_flight)
    if out is not None:
        _confirm_paid(fleet, wish.budget, yes)
    settled = settle(fleet, build, table, **request)
    if out is None:
        return await plan_table(fleet, settled, wish, folder=None, in_flight=in_flight)
    await fleet.prepare(_typical_plan(fleet, settled, wish.budget))
    folder = Folder.open(Path(out), settled.identity, source=settled.source)
    with ExitStack() as stack:
        stack.callback(folder.book.close)
        folder.remember(settled.source)
        return await plan_table(
            fleet, settled, wish, folder=folder, in_flight=in_flight, progress=progress
        )


async def run_batch(
    fleet: OpenFleet,
    build: Build,
    table: Path,
    *,
    out: str | Path,
    limit: int | None = None,
    budget: Budget | None = None,
    recipe: Recipe | None = None,
    text_columns: Sequence[str] | None = None,
    image_column: str | None = None,
    id_column: str | None = None,
    language: Language | None = None,
    in_flight: int = DEFAULT_IN_FLIGHT,
    yes: bool = False,
    progress: Progress | None = None,
    probe_delays_s: tuple[float, ...] = PROBE_DELAYS_S,
    on: str | None = None,
    maps: bool = False,
    tags: Mapping[str, str] | None = None,
    images: Path | None = None,
    plan: BatchPlan | None = None,
    spread: bool = False,
) -> Summary:
    """Enrich `table` into the folder `out`; run it again to continue where it stopped.

    `limit` runs the first rows only (a pilot, which a later run continues). `budget.cost_usd` and
    `budget.tokens` cap the whole batch over all its runs; `latency_ms` is each row's deadline;
    `memory_gib` bounds what is hosted. Raises `UsageError` and `PlanError` before anything is
    spent, and `BatchPaused` when a model stopped answering for longer than `probe_delays_s`.

    `maps` turns on the recipe's own `maps`: each value read from a photo is marked there. Such a
    batch is another than one without. `tags` are noted in the book with what this run spends.

    `images` is the folder that photo paths are relative to, if it is not the table's.

    `plan` gives each row its route and sets the budget where none is given; what is spent is then
    spent where it helps most. With `spread` a batch whose budget may not do for all rows is planned
    first, by a sample. A resumed batch goes on with its plan. Rows over budget wait for more.

    `on` runs the rows on a Ray cluster: "ray" starts one on this machine, "auto" or "host:port"
    uses one that this machine belongs to. Photos and fleet must then have the same paths on all
    nodes; `in_flight` counts for each host. With "ray://host:port" the batch is run by the head
    node: table, photos, fleet and `out` are its paths, and there is no progress to see.
    """
    if on is not None and on.startswith("ray://"):
        far = dict(limit=limit, budget=budget, recipe=recipe, text_columns=text_columns)
        far |= dict(image_column=image_column, id_column=id_column, language=language)
        far |= dict(in_flight=in_flight, yes=yes, out=str(out), maps=maps, policy=fleet.policy)
        far |= dict(cache=_cache_place(fleet), tags=tags)
        far |= dict(plan=plan, spread=spread, images=images)
        with connected(on, fleet.file):
            return await run_far(run_batch, fleet.name, named(build), str(table), far)
    budget = _budget_of(budget, plan)
    _check_counts(limit, in_flight)
    _confirm_paid(fleet, budget, yes)
    request = settle(
        fleet,
        build,
        table,
        recipe=recipe,
        text_columns=text_columns,
        image_column=image_column,
        id_column=id_column,
        language=language,
        maps=maps,
        images=images,
    )
    if plan is not None:
        plan.check(request.identity)
    planned = _typical_plan(fleet, request, budget)
    if on is None:
        await fleet.prepare(planned)
    source = request.source
    folder = Folder.open(Path(out), request.identity, source=source, patient=on is not None)
    folder.remember(source)
    try:
        plan = followed_plan(plan, folder, fleet)
        if plan is None and spread and on is None:
            wish = Wish(budget=budget, limit=limit)
            plan = await plan_where_tight(fleet, request, wish, folder, in_flight, progress)
        allotment = allotment_of(plan, request, folder, budget, limit)
    except BaseException:
        folder.book.close()
        raise
    options = Options(
        budget=budget,
        limit=limit,
        in_flight=in_flight,
        language=language or "auto",
        base=request.base,
        probe_delays_s=probe_delays_s,
        progress=progress or Silent(),
        resume=resume_command(sys.argv),
        tags=tags or {},
        plan=plan,
        allotment=allotment,
    )
    ledger = LocalLedger(folder.book)
    scoped = fleet.scoped(ledger, folder.images)
    parts = (
        scoped,
        ledger,
        request.graph,
        request.table,
        request.columns,
        folder,
        request.identity,
        options,
    )
    with ExitStack() as stack:
        stack.callback(folder.book.close)
        if on is None:
            return await Batch(*parts).run()
        stack.enter_context(connected(on, fleet.file))
        from orchestra.batch.run.cluster import ClusterBatch  # ray; after it was kept on loopback

        work = _work(fleet, request, folder, options)
        batch = ClusterBatch(*parts).on(work, planned)
        stack.callback(lambda: batch.folder.book.close())
        return await batch.run()


def _budget_of(budget: Budget | None, plan: BatchPlan | None) -> Budget:
    """The budget given, with the plan's cost where it sets none."""
    budget = budget or Budget()
    if budget.cost_usd is not None or plan is None or plan.cost_usd is None:
        return budget
    limits = {name: value for name, value in budget if value is not None}
    return Budget(**limits, cost_usd=f"{plan.cost_usd:.6f}")


def _check_counts(limit: int | None, in_flight: int) -> None:
    for name, count in (("limit", limit), ("in_flight", in_flight)):
        if count is not None and count < 1:
            raise InvalidBudget(f"{name}={count!r} is not a number of rows; give 1 or more.")


def _confirm_paid(fleet: OpenFleet, budget: Budget, yes: bool) -> None:
    paid = [card.name for card in fleet.file.models if card.price.is_paid]
    if paid and budget.cost_usd is None and not yes:
        raise ConfirmationNeeded(
            f"The fleet {fleet.file.name!r} bills calls of {', '.join(paid)}, and the batch has no "
            "budget. Set one with --cost-usd, or confirm with --yes."
        )


def _typical_plan(fleet: OpenFleet, request: Request, budget: Budget) -> Plan:
    """The plan of a typical row: a fleet that cannot work fails before any row."""
    columns = request.columns
    shape = JobShape(SAMPLE_TEXT_BYTES if columns.text else 0, 1 if columns.image else 0)
    limits = row_budget(budget)
    return planner.plan(view(request.graph), shape, limits, fleet.file, policy=fleet.policy)


def _work(fleet: OpenFleet, request: Request, folder: Folder, options: Options) -> RowWork:
    """What hosts elsewhere are told, every path absolute."""
    is_file = fleet.name.endswith((".yaml", ".yml"))
    recipe = request.recipe
    return RowWork(
        fleet=str(Path(fleet.name).resolve()) if is_file else fleet.name,
        graph=named(request.build),
        recipe=None if recipe is None else recipe.model_dump_json(by_alias=True),
        columns=request.columns,
        options=RowOptions(
            request.identity, options.budget, options.language, request.base, options.tags
        ),
        images=folder.path.resolve() / IMAGES,
        policy=None if fleet.policy is None else fleet.policy.model_dump_json(),
        cache=_cache_place(fleet),
    )


def _cache_place(fleet: OpenFleet) -> str | None:
    """Where the fleet's cache is, for another process: each node has its own at that path."""
    return None if fleet.cache is None else str(fleet.cache.folder.resolve())
