"""`orchestra compare`: two batches, or two ways of doing one, on one set of known answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from orchestra.batch.columns import Columns
from orchestra.batch.output.rows import results_of, said_of
from orchestra.batch.output.summary import Summary
from orchestra.batch.progress import Bar
from orchestra.batch.score.compare import Comparison, compare
from orchestra.batch.spec import RunSettings
from orchestra.batch.tables.gold import read_truths
from orchestra.batch.tables.table import open_table, resolve_columns
from orchestra.batch.trial import Trial, read_way, try_both
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH, budget_options, fleet_option, graph_option
from orchestra.cli.spec import names_of
from orchestra.core.errors import UsageError
from orchestra.core.job import Budget
from orchestra.quality.readings import Truths

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


@command("compare", EPILOG)
@click.argument("first", type=PATH, required=False, metavar="[A]")
@click.argument("second", type=PATH, required=False, metavar="[B]")
@click.option("--truth", type=PATH, help="Table of answers, of two batches.")
@click.option("--field", required=True, help="Field to compare, and the answers' column.")
@click.option("--id-column", help="The answers' id column (default: as the batch's).")
@click.option("--gold", type=PATH, help="Run both ways on these answers.")
@click.option("--table", type=PATH, help="Rows of the gold set, if elsewhere.")
@click.option("--a", "way_a", default="", show_default=False, metavar="WAY", help="The first way.")
@click.option("--b", "way_b", default="", show_default=False, metavar="WAY", help="The second way.")
@graph_option("listing")
@fleet_option
@click.option("--out", type=PATH, default=Path("compare"))
@click.option("--image-column", help="Column of the photo.")
@click.option("--limit", type=int, help="Only the first N rows of the gold set.")
@click.option("--in-flight", type=int, default=IN_FLIGHT, help="Rows at once.")
@click.option("--cache", type=PATH, metavar="DIR", help="Cache of replies.")
@click.option("--yes", is_flag=True, help="Do not ask before a paid fleet runs without a budget.")
@budget_options
def compare_command(
    first: Path | None,
    second: Path | None,
    truth: Path | None,
    field: str,
    id_column: str | None,
    gold: Path | None,
    **trial: Any,
) -> Output:
    """Compare FIELD of two finished batches, or of two ways that are run on a gold set.

    Rows are paired. A winner is named only when the difference is more than noise. Budgets hold
    for each way.
    """
    if gold is not None:
        if first is not None or truth is not None:
            raise UsageError("--gold runs both ways itself. Leave out A, B and --truth.")
        return _tried(gold, field, id_column, **trial)
    if first is None or second is None or truth is None:
        raise UsageError("Give two batches and --truth, or --gold with --a and --b.")
    _, own_id = results_of(first)
    results, others = said_of(first), said_of(second)  # what people decided is neither's answer
    truths = read_truths(truth, id_column or own_id)
    resolve_columns(truths.columns, [field], [], "truth")
    found = compare((str(first), results), (str(second), others), truths.field(field), field)
    return Output(found.public(), _lines(found, truths))


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
) -> Output:
    """Both ways run on the gold set, and compared."""
    budget = Budget(**limits)
    settings = RunSettings(out=out, limit=limit, budget=budget, in_flight=in_flight, yes=yes)
    table = table or gold
    a, b = (read_way(way, fleet=fleet, graph=graph) for way in (way_a, way_b))
    photos = names_of(image_column)
    columns = Columns.resolve(open_table(table), a.loaded_recipe(), images=photos, id=id_column)
    truths = read_truths(gold, id_column or columns.id)
    trial = Trial(table, truths, field, settings, id_column, photos)
    found, summaries = asyncio.run(try_both(trial, a, b, cache=cache, progress=Bar()))
    return Output(found.public(), _lines(found, truths, summaries))


def _lines(found: Comparison, truths: Truths, summaries: Sequence[Summary] = ()) -> Iterator[str]:
    yield str(found)
    if truths.is_weighted:
        yield WEIGHTED
    for letter, summary in zip("AB", summaries, strict=False):
        if summary.stopped or summary.pending:
            yield f"{letter} left {summary.pending} rows: {summary.stopped or 'not run'}"
