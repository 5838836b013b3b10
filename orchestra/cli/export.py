"""`orchestra export`: a finished batch as a file that a shop or channel takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from orchestra.batch.channels.export import CHANNELS, Exported, export
from orchestra.batch.recipe import Recipe
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH

EPILOG = """\b
Examples:
  orchestra export out --to shopify --file products.csv --approved
  orchestra export out --to google --file feed.xml --recipe shop.yaml
  orchestra export out --to amazon --template SHIRT.xlsm --file shirts.txt
  orchestra export out --to parquet --file provenance.parquet
\b
What each channel takes, and where its rules come from: docs/channels.md.
"""


@command("export", EPILOG)
@click.argument("out", type=PATH)
@click.option("--to", required=True, type=click.Choice(list(CHANNELS)), help="The channel.")
@click.option("--file", required=True, type=PATH, help="Where to write; its ending says the form.")
@click.option("--approved", is_flag=True, help="Only rows that a person approved.")
@click.option("--recipe", type=PATH, help="Take the block 'export' of this recipe.")
@click.option("--template", type=PATH, help="Fill this template that Amazon gave you.")
def export_command(
    out: Path, to: str, file: Path, approved: bool, recipe: Path | None, template: Path | None
) -> Output:
    """Write the batch in OUT for a channel.

    Products that the channel would not take are left out; why stands in FILE.errors.jsonl. Who
    wrote and reviewed each field stands in FILE.labels.jsonl.
    """
    settings = None if recipe is None else Recipe.load(recipe).export
    done = export(out, to, file, approved=approved, settings=settings, template=template)
    return Output(done.public(), _lines(done), is_failed=not done.products)


def _lines(done: Exported) -> Iterator[str]:
    lines = "" if done.lines == done.products else f" in {done.lines:,} lines"
    yield f"{_products(done.products)}{lines} for {done.channel}: {done.file}"
    if done.refused:
        most = sorted(done.by_limit.items(), key=lambda one: -one[1])[:3]
        why = ", ".join(f"{name} {count:,}" for name, count in most)
        yield f"{_products(done.refused)} that {done.channel} would not take ({why})"
    for count, what in (
        (done.unapproved, "not approved"),
        (done.rejected, "rejected"),
        (done.unfinished, "not finished"),
    ):
        if count:
            yield f"{_products(count)} left out: {what}"
    if done.unplaced:
        yield f"the template has no column for {', '.join(done.unplaced)}"
    if done.by_limit:
        yield f"why, with the cure: {done.errors}"
    yield f"who wrote and reviewed what: {done.labels}"


def _products(count: int) -> str:
    return f"{count:,} product{'s' * (count != 1)}"
