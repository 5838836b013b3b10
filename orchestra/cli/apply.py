"""`orchestra apply`: corrections in a file become decisions of a batch's rows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from orchestra.batch.corrections import (
    Corrections,
    apply_corrections,
    read_corrections,
)
from orchestra.batch.folder import Folder
from orchestra.batch.redo import why_not_refreshed
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH, by_option, who

EPILOG = """\b
Examples:
  orchestra apply out --file corrections.csv --by ana
  orchestra apply out --file out/products.csv --why "supplier's sheet"
  orchestra apply out --file review.xlsx --dry-run
\b
A line a field: id, field, value (and decision, why), or a table with a column a field, as
products.csv is: a cell that differs is an edit. (none) says that there is no value.
"""
MOST_TOLD = 20


@command("apply", EPILOG)
@click.argument("out", type=PATH)
@click.option("--file", required=True, type=PATH, help="Table of corrections.")
@by_option
@click.option("--why", default="", help="Reason of the lines that give none.")
@click.option("--dry-run", is_flag=True, help="Say what would be decided, and keep nothing.")
def apply_command(out: Path, file: Path, by: str | None, why: str, dry_run: bool) -> Output:
    """Take corrections of the batch in OUT from a file; its tables and report are written again.

    A line of an unknown row or field, or with a value that the recipe does not list, is an error
    of that line: it is told, the others are taken, and the command ends with 1.
    """
    folder = Folder.read(out)
    with closing(folder.book):
        found = read_corrections(folder, file, by=who(by), why=why)
        written = () if dry_run else apply_corrections(folder, found)
        state = folder.book.state
    public: dict[str, Any] = found.public() | {"state": state, "kept": len(written)}
    note = why_not_refreshed(out) if written else ""
    return Output(
        public,
        _lines(found, state, is_dry=dry_run),
        [note] if note else (),
        is_failed=bool(found.wrong),
    )


def _lines(found: Corrections, state: int, *, is_dry: bool) -> Iterator[str]:
    kept = "would be kept" if is_dry else f"kept (state {state})" if found.decisions else "kept"
    yield f"{len(found.decisions)} decisions {kept}, {found.unchanged} lines change nothing"
    if is_dry:
        for by, one in found.decisions[:MOST_TOLD]:
            value = f" = {one.value!r}" if one.action == "edit" else ""
            yield f"  {one.row_id}  {one.action} {one.field or 'the row'}{value}  by {by}"
    for wrong in found.wrong[:MOST_TOLD]:
        yield f"not taken: {wrong}"
    if len(found.wrong) > MOST_TOLD:
        yield f"and {len(found.wrong) - MOST_TOLD} more lines were not taken; --json has them all"
