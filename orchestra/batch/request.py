"""What a batch is asked to do, settled before anything is spent: table, columns, recipe, identity.

Planning a batch and running it settle the same request, so that a plan and its batch are one job.
"""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from langgraph.graph.state import CompiledStateGraph

from orchestra.batch.columns import Columns
from orchestra.batch.folder import Source
from orchestra.batch.recipe import Recipe
from orchestra.batch.row_run import Language
from orchestra.batch.tables.table import Table
from orchestra.core.errors import InvalidGraph
from orchestra.core.identity import fingerprints
from orchestra.fleet.opened import Build, OpenFleet
from orchestra.fleet.source import graph_place
from orchestra.routing.introspect import compile_graph


@dataclass(frozen=True, slots=True)
class Request:
    """A settled request. `build` is as it was given, `recipe` what it is built with."""

    build: Build
    graph: CompiledStateGraph
    table: Table
    columns: Columns
    recipe: Recipe | None
    language: Language | None
    identity: dict[str, str]
    source: Source
    base: Path


def settle(
    fleet: OpenFleet,
    build: Build,
    table: Path,
    *,
    recipe: Recipe | None = None,
    text_columns: Sequence[str] | None = None,
    image_column: str | None = None,
    id_column: str | None = None,
    language: Language | None = None,
    maps: bool = False,
    images: Path | None = None,
) -> Request:
    """Open the table and say what each of its rows comes to.

    `images` is what photo paths are relative to (default: the table's folder). Raises
    `UsageError` for what is wrong with the request.
    """
    recipe = recipe_of(build, recipe, language, maps)
    built = build if recipe is None else functools.partial(build, recipe)
    opened = Table.open(table)
    columns = Columns.resolve(opened, recipe, text=text_columns, image=image_column, id=id_column)
    return Request(
        build=build,
        graph=compile_graph(built),
        table=opened,
        columns=columns,
        recipe=recipe,
        language=language,
        identity=_identity(fleet, build, opened, columns, recipe, language),
        source=_source(fleet, table, columns, recipe, language, images),
        base=(images or table.parent).resolve(),
    )


def recipe_of(
    build: Build, recipe: Recipe | None, language: Language | None, maps: bool
) -> Recipe | None:
    """The recipe of a graph that takes one, with the language and the maps asked for."""
    target = build.func if isinstance(build, functools.partial) else build
    if "recipe" not in inspect.signature(target).parameters:
        if maps:
            raise InvalidGraph(
                f"maps=True is for graphs with a recipe, and {place_of(build)!r} takes none. Write "
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


def named(build: Build) -> str | Build:
    """The graph by its name where it can be found again by that, else the function itself."""
    target = build.func if isinstance(build, functools.partial) else build
    return graph_place(target) or target


def _identity(
    fleet: OpenFleet,
    build: Build,
    table: Table,
    columns: Columns,
    recipe: Recipe | None,
    language: Language | None,
) -> dict[str, str]:
    return {
        "table": table.fingerprint,
        "columns": f"text={','.join(columns.text)} image={columns.image} id={columns.id}",
        "graph": place_of(build),
        "recipe": recipe.fingerprint if recipe else "",
        "language": language or "",
        # Not the fleet's snapshot: at other prices a row's answers are the same.
        "fleet": fleet.file.name,
        "models": json.dumps(fingerprints(fleet.file, fleet.folder), sort_keys=True),
        **({} if fleet.policy is None else {"policy": fleet.policy.fingerprint}),
    }


def place_of(build: Build) -> str:
    """`module:function` of the graph."""
    target = build.func if isinstance(build, functools.partial) else build
    module, name = getattr(target, "__module__", ""), getattr(target, "__qualname__", "")
    return graph_place(target) or f"{module}:{name}"


def _source(
    fleet: OpenFleet,
    table: Path,
    columns: Columns,
    recipe: Recipe | None,
    language: Language | None,
    images: Path | None,
) -> Source:
    return Source(
        table=str(table.resolve()),
        fleet=fleet.name,
        columns=columns,
        recipe=None if recipe is None else recipe.model_dump_json(by_alias=True),
        language=language or "auto",
        images=None if images is None else str(images.resolve()),
    )
