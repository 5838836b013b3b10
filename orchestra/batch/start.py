"""Starts a batch: settles what was asked for, checks that it can be done, opens its folder.

What is wrong with the request shows here, before a row is run or a cent is spent.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from langgraph.graph.state import CompiledStateGraph

from orchestra.batch.columns import Columns
from orchestra.batch.far import run_far
from orchestra.batch.folder import IMAGES, Folder, Source, resume_command
from orchestra.batch.models import remember_models
from orchestra.batch.output import Summary
from orchestra.batch.progress import Progress, Silent
from orchestra.batch.recipe import Recipe
from orchestra.batch.row_host import RowWork
from orchestra.batch.row_run import Language, RowOptions, row_budget
from orchestra.batch.runner import (
    DEFAULT_IN_FLIGHT,
    PROBE_DELAYS_S,
    Batch,
    Options,
)
from orchestra.batch.tables import Table
from orchestra.budget.ledger import LocalLedger
from orchestra.errors import ConfirmationNeeded, InvalidBudget, InvalidGraph
from orchestra.fleet.fingerprint import fingerprints
from orchestra.fleet.fleet import Build, Fleet
from orchestra.fleet.source import graph_place
from orchestra.job import Budget
from orchestra.routing.introspect import compile_graph, view
from orchestra.routing.plan import Plan
from orchestra.routing.planner import JobShape, plan
from orchestra.serving.cluster import connected

SAMPLE_TEXT_BYTES = 200


async def run_batch(
    fleet: Fleet,
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
) -> Summary:
    """Enrich `table` into the folder `out`; run it again to continue where it stopped.

    `limit` runs the first rows only (a pilot, which a later run continues). `budget.cost_usd` and
    `budget.tokens` cap the whole batch over all its runs; `latency_ms` is each row's deadline;
    `memory_gib` bounds what is hosted. Raises `UsageError` and `PlanError` before anything is
    spent, and `BatchPaused` when a model stopped answering for longer than `probe_delays_s`.

    `maps` turns on the recipe's own `maps`: each value read from a photo is marked there. Such a
    batch is another than one without. `tags` are noted in the book with what this run spends.

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
        with connected(on, fleet.file):
            return await run_far(fleet.name, _named(build), str(table), far)
    budget = budget or Budget()
    _check_counts(limit, in_flight)
    _confirm_paid(fleet, budget, yes)
    recipe = _recipe_of(build, recipe, language, maps)
    if recipe is not None:
        build = functools.partial(build, recipe)
    opened = Table.open(table)
    columns = Columns.resolve(opened, recipe, text=text_columns, image=image_column, id=id_column)
    graph = compile_graph(build)
    planned = _sample_plan(fleet, graph, columns, budget)
    if on is None:
        await fleet.prepare(planned)
    identity = _identity(fleet, build, opened, columns, recipe, language)
    source = _source(fleet, table, columns, recipe, language)
    folder = Folder.open(Path(out), identity, source=source, patient=on is not None)
    folder.remember(source)
    remember_models(folder, fingerprints(fleet.file, fleet.folder))
    options = Options(
        budget=budget,
        limit=limit,
        in_flight=in_flight,
        language=language or "auto",
        probe_delays_s=probe_delays_s,
        progress=progress or Silent(),
        resume=resume_command(sys.argv),
        tags=tags or {},
    )
    ledger = LocalLedger(folder.book)
    scoped = fleet.scoped(ledger, folder.images)
    parts = (scoped, ledger, graph, opened, columns, folder, identity, options)
    with ExitStack() as stack:
        stack.callback(folder.book.close)
        if on is None:
            return await Batch(*parts).run()
        stack.enter_context(connected(on, fleet.file))
        from orchestra.batch.cluster import ClusterBatch  # ray; after it was kept on loopback

        work = _work(fleet, build, recipe, columns, folder, table, options, identity)
        batch = ClusterBatch(*parts).on(work, planned)
        stack.callback(lambda: batch.folder.book.close())
        return await batch.run()


def _check_counts(limit: int | None, in_flight: int) -> None:
    for name, count in (("limit", limit), ("in_flight", in_flight)):
        if count is not None and count < 1:
            raise InvalidBudget(f"{name}={count!r} is not a number of rows; give 1 or more.")


