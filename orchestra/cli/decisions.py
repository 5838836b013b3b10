"""`orchestra decisions`: who decided what of a batch, when and why; and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import click

from orchestra.batch.folder import Folder
from orchestra.batch.history import event_lines, history, standing_lines
from orchestra.batch.proposals import Proposal, proposals
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH
from orchestra.core.files.atomic import write_text
from orchestra.core.files.yaml_file import yaml_text

EPILOG = """\b
Examples:
  orchestra decisions out
  orchestra decisions out --row 1007
  orchestra decisions out --rules
  orchestra decisions out --save decided.jsonl
  orchestra apply another-out --file decided.jsonl
"""


@command("decisions", EPILOG)
@click.argument("out", type=PATH)
@click.option("--row", metavar="ID", help="Only what was decided of this row.")
@click.option("--save", type=PATH, help="File (JSON lines) to write what stands to.")
@click.option("--rules", is_flag=True, help="Rules for the recipe that corrections speak for.")
def decisions_command(out: Path, row: str | None, save: Path | None, rules: bool) -> Output:
    """List the tables and decisions of the batch in OUT, with the states that they made."""
    folder = Folder.read(out)
    with closing(folder.book):
        if rules:
            found = proposals(folder)
            return Output([one.public() for one in found], list(_rule_lines(found)))
        events = history(folder, row)
        saved = None if save is None else list(standing_lines(folder))
    lines = list(event_lines(events))
    if save is not None and saved is not None:
        write_text(save, "".join(f"{line}\n" for line in saved))
        lines = [f"{len(saved)} decisions that stand are in {save}"]
    return Output([event.public() for event in events], lines or ["nothing was decided"])


def _rule_lines(found: Sequence[Proposal]) -> Iterator[str]:
    """Each rule as a comment and the YAML that it comes to."""
    if not found:
        yield "no rule: corrections that repeat themselves would speak for one"
    for one in found:
        yield f"# {one}"
        yield yaml_text(one.change).rstrip()
    if found:
        yield "# put what you agree with into the recipe; a changed recipe is another batch"
