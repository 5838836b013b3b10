"""`orchestra eval`: how right one field of a batch is, against known answers."""

from __future__ import annotations

from pathlib import Path

import click

from orchestra.batch.score.evaluate import score
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH

EPILOG = """\b
Examples:
  orchestra eval out --truth truth.csv --field category
  orchestra eval out --truth products.csv --field category --json
"""


@command("eval", EPILOG)
@click.argument("out", type=PATH)
@click.option("--truth", type=PATH, required=True, help="Table of answers.")
@click.option("--field", required=True, help="Field to score, and the truth's column.")
@click.option("--id-column", help="The truth's id column (default: as the batch's).")
def eval_command(out: Path, truth: Path, field: str, id_column: str | None) -> Output:
    """Score FIELD of the batch in OUT against TRUTH; rows are joined by id."""
    scored = score(out, truth, field, id_column=id_column)
    lines = (
        f"{name:<15} {_shown(value, scored.get(f'{name}_interval'))}"
        for name, value in scored.items()
        if not name.endswith("_interval")
    )
    return Output(scored, lines)


def _shown(value: object, interval: tuple[float, float] | None) -> str:
    shown = f"{value:.3f}" if isinstance(value, float) else str(value)
    return shown if interval is None else f"{shown}  [{interval[0]:.3f}, {interval[1]:.3f}]"
