"""Options that say what a batch is, for the commands that run one and that plan one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from orchestra.batch.recipe import Recipe
from orchestra.batch.spec import BatchSpec
from orchestra.batch.tables.formats import ALL
from orchestra.batch.tables.reading import ReadAs
from orchestra.cli.options import LANGUAGE, PATH, stack
from orchestra.core.errors import UsageError
from orchestra.core.job import first_problem
from orchestra.fleet.opened import OpenFleet
from orchestra.fleet.source import load_graph

# Recipe, columns, language and photos; all of them are None where they are not given.
spec_options = stack(
    click.option("--recipe", type=PATH, help="Recipe YAML (default: listing's)."),
    click.option("--text-columns", help='Columns for the text model, with commas; "" for none.'),
    click.option("--image-column", help='Columns of photos, with commas; "" for none.'),
    click.option("--id-column", help='Column of the row id; "" for the row number.'),
    click.option("--language", type=LANGUAGE, help="Language to write in."),
    click.option("--images", "photos", type=PATH, help="Folder of photos."),
    click.option("--photo-root", type=PATH, help="Folder that files of photos may lie in as well."),
    click.option("--format", "format_", type=click.Choice(list(ALL)), help="Kind of export."),
    click.option("--delimiter", help='Between cells: one character, or "tab".'),
    click.option("--encoding", help="Of the table, such as utf-8, cp1252, gb18030, shift_jis."),
)


def spec_of(
    table: Path,
    graph: str,
    fleet: OpenFleet,
    *,
    recipe: Path | None,
    text_columns: str | None,
    image_column: str | None,
    photos: Path | None,
    format_: str | None,
    delimiter: str | None,
    encoding: str | None,
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
        text_columns=names_of(text_columns),
        image_column=names_of(image_column),
        read_as=_read_as(format_, delimiter, encoding),
        images=photos,
        policy=fleet.policy,
        **same,
    )


def names_of(columns: str | None) -> tuple[str, ...] | None:
    """Names with commas between; None where the option is not given."""
    if columns is None:
        return None
    return tuple(name.strip() for name in columns.split(",") if name.strip())


def _read_as(format: str | None, delimiter: str | None, encoding: str | None) -> ReadAs:
    try:
        return ReadAs(format=format, delimiter=delimiter, encoding=encoding)
    except ValidationError as error:
        raise UsageError(f"{first_problem(error, ReadAs)}.") from error
