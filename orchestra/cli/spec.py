"""Options that say what a batch is, for the commands that run one and that plan one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestra.batch.recipe import Recipe
from orchestra.batch.spec import BatchSpec
from orchestra.core.job import Language
from orchestra.fleet.opened import OpenFleet
from orchestra.fleet.source import load_graph

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--recipe", type=click.Path(path_type=Path), help="Recipe YAML (default: listing's)."
    ),
    click.option("--text-columns", help='Columns for the text model, with commas; "" for none.'),
    click.option("--image-column", help='Column of the photo; "" for none.'),
    click.option("--id-column", help='Column of the row id; "" for the row number.'),
    click.option(
        "--language", type=click.Choice(["auto", "en", "zh"]), help="Language to write in."
    ),
    click.option("--images", "photos", type=click.Path(path_type=Path), help="Folder of photos."),
)


def spec_options(command: Command) -> Command:
    """Recipe, columns, language and photos; all of them are None where they are not given."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def spec_of(
    table: Path,
    graph: str,
    fleet: OpenFleet,
    *,
    recipe: Path | None,
    text_columns: str | None,
    image_column: str | None,
    id_column: str | None,
    language: Language | None,
    photos: Path | None,
    maps: bool = False,
) -> BatchSpec:
    """The batch of `spec_options`. Raises `InvalidRecipe` and `InvalidGraph`."""
    return BatchSpec(
        table=table,
        graph=load_graph(graph),
        fleet=fleet.name,
        recipe=None if recipe is None else Recipe.load(recipe),
        text_columns=names_of(text_columns),
        image_column=image_column,
        id_column=id_column,
        language=language,
        maps=maps,
        images=photos,
        policy=fleet.policy,
    )


def names_of(columns: str | None) -> tuple[str, ...] | None:
    """Names with commas between; None where nothing was given."""
    if columns is None:
        return None
    return tuple(name.strip() for name in columns.split(",") if name.strip())
