"""Whether a book's file can be used: there, whole, writable, and the one that was opened.

sqlite tells late: a file that was deleted is written on as if nothing were, and of one that was
overwritten it reads what it remembers. So the file is looked at beside it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from orchestra.book.database import translated
from orchestra.book.schema import APPLICATION_ID
from orchestra.core.errors import BookFormatMismatch, BookLocked, BookUnavailable, DiskFull

MAGIC = b"SQLite format 3\0"
HEADER_BYTES = 100
WHOLE_EVERY_S, WHOLE_SHARE = 10.0, 200  # all of it is read for a 200th of the time at most


class FileHealth:
    """The file at `path` as it was opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        # It stays open as long as the book: closing any file of it in a process takes all locks
        # that sqlite has there, and who leaves next would throw the log away that is in use.
        self._file = _opened(path)
        self._identity = _identity(path)
        self._next_whole = time.monotonic() + WHOLE_EVERY_S

    def check(self) -> None:
        """Raises `BookUnavailable` for a file that is gone, another, or cut or overwritten."""
        identity = _identity(self._path)
        if identity != self._identity:
            raise BookUnavailable(
                f"The book {str(self._path)!r} was {'deleted' if identity is None else 'replaced'} "
                "while it was in use. Put the file back, or a copy of it (orchestra book backup); "
                "it is opened again by itself."
            )
        _check_header(self._file, self._path)

    def close(self) -> None:
        """Let go of the file; only once the book is closed."""
        os.close(self._file)

    def is_due(self) -> bool:
        """Whether all of the file should be read again by now."""
        return time.monotonic() >= self._next_whole

    def check_whole(self) -> None:
        """Read all of the file, beside whoever writes it. Raises `BookUnavailable` for damage."""
        began = time.monotonic()
        try:
            check_whole(self._path)
        finally:
            took = time.monotonic() - began
            self._next_whole = time.monotonic() + max(WHOLE_EVERY_S, WHOLE_SHARE * took)


def check_header(path: Path) -> None:
    """Raises `BookUnavailable` when the file does not begin as a book, or was cut.

    Only of a book that this process has not open.
    """
    file = _opened(path)
    try:
        _check_header(file, path)
    finally:
        os.close(file)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> BookUnavailable:
    return BookUnavailable(
        f"The book {str(path)!r} cannot be read: {error.strerror}. Put the file back, or make it "
        "readable."
    )


def _check_header(file: int, path: Path) -> None:
    try:
        head, size = os.pread(file, HEADER_BYTES, 0), os.fstat(file).st_size
    except OSError as error:
        raise _unreadable(path, error) from error
    page = int.from_bytes(head[16:18], "big")
    needed = int.from_bytes(head[28:32], "big") * (65536 if page == 1 else page)
    is_book = head.startswith(MAGIC) and int.from_bytes(head[68:72], "big") == APPLICATION_ID
    if not is_book or size < needed:
        what = "does not begin as one" if not is_book else f"has {size:,} of {needed:,} bytes"
        raise BookUnavailable(
            f"The book {str(path)!r} is damaged: it {what}. Restore it from a copy (orchestra book "
            "backup); it is opened again by itself."
        )


def check_whole(path: Path) -> None:
    """Raises `BookUnavailable` when a page of the book is damaged."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)) as database:
            found = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError:
        return  # busy, or its log is about to be made: it is looked at again
    except sqlite3.DatabaseError as error:
        raise translated(error, str(path)) from error
    if found != "ok":
        raise BookUnavailable(
            f"The book {str(path)!r} is damaged: {found}. Restore it from a copy (orchestra book "
            "backup); it is opened again by itself."
        )


def is_of_the_book(error: object) -> bool:
    """Whether an error says that the book itself is in trouble, not that a message is wrong."""
    return isinstance(error, BookUnavailable | BookLocked | BookFormatMismatch | DiskFull)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