def _confirm_paid(fleet: Fleet, budget: Budget, yes: bool) -> None:
    paid = [card.name for card in fleet.file.models if card.price.is_paid]
    if paid and budget.cost_usd is None and not yes:
        raise ConfirmationNeeded(
            f"The fleet {fleet.file.name!r} bills calls of {', '.join(paid)}, and the batch has no "
            "budget. Set one with --cost-usd, or confirm with --yes."
        )


def _recipe_of(
    build: Build, recipe: Recipe | None, language: Language | None, maps: bool
) -> Recipe | None:
    """The recipe of a graph that takes one, with the language and the maps asked for."""
    target = build.func if isinstance(build, functools.partial) else build
    if "recipe" not in inspect.signature(target).parameters:
        if maps:
            raise InvalidGraph(
                f"maps=True is for graphs with a recipe, and {_place(build)!r} takes none. Write "
                "regions=True into its ask('vision', ...) instead."
            )
        return None
    if recipe is None:
        module = inspect.getmodule(target)
        recipe = module.default_recipe() if module is not None else None
    if recipe is not None and language is not None:
        recipe = recipe.model_copy(update={"languages": (language,)})
    if recipe is not None and maps:
        recipe = recipe.model_copy(update={"maps": True})
    return recipe


def _sample_plan(fleet: Fleet, graph: CompiledStateGraph, columns: Columns, budget: Budget) -> Plan:
    """The plan of a typical row: a fleet that cannot work fails before any row."""
    shape = JobShape(SAMPLE_TEXT_BYTES if columns.text else 0, 1 if columns.image else 0)
    return plan(view(graph), shape, row_budget(budget), fleet.file, policy=fleet.policy)


def _work(
    fleet: Fleet,
    build: Build,
    recipe: Recipe | None,
    columns: Columns,
    folder: Folder,
    table: Path,
    options: Options,
    identity: dict[str, str],
) -> RowWork:
    """What hosts elsewhere are told, every path absolute."""
    is_file = fleet.name.endswith((".yaml", ".yml"))
    return RowWork(
        fleet=str(Path(fleet.name).resolve()) if is_file else fleet.name,
        graph=_named(build),
        recipe=None if recipe is None else recipe.model_dump_json(by_alias=True),
        columns=columns,
        options=RowOptions(
            identity, options.budget, options.language, table.resolve().parent, options.tags
        ),
        images=folder.path.resolve() / IMAGES,
        policy=None if fleet.policy is None else fleet.policy.model_dump_json(),
        cache=_cache_place(fleet),
    )


def _cache_place(fleet: Fleet) -> str | None:
    """Where the fleet's cache is, for another process: each node has its own at that path."""
    return None if fleet.cache is None else str(fleet.cache.folder.resolve())


def _named(build: Build) -> str | Build:
    """The graph by its name where it can be found again by that, else the function itself."""
    target = build.func if isinstance(build, functools.partial) else build
    return graph_place(target) or target


def _identity(
    fleet: Fleet,
    build: Build,
    table: Table,
    columns: Columns,
    recipe: Recipe | None,
    language: Language | None,
) -> dict[str, str]:
    return {
        "table": table.fingerprint,
        "columns": f"text={','.join(columns.text)} image={columns.image} id={columns.id}",
        "graph": _place(build),
        "recipe": recipe.fingerprint if recipe else "",
        "language": language or "",
        "fleet": f"{fleet.file.name} {fleet.file.snapshot}",
        # Without one the key is absent, as it is in folders that are older than policies.
        **({} if fleet.policy is None else {"policy": fleet.policy.fingerprint}),
    }


def _place(build: Build) -> str:
    """`module:function` of the graph."""
    target = build.func if isinstance(build, functools.partial) else build
    return f"{getattr(target, '__module__', '')}:{getattr(target, '__qualname__', '')}"


def _source(
    fleet: Fleet, table: Path, columns: Columns, recipe: Recipe | None, language: Language | None
) -> Source:
    return Source(
        table=str(table.resolve()),
        fleet=fleet.name,
        columns=columns,
        recipe=None if recipe is None else recipe.model_dump_json(by_alias=True),
        language=language or "auto",
    )
