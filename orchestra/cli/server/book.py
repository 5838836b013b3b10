"""`orchestra book`: care of a book that a server has: a copy of it, and old calls folded."""

from __future__ import annotations

from pathlib import Path

import click

from orchestra.book.upkeep import backup, compact
from orchestra.cli.command import Output, command
from orchestra.cli.options import PATH

EPILOG = """\b
Examples:
  orchestra book backup book.sqlite monday.sqlite
  orchestra book compact book.sqlite --older-than 90 --json
"""


@click.group("book", epilog=EPILOG)
def book_command() -> None:
    """Copy a book or make it smaller, also while a server writes it."""


@command("backup", EPILOG)
@click.argument("book", type=PATH)
@click.argument("to", type=PATH)
def backup_command(book: Path, to: Path) -> Output:
    """Copy BOOK to the new file TO, as it is at one moment; the copy is checked."""
    size = backup(book, to)
    return Output(
        {"book": str(book), "to": str(to), "bytes": size},
        [f"copied {book} to {to}: {size:,} bytes"],
    )


@command("compact", EPILOG)
@click.argument("book", type=PATH)
@click.option(
    "--older-than", "days", type=int, required=True, metavar="DAYS", help="Of at least 1."
)
def compact_command(book: Path, days: int) -> Output:
    """Fold calls of BOOK that are DAYS old into sums by day, which `orchestra costs` adds up.

    Their replies go, and the closed accounts of their jobs. Nothing of a batch's rows, decisions,
    open accounts or runs that wait is touched.
    """
    done = compact(book, days)
    told = (
        f"a server has it: the room of its {done.bytes_after:,} bytes is used again"
        if done.was_in_use
        else f"{done.bytes_before:,} bytes are {done.bytes_after:,} now"
    )
    return Output(
        done.public(),
        [
            f"folded {done.calls:,} calls before {done.day} and dropped {done.accounts:,} closed "
            f"accounts; {told}"
        ],
    )


book_command.add_command(backup_command)
book_command.add_command(compact_command)
