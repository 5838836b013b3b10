"""`orchestra costs`: what a batch or a book spent, on what; and the correction of a wrong price."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import get_args

import click

from orchestra.batch.folder import Folder, book_path
from orchestra.batch.spec import BatchSpec, place_of
from orchestra.book.book import Book
from orchestra.book.costs import By, Costs, correct, costs
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH
from orchestra.core.card import Card
from orchestra.core.errors import InvalidFleet, OrchestraError
from orchestra.core.money import dollars
from orchestra.fleet.source import load_fleet

EPILOG = """\b
Examples:
  orchestra costs out
  orchestra costs out --by row --json
  orchestra costs out --by tag
  orchestra costs chat.sqlite --by day
  orchestra costs out --correct big --fleet mended.yaml --reason "read the old price list"
"""


@command("costs", EPILOG)
@click.argument("out", type=PATH)
@click.option("--by", type=click.Choice(get_args(By)), default="model", help="Sum by this.")
@click.option("--top", default=20, metavar="N", help="Lines to show.")
@click.option("--correct", "model", metavar="MODEL", help="Price MODEL's calls again.")
@click.option("--fleet", help="With --correct: the fleet that holds the right price.")
@click.option(
    "--reason", default="", show_default=False, help="With --correct: why the price was wrong."
)
def costs_command(
    out: Path, by: By, top: int, model: str | None, fleet: str | None, reason: str
) -> Output:
    """Sum what the batch in OUT, or the book OUT, spent. Corrections stand beside what was booked.

    With --correct the calls of a model are priced anew; history keeps both, with date and reason.
    """
    path = book_path(out)
    if model is not None:
        _correct(path, model, fleet, reason)
    bill = _bill(out, by)
    return Output(bill.public(), _lines(bill, top))


def _correct(path: Path, model: str, fleet: str | None, reason: str) -> None:
    if fleet is None:
        raise InvalidFleet("--correct needs the right price. Give --fleet a file that holds it.")
    card = load_fleet(fleet)[0].card(model)
    with Book.open(path) as book:
        correct(book, card, reason=reason)


def _bill(out: Path, by: By) -> Costs:
    if not out.is_dir():
        with Book.open(out, exclusive=False) as book:
            return costs(book, by)
    folder = Folder.read(out)
    with closing(folder.book):
        spec, seconds = folder.spec, folder.book.meta("seconds")
        return costs(
            folder.book,
            by,
            graph=place_of(spec.graph),
            cards=_cards(spec),
            seconds=None if seconds is None else float(seconds),
        )


def _cards(spec: BatchSpec) -> Sequence[Card]:
    """The cards of the batch's fleet, for the cost of hosting; none where it is gone."""
    try:
        return load_fleet(spec.fleet)[0].models
    except OrchestraError:
        return ()


def _lines(bill: Costs, top: int) -> Iterator[str]:
    rows = [(line.name, line) for line in (*bill.lines[:top], bill.total)]
    width = max(len(name) for name, _ in rows)
    for name, line in rows:
        more = f"  booked {dollars(line.booked_micro)}" if line.more_micro else ""
        saved = f"  {line.hits} from the cache, saved {dollars(line.saved_micro)}"
        presumed = f"  presumed {dollars(line.presumed_micro)}" if line.presumed_micro else ""
        over = f"  {dollars(line.overrun_micro)} above bounds" if line.overrun_micro else ""
        yield (
            f"{name:<{width}}  {dollars(line.cost_micro):>12}  {line.calls} calls  "
            f"{line.tokens} tokens{more}{over}{presumed}{saved if line.hits else ''}"
        )
    if len(bill.lines) > top:
        yield f"({len(bill.lines) - top} more lines: --top {len(bill.lines)})"
    for idle in bill.idle:
        yield (
            f"idle  {idle.model}: {dollars(idle.idle_micro)} of {dollars(idle.hosted_micro)} for "
            f"{idle.replicas} replica(s) over {idle.seconds:.0f} s"
        )
    for entry in bill.corrections:
        scaled = f", {entry.scaled} of them in proportion" if entry.scaled else ""
        yield (
            f"corrected  {entry.at} {entry.model}: {dollars(entry.more_micro)} for "
            f"{entry.calls} calls{scaled}: {entry.reason}"
        )
