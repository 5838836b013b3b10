"""`orchestra costs`: what a batch or a book spent, on what; and the correction of a wrong price."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import click

from orchestra.batch.folder import BOOK, Folder
from orchestra.batch.spec import BatchSpec, place_of
from orchestra.book.book import Book
from orchestra.book.costs import By, Costs, correct, costs
from orchestra.cli.options import fail, json_option, print_json
from orchestra.core.card import Card
from orchestra.core.errors import BookError, InvalidFleet, OrchestraError
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


@click.command("costs", epilog=EPILOG)
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--by", type=click.Choice(get_args(By)), default="model", show_default=True, help="Sum by this."
)
@click.option("--top", default=20, show_default=True, metavar="N", help="Lines to show.")
@click.option("--correct", "model", metavar="MODEL", help="Price MODEL's calls again.")
@click.option("--fleet", help="With --correct: the fleet that holds the right price.")
@click.option("--reason", default="", help="With --correct: why the price was wrong.")
@json_option
def costs_command(
    out: Path, by: By, top: int, model: str | None, fleet: str | None, reason: str, as_json: bool
) -> None:
    """Sum what the batch in OUT, or the book OUT, spent. Corrections stand beside what was booked.

    With --correct the calls of a model are priced anew; history keeps both, with date and reason.
    """
    try:
        if model is not None:
            _correct(_book_path(out), model, fleet, reason)
        bill = _bill(out, by)
    except OrchestraError as error:
        fail(error, as_json=as_json)
    if as_json:
        print_json(bill.public())
    else:
        _print(bill, top)


def _book_path(out: Path) -> Path:
    """The book of a batch's folder, or the book itself."""
    path = out / BOOK if out.is_dir() else out
    if not path.exists():
        raise BookError(
            f"{str(out)!r} is no book and holds none. Give the folder that `orchestra batch --out` "
            "wrote, or a book's file."
        )
    return path


def _correct(path: Path, model: str, fleet: str | None, reason: str) -> None:
    if fleet is None:
        raise InvalidFleet("--correct needs the right price. Give --fleet a file that holds it.")
    card = load_fleet(fleet)[0].card(model)
    with Book.open(path) as book:
        correct(book, card, reason=reason)


def _bill(out: Path, by: By) -> Costs:
    if not out.is_dir():
        with Book.open(_book_path(out), exclusive=False) as book:
            return costs(book, by)
    _book_path(out)
    folder = Folder.read(out)
    try:
        spec, seconds = folder.spec, folder.book.meta("seconds")
        return costs(
            folder.book,
            by,
            graph=place_of(spec.graph),
            cards=_cards(spec),
            seconds=None if seconds is None else float(seconds),
        )
    finally:
        folder.book.close()


def _cards(spec: BatchSpec) -> Sequence[Card]:
    """The cards of the batch's fleet, for the cost of hosting; none where it is gone."""
    try:
        return load_fleet(spec.fleet)[0].models
    except OrchestraError:
        return ()


def _print(bill: Costs, top: int) -> None:
    rows = [(line.name, line) for line in (*bill.lines[:top], bill.total)]
    width = max(len(name) for name, _ in rows)
    for name, line in rows:
        more = f"  booked {dollars(line.booked_micro)}" if line.more_micro else ""
        saved = f"  {line.hits} from the cache, saved {dollars(line.saved_micro)}"
        presumed = f"  presumed {dollars(line.presumed_micro)}" if line.presumed_micro else ""
        click.echo(
            f"{name:<{width}}  {dollars(line.cost_micro):>12}  {line.calls} calls  "
            f"{line.tokens} tokens{more}{presumed}{saved if line.hits else ''}"
        )
    if len(bill.lines) > top:
        click.echo(f"({len(bill.lines) - top} more lines: --top {len(bill.lines)})")
    for idle in bill.idle:
        click.echo(
            f"idle  {idle.model}: {dollars(idle.idle_micro)} of {dollars(idle.hosted_micro)} for "
            f"{idle.replicas} replica(s) over {idle.seconds:.0f} s"
        )
    for entry in bill.corrections:
        scaled = f", {entry.scaled} of them in proportion" if entry.scaled else ""
        click.echo(
            f"corrected  {entry.at} {entry.model}: {dollars(entry.more_micro)} for "
            f"{entry.calls} calls{scaled}: {entry.reason}"
        )
