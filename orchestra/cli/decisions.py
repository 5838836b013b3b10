"""`orchestra decisions`: who decided what of a batch, when and why; and what follows from it."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from orchestra.batch.folder import Folder
from orchestra.batch.history import history, standing_lines
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH
from orchestra.core.atomic import write_text

EPILOG = """\b
Examples:
  orchestra decisions out
  orchestra decisions out --row 1007
  orchestra decisions out --save decided.jsonl
  orchestra apply another-out --file decided.jsonl
"""


@command("decisions", EPILOG)
@click.argument("out", type=PATH)
@click.option("--row", metavar="ID", help="Only what was decided of this row.")
@click.option("--save", type=PATH, help="File (JSON lines) to write what stands to.")
def decisions_command(out: Path, row: str | None, save: Path | None) -> Output:
    """List the tables and decisions of the batch in OUT, with the states that they made."""
    folder = Folder.read(out)
    with closing(folder.book):
        events = history(folder, row)
        saved = None if save is None else list(standing_lines(folder))
    lines = [str(event) for event in events]
    if save is not None and saved is not None:
        write_text(save, "".join(f"{line}\n" for line in saved))
        lines = [f"{len(saved)} decisions that stand are in {save}"]
    return Output([event.public() for event in events], lines or ["nothing was decided"])
