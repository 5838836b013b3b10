"""Care of a book that is in use: a copy of it, and old calls folded into sums by day.

Both work beside the process that has the book. A fold takes a part at a time, so that calls go on
between; the file itself gets smaller only where nobody has it, and else its room is used again.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestra.book.book import Book
from orchestra.book.database import translated
from orchestra.book.schema import APPLICATION_ID
from orchestra.core.errors import BookError, BookLocked, BookUnavailable, UsageError

MOST_DAYS = 36_500


def backup(book: Path, to: Path) -> int:
    """Copy `book`, whoever writes it, to the new file `to`; its bytes.

    The copy is of one moment, and is checked before it has its name. Raises `UsageError` for a
    file that is there already, `BookUnavailable` for a book that is not there or damaged, and
    `BookError`, as `DiskFull`, for a copy that cannot be written.
    """
    if to.exists():
        raise UsageError(f"{str(to)!r} is there already. Name a new file for the copy.")
    if not book.is_file():
        raise BookUnavailable(f"No book at {str(book)!r}. Check the path.")
    part = to.with_name(f"{to.name}.part")
    part.unlink(missing_ok=True)
    try:
        with (
            closing(sqlite3.connect(f"file:{book.resolve()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(part)) as copy,
        ):
            if source.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise BookUnavailable(f"{str(book)!r} is no book. Name a book's file.")
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
            found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise BookUnavailable(f"The book {str(book)!r} is damaged: {found}. It was not copied.")
        _sync(part)
        part.rename(to)
        _sync(to.parent)
    except sqlite3.Error as error:
        raise translated(error, str(book)) from error
    except OSError as error:
        raise BookError(
            f"The copy {str(to)!r} cannot be written: {error.strerror}. Make its folder, and room."
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return to.stat().st_size


@dataclass(frozen=True, slots=True)
class Compacted:
    """What was folded of calls before `day`, and whether the file was made smaller, in bytes."""

    day: str
    calls: int
    accounts: int
    bytes_before: int
    bytes_after: int
    was_in_use: bool

    def public(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def compact(path: Path, older_than_days: int) -> Compacted:
    """Fold the calls of the book at `path` that are so many days old, and their closed accounts.

    Their replies go as well. What a batch came to, decisions, open accounts, and runs that wait
    stay as they are. Raises `BookError`, and `UsageError` for no age of a day or more.
    """
    if not 1 <= older_than_days <= MOST_DAYS:
        raise UsageError(
            f"--older-than {older_than_days} is no age of a call in days: give 1 to {MOST_DAYS:,}."
        )
    day = (datetime.now(UTC) - timedelta(days=older_than_days)).date().isoformat()
    if not path.is_file():
        raise BookUnavailable(f"No book at {str(path)!r}. Check the path.")
    before, in_use = path.stat().st_size, False
    try:
        book = Book.open(path)
    except BookLocked:
        book, in_use = Book.open(path, exclusive=False), True
    with closing(book):
        calls, accounts = book.fold(day)
        if not in_use:
            book.vacuum()
    return Compacted(day, calls, accounts, before, path.stat().st_size, in_use)


def _sync(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
