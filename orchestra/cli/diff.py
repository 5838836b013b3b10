"""`orchestra diff`: what changed of a batch between two states, field by field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click

from orchestra.batch.changes import difference_lines, differences_between, states_of
from orchestra.batch.folder import Folder
from orchestra.cli.command import Output, command, is_json
from orchestra.cli.options import PATH

EPILOG = """\b
Examples:
  orchestra diff out
  orchestra diff out --from 1 --to 12 --json
\b
A decision, and a table that comes, each make a state; `orchestra decisions OUT` numbers them.
"""


@command("diff", EPILOG)
@click.argument("out", type=PATH)
@click.option("--from", "before", type=int, metavar="STATE", help="Default: before the last table.")
@click.option("--to", "after", type=int, metavar="STATE", help="Default: now.")
def diff_command(out: Path, before: int | None, after: int | None) -> Output:
    """Show what tables and people changed of the batch in OUT: rows, and each of their fields.

    Without --from it is what the last table changed, and what was decided since; of a batch that
    had one table, what was decided.
    """
    folder = Folder.read(out)
    with closing(folder.book):
        states = states_of(folder, before, after)
        if is_json():
            rows = [one.public() for one in differences_between(folder, *states)]
            return Output({"from": states[0], "to": states[1], "rows": rows})
        for line in _lines(folder, *states):
            click.echo(line)
    return Output(None)


def _lines(folder: Folder, before: int, after: int) -> Iterator[str]:
    counts = Counter[str]()
    for one in differences_between(folder, before, after):
        counts[one.change] += 1
        yield from difference_lines(one)
    told = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "no row differs"
    yield f"state {before} -> {after}: {told}"
