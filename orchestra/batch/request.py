"""Settles what a batch is asked to do, before anything is spent: nothing is left to a default.

Planning a batch and running it settle the same request, so that a plan and its batch are one job.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph.graph.state import CompiledStateGraph

from orchestra.batch.columns import Columns
from orchestra.batch.recipe import Recipe
from orchestra.batch.spec import BatchSpec, place_of
from orchestra.batch.tables.said import found_as, said_of
from orchestra.batch.tables.table import Table, open_table
from orchestra.core.errors import InvalidGraph
from orchestra.core.identity import fingerprints
from orchestra.fleet.opened import OpenFleet
from orchestra.routing.compiled import compile_graph


@dataclass(frozen=True, slots=True)
class Request:
    """A settled batch with what its specification names opened; `said` are lines for a person that
    tell how the table is read."""

    spec: BatchSpec
    graph: CompiledStateGraph
    table: Table
    said: tuple[str, ...] = ()


def settle(fleet: OpenFleet, spec: BatchSpec) -> Request:
    """Open the table and say what each of its rows comes to; every path becomes absolute.

    Raises `UsageError` for what is wrong with the request.
    """
    function = spec.function()
    recipe = recipe_of(function, spec)
    table = open_table(spec.table, spec.read_as)
    columns = Columns.resolve(
        table, recipe, text=spec.text_columns, images=spec.image_column, id=spec.id_column
    )
    is_file = fleet.name.endswith((".yaml", ".yml"))
    bound = spec.model_copy(update={"graph": function, "recipe": recipe})
    settled = bound.named().model_copy(
        update={
            "table": table.path.absolute(),
            "fleet": str(Path(fleet.name).resolve()) if is_file else fleet.name,
            "text_columns": columns.text,
            "image_column": columns.images,
            "id_column": columns.id or "",
            "read_as": found_as(table),
            "images": None if spec.images is None else spec.images.resolve(),
            "photo_root": None if spec.photo_root is None else spec.photo_root.resolve(),
            "policy": fleet.policy,
            "table_hash": table.fingerprint,
            "fleet_name": fleet.file.name,
            "models": fingerprints(fleet.file, fleet.folder),
        }
    )
    said = said_of(table, columns.text, columns.images, columns.id)
    return Request(settled, compile_graph(bound.build()), table, tuple(said))


def recipe_of(function: Callable[..., Any], spec: BatchSpec) -> Recipe | None:
    """The recipe of a graph that takes one, with the language and the maps asked for."""
    target = function.func if isinstance(function, functools.partial) else function
    if "recipe" not in inspect.signature(target).parameters:
        if spec.maps:
            raise InvalidGraph(
                f"maps=True is for graphs with a recipe, and {place_of(target)!r} takes none. "
                "Write regions=True into its ask('vision', ...) instead."
            )
        return None
    recipe = spec.recipe
    if recipe is None:
        module = inspect.getmodule(target)
        recipe = module.default_recipe() if module is not None else None
    if recipe is not None and spec.language is not None:
        recipe = recipe.model_copy(update={"languages": (spec.language,)})
    if recipe is not None and spec.maps:
        recipe = recipe.model_copy(update={"maps": True})
    return recipe
