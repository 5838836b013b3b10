"""Options that say what a batch is, for the commands that run one and that plan one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from orchestra.batch.recipe import Recipe
from orchestra.batch.spec import BatchSpec
from orchestra.cli.options import LANGUAGE, PATH, stack
from orchestra.fleet.opened import OpenFleet
from orchestra.fleet.source import load_graph

# Recipe, columns, language and photos; all of them are None where they are not given.
spec_options = stack(
    click.option("--recipe", type=PATH, help="Recipe YAML (default: listing's)."),
    click.option("--text-columns", help='Columns for the text model, with commas; "" for none.'),
    click.option("--image-column", help='Column of the photo; "" for none.'),
    click.option("--id-column", help='Column of the row id; "" for the row number.'),
    click.option("--language", type=LANGUAGE, help="Language to write in."),
    click.option("--images", "photos", type=PATH, help="Folder of photos."),
)


def spec_of(
    table: Path,
    graph: str,
    fleet: OpenFleet,
    *,
    recipe: Path | None,
    text_columns: str | None,
    photos: Path | None,
    **same: Any,
) -> BatchSpec:
    """The batch of `spec_options`; `same` are options that a `BatchSpec` takes as they are.

    Raises `InvalidRecipe` and `InvalidGraph`.
    """
    return BatchSpec(
        table=table,
        graph=load_graph(graph),
        fleet=fleet.name,
        recipe=None if recipe is None else Recipe.load(recipe),
        text_columns=None if text_columns is None else _names(text_columns),
        images=photos,
        policy=fleet.policy,
        **same,
    )


def _names(columns: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in columns.split(",") if name.strip())
