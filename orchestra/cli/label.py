"""`orchestra label`: a gold set from a finished batch, asked for here or on a page."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import click

from orchestra.batch.folder import Folder
from orchestra.cli.options import fail, json_option, print_json
from orchestra.core.errors import ImageError, OrchestraError, UsageError
from orchestra.label.page import read_page, write_page
from orchestra.label.session import GOLD, ROWS, Batch, Session, begin, take
from orchestra.label.terminal import ask_all

EPILOG = """\b
Examples:
  orchestra label out --rows 50
  orchestra label out --rows 50 --page
  orchestra label out --read labels.csv
  orchestra label out --gold products.csv --columns category=category
\b
The gold set (default: OUT/gold.csv) is written after every answer; the same command goes on where
it stopped. `eval`, `compare`, `replay` take it as --truth, `calibrate` as --gold.
"""
THUMBNAIL_PX = 320


@click.command("label", epilog=EPILOG)
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=ROWS,
    show_default=True,
    help="How many rows to draw.",
)
@click.option(
    "--field", "fields", multiple=True, help="Field to label (default: all that are read)."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Draws other rows.")
@click.option("--out", "file", type=click.Path(path_type=Path), help="Gold set to write.")
@click.option("--page", is_flag=True, help="Write a page to label on, instead of asking here.")
@click.option("--read", "saved", type=click.Path(path_type=Path), help="File saved by the page.")
@click.option("--gold", type=click.Path(path_type=Path), help="Table that has the true values.")
@click.option("--columns", multiple=True, metavar="FIELD=COLUMN", help="Where --gold has them.")
@click.option("--id-column", help="The id column of --gold (default: as the batch's).")
@json_option
def label_command(
    out: Path,
    rows: int,
    fields: tuple[str, ...],
    seed: int,
    file: Path | None,
    page: bool,
    saved: Path | None,
    gold: Path | None,
    columns: tuple[str, ...],
    id_column: str | None,
    as_json: bool,
) -> None:
    """Label rows of the finished batch in OUT: which values are right, and what is true instead.

    Rows are drawn over plans and levels of confidence, and weighted so that shares hold for all.
    """
    path = file or out / GOLD
    try:
        folder = Folder.read(out)
        try:
            batch = Batch.of(folder)
            if gold is not None:
                session = take(batch, path, gold, _columns(columns), id_column)
            else:
                session = begin(batch, path, rows=rows, seed=seed, fields=fields)
            _label(session, folder, path, page, saved, ask=gold is None)
        finally:
            folder.book.close()
    except OrchestraError as error:
        fail(error, as_json=as_json)
    _tell(session, path, as_json)


def _label(
    session: Session, folder: Folder, path: Path, page: bool, saved: Path | None, *, ask: bool
) -> None:
    """Take the answers in the way asked for."""
    if saved is not None:
        click.echo(f"{read_page(session, saved)} answers read from {saved}", err=True)
    elif page:
        target = path.with_suffix(".html")
        write_page(session, target, lambda key: _thumbnail(folder, key))
        told = f"page     {target}: label on it, save labels.csv, and read it with --read"
        click.echo(told, err=True)
    elif ask and not ask_all(session, _read, _say, lambda key: str(folder.images.path(key))):
        click.echo("Every answer is kept. The same command goes on from here.", err=True)


def _say(line: str) -> None:
    click.echo(line, err=True)


def _columns(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in given]
    wrong = [name for name, sign, column in pairs if not (name and sign and column)]
    if wrong or not pairs:
        raise UsageError(
            f"--columns {' '.join(given)!r} says not where the true values are. Give "
            "--columns FIELD=COLUMN for each field, as in --columns category=true_category."
        )
    return {name: column for name, _, column in pairs}


def _read(prompt: str) -> str:
    click.echo(prompt, nl=False, err=True)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line


def _thumbnail(folder: Folder, key: str) -> bytes | None:
    with suppress(ImageError):
        return folder.images.thumbnail(key, THUMBNAIL_PX)
    return None


def _tell(session: Session, path: Path, as_json: bool) -> None:
    questions, counts = len(session.questions()), session.counts()
    if as_json:
        print_json({"gold": str(path), "questions": questions, "answers": counts})
        return
    told = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none yet"
    left = questions - sum(counts.values())
    click.echo(
        f"gold     {path}: {len(session.drawn)} rows, {told}" + (f", {left} open" * (left > 0))
    )
