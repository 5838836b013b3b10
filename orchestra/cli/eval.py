"""`orchestra eval`: how right one field of a batch is, against known answers."""

from __future__ import annotations

from pathlib import Path

import click

from orchestra.batch.score.evaluate import score
from orchestra.cli.options import fail, json_option, print_json
from orchestra.core.errors import OrchestraError

EPILOG = """\b
Examples:
  orchestra eval out --truth truth.csv --field category
  orchestra eval out --truth products.csv --field category --json
"""


@click.command("eval", epilog=EPILOG)
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--truth", type=click.Path(path_type=Path), required=True, help="Table of answers.")
@click.option("--field", required=True, help="Field to score, and the truth's column.")
@click.option("--id-column", help="The truth's id column (default: as the batch's).")
@json_option
def evaluate_command(
    out: Path, truth: Path, field: str, id_column: str | None, as_json: bool
) -> None:
    """Score FIELD of the batch in OUT against TRUTH; rows are joined by id."""
    try:
        scored = score(out, truth, field, id_column=id_column)
    except OrchestraError as error:
        fail(error, as_json=as_json)
    if as_json:
        print_json(scored)
        return
    for name, value in scored.items():
        if not name.endswith("_interval"):
            click.echo(f"{name:<15} {_shown(value, scored.get(f'{name}_interval'))}")


def _shown(value: object, interval: tuple[float, float] | None) -> str:
    shown = f"{value:.3f}" if isinstance(value, float) else str(value)
    return shown if interval is None else f"{shown}  [{interval[0]:.3f}, {interval[1]:.3f}]"
