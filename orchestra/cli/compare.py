"""`orchestra compare`: two batches, or two ways of doing one, on one set of known answers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import click

from orchestra.batch.columns import Columns
from orchestra.batch.output.rows import results_of
from orchestra.batch.output.summary import Summary
from orchestra.batch.progress import Bar
from orchestra.batch.score.compare import Comparison, compare
from orchestra.batch.spec import RunSettings
from orchestra.batch.tables.gold import read_truths
from orchestra.batch.tables.table import open_table, resolve_columns
from orchestra.batch.trial import Trial, read_way, try_both
from orchestra.cli.options import (
    budget_of,
    budget_options,
    fail,
    fleet_option,
    graph_option,
    json_option,
    print_json,
)
from orchestra.core.errors import OrchestraError, UsageError
from orchestra.quality.truths import Truths

EPILOG = """\b
Examples:
  orchestra compare out-mini out-big --truth truth.csv --field category
  orchestra compare --gold gold.csv --field category --a fleet=mini --b fleet=other.yaml
  orchestra compare --gold gold.csv --field colour --a recipe=long.yaml --b recipe=short.yaml
  orchestra compare --gold labels.csv --table products.csv --field category --b models=v3
\b
A way is fleet=, graph=, recipe=, policy= and models= (joined by +), with commas between them.
"""
WEIGHTED = "the rows were drawn by strata: shares are of these rows, not of the batch"
IN_FLIGHT = 8


@click.command("compare", epilog=EPILOG)
@click.argument("first", type=click.Path(path_type=Path), required=False, metavar="[A]")
@click.argument("second", type=click.Path(path_type=Path), required=False, metavar="[B]")
@click.option("--truth", type=click.Path(path_type=Path), help="Table of answers, of two batches.")
@click.option("--field", required=True, help="Field to compare, and the answers' column.")
@click.option("--id-column", help="The answers' id column (default: as the batch's).")
@click.option("--gold", type=click.Path(path_type=Path), help="Run both ways on these answers.")
@click.option(
    "--table", type=click.Path(path_type=Path), help="Rows of the gold set, if elsewhere."
)
@click.option("--a", "way_a", default="", metavar="WAY", help="The first way.")
@click.option("--b", "way_b", default="", metavar="WAY", help="The second way.")
@graph_option("listing")
@fleet_option
@click.option("--out", type=click.Path(path_type=Path), default=Path("compare"), show_default=True)
@click.option("--image-column", help="Column of the photo.")
@click.option("--limit", type=int, help="Only the first N rows of the gold set.")
@click.option("--in-flight", type=int, default=IN_FLIGHT, show_default=True, help="Rows at once.")
@click.option("--cache", type=click.Path(path_type=Path), metavar="DIR", help="Cache of replies.")
@click.option("--yes", is_flag=True, help="Do not ask before a paid fleet runs without a budget.")
@budget_options
@json_option
def compare_command(
    first: Path | None,
    second: Path | None,
    truth: Path | None,
    field: str,
    id_column: str | None,
    gold: Path | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Compare FIELD of two finished batches, or of two ways that are run on a gold set.

    Rows are paired. A winner is named only when the difference is more than noise. Budgets hold
    for each way.
    """
    try:
        if gold is not None:
            if first is not None or truth is not None:
                raise UsageError("--gold runs both ways itself. Leave out A, B and --truth.")
            truths, found, summaries = _tried(gold, field, id_column, **given)
        else:
            if first is None or second is None or truth is None:
                raise UsageError("Give two batches and --truth, or --gold with --a and --b.")
            truths, found = _finished(first, second, truth, field, id_column)
            summaries = ()
    except OrchestraError as error:
        fail(error, as_json=as_json)
    if as_json:
        print_json(found.public())
        return
    click.echo(str(found))
    if truths.is_weighted:
        click.echo(WEIGHTED)
    for letter, summary in zip("AB", summaries, strict=False):
        if summary.stopped or summary.pending:
            click.echo(f"{letter} left {summary.pending} rows: {summary.stopped or 'not run'}")


def _finished(
    a: Path, b: Path, truth: Path, field: str, id_column: str | None
) -> tuple[Truths, Comparison]:
    results, wanted = results_of(a)
    others, _ = results_of(b)
    truths = read_truths(truth, id_column or wanted)
    resolve_columns(truths.columns, [field], [], "truth")
    return truths, compare((str(a), results), (str(b), others), truths.field(field), field)


def _tried(
    gold: Path,
    field: str,
    id_column: str | None,
    *,
    table: Path | None,
    way_a: str,
    way_b: str,
    graph: str,
    fleet: str,
    image_column: str | None,
    cache: Path | None,
    out: Path,
    limit: int | None,
    in_flight: int,
    yes: bool,
    **limits: str | None,
) -> tuple[Truths, Comparison, tuple[Summary, Summary]]:
    budget = budget_of(**limits)
    settings = RunSettings(out=out, limit=limit, budget=budget, in_flight=in_flight, yes=yes)
    table = table or gold
    a, b = (read_way(way, fleet=fleet, graph=graph) for way in (way_a, way_b))
    columns = Columns.resolve(
        open_table(table), a.loaded_recipe(), image=image_column, id=id_column
    )
    truths = read_truths(gold, id_column or columns.id)
    trial = Trial(table, truths, field, settings, id_column, image_column)
    found, summaries = asyncio.run(try_both(trial, a, b, cache=cache, progress=Bar()))
    return truths, found, summaries
