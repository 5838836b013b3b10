"""`orchestra label`: a gold set from a finished batch, asked for here or on a page."""

from __future__ import annotations

import sys
from contextlib import closing, suppress
from pathlib import Path

import click

from orchestra.batch.folder import Folder
from orchestra.batch.labels import labelled_rows
from orchestra.batch.tables.gold import GOLD
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH, columns_by_field
from orchestra.core.errors import ImageError, UsageError
from orchestra.label.page import read_page, write_page
from orchestra.label.session import ROWS, FinishedBatch, LabelSession, begin, take
from orchestra.label.terminal import ask_all

EPILOG = """\b
Examples:
  orchestra label out --rows 50
  orchestra label out --rows 50 --page
  orchestra label out --read labels.csv
  orchestra label out --decided
  orchestra label out --gold products.csv --columns category=category
\b
The gold set (default: OUT/gold.csv) is written after every answer; the same command goes on where
it stopped. `eval`, `compare`, `replay` take it as --truth, `calibrate` as --gold.
"""
THUMBNAIL_PX = 320


@command("label", EPILOG)
@click.argument("out", type=PATH)
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=ROWS,
    help="How many rows to draw.",
)
@click.option(
    "--field", "fields", multiple=True, help="Field to label (default: all that are read)."
)
@click.option(
    "--teach",
    type=click.FloatRange(0, 1),
    default=0.5,
    help="Share of the rows that teach most: unsure, and unlike each other. The others are drawn.",
)
@click.option("--seed", type=int, default=0, help="Draws other rows.")
@click.option("--out", "file", type=PATH, help="Gold set to write.")
@click.option("--page", is_flag=True, help="Write a page to label on, instead of asking here.")
@click.option("--read", "saved", type=PATH, help="File saved by the page.")
@click.option("--gold", type=PATH, help="Table that has the true values.")
@click.option("--decided", is_flag=True, help="Take what people decided of the batch, ask nothing.")
@click.option("--columns", multiple=True, metavar="FIELD=COLUMN", help="Where --gold has them.")
@click.option("--id-column", help="The id column of --gold (default: as the batch's).")
def label_command(
    out: Path,
    rows: int,
    fields: tuple[str, ...],
    teach: float,
    seed: int,
    file: Path | None,
    page: bool,
    saved: Path | None,
    gold: Path | None,
    decided: bool,
    columns: tuple[str, ...],
    id_column: str | None,
) -> Output:
    """Label rows of the finished batch in OUT: which values are right, and what is true instead.

    Half of the rows are those that teach `orchestra finetune` most. The others are drawn over plans
    and levels of confidence. All are weighted so that shares hold for the whole batch.
    """
    path = file or out / GOLD
    folder = Folder.read(out)
    with closing(folder.book):
        batch = FinishedBatch.of(folder)
        if decided:
            drawn, named = labelled_rows(folder)
            session = LabelSession(path, batch.id_column, named, drawn, batch.results, batch.terms)
            session.save()
            return _output(session, path)
        if gold is None:
            session = begin(batch, path, rows=rows, seed=seed, fields=fields, teach=teach)
        elif not columns:
            raise UsageError("--gold has true values, but where? Give --columns FIELD=COLUMN.")
        else:
            session = take(batch, path, gold, columns_by_field("--columns", columns), id_column)
        _label(session, folder, path, page, saved, ask=gold is None)
    return _output(session, path)


def _label(
    session: LabelSession, folder: Folder, path: Path, page: bool, saved: Path | None, *, ask: bool
) -> None:
    """Take the answers in the way asked for."""
    if saved is not None:
        _say(f"{read_page(session, saved)} answers read from {saved}")
    elif page:
        target = path.with_suffix(".html")
        write_page(session, target, lambda key: _thumbnail(folder, key))
        _say(f"page     {target}: label on it, save labels.csv, and read it with --read")
    elif ask and not ask_all(session, _read, _say, lambda key: str(folder.images.path(key))):
        _say("Every answer is kept. The same command goes on from here.")


def _say(line: str) -> None:
    click.echo(line, err=True)


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


def _output(session: LabelSession, path: Path) -> Output:
    questions, counts = len(session.questions()), session.counts()
    answers = ", ".join(f"{count} {state}" for state, count in counts.items()) or "none yet"
    left = questions - sum(counts.values())
    still = f", {left} open" * (left > 0)
    return Output(
        {"gold": str(path), "questions": questions, "answers": counts},
        [f"gold     {path}: {len(session.drawn)} rows, {answers}{still}"],
    )
