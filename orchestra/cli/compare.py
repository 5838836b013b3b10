"""`orchestra compare`: two finished batches on one set of known answers; spends nothing."""

from __future__ import annotations

from pathlib import Path

import click

from orchestra.batch.compare import compare
from orchestra.batch.folder import Folder
from orchestra.batch.gold import read_truths
from orchestra.batch.tables import resolve_columns
from orchestra.cli.options import fail, json_option, print_json
from orchestra.errors import OrchestraError
from orchestra.job import Result

EPILOG = """\b
Examples:
  orchestra compare out-mini out-big --truth truth.csv --field category
  orchestra compare before after --truth truth.csv --field category --json
"""


@click.command("compare", epilog=EPILOG)
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="Table of answers.")
@click.option("--field", required=True, help="Field to compare, and the truth's column.")
@click.option("--id-column", help="The truth's id column (default: as the batch's).")
@json_option
def compare_command(
    a: Path, b: Path, truth: Path, field: str, id_column: str | None, as_json: bool
) -> None:
    """Compare FIELD of the batches in A and B against TRUTH, row by row.

    Names a winner only when the difference is more than noise.
    """
    try:
        first, wanted = results_of(a)
        second, _ = results_of(b)
        truths = read_truths(truth, id_column or wanted)
        resolve_columns(truths.columns, [field], [], "truth")
        found = compare((str(a), first), (str(b), second), truths.field(field), field)
    except OrchestraError as error:
        fail(error, as_json=as_json)
    if as_json:
        print_json(found.public())
    else:
        click.echo(str(found))
        if truths.is_weighted:
            click.echo("the rows were drawn by strata: shares are of these rows, not of the batch")


def results_of(out: Path) -> tuple[list[tuple[str, Result]], str | None]:
    """Results of the batch in `out` by row id, and the id column of its table.

    Raises `BookError` when it holds no batch.
    """
    folder = Folder.read(out)
    try:
        rows = [
            (row.row_id, Result.model_validate_json(row.record_json)) for row in folder.book.rows()
        ]
        return rows, folder.source.columns.id
    finally:
        folder.book.close()
