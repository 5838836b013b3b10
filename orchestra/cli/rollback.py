"""`orchestra rollback`: decisions of a batch are taken back, by others that are added."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import click

from orchestra.batch.folder import Folder
from orchestra.batch.redo import why_not_refreshed
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH, by_option, who
from orchestra.core.errors import UsageError

EPILOG = """\b
Examples:
  orchestra rollback out --to 12 --why "wrong supplier"
  orchestra rollback out --decision 14 --decision 15
\b
`orchestra decisions OUT` numbers the states. To go forward again, go back to a later one.
"""


@command("rollback", EPILOG)
@click.argument("out", type=PATH)
@click.option("--to", type=int, metavar="STATE", help="Let what stood in this state stand again.")
@click.option("--decision", "ids", type=int, multiple=True, help="Take this one back alone.")
@by_option
@click.option("--why", default="", help="Reason, kept with it.")
def rollback_command(
    out: Path, to: int | None, ids: tuple[int, ...], by: str | None, why: str
) -> Output:
    """Take decisions of the batch in OUT back. Nothing is lost: what is taken back stays listed.

    The table is not rolled back: run `orchestra batch` with an earlier one, which costs nothing.
    """
    if (to is None) == (not ids):
        raise UsageError("Say what is taken back: either --to STATE, or --decision NUMBER.")
    folder = Folder.read(out)
    with closing(folder.book):
        if to is None:
            written = folder.book.undo(ids, by=who(by), why=why)
        else:
            written = folder.book.roll_back(to, by=who(by), why=why)
        state = folder.book.state
    note = why_not_refreshed(out) if written else ""
    rows = len({one.row_id for one in written})
    taken = (
        f"{len(written)} decisions of {rows} rows are taken back" if written else "nothing to do"
    )
    public = {"taken_back": [one.undoes for one in written], "rows": rows, "state": state}
    return Output(public, [f"{taken}; this is state {state}"], [note] if note else ())
