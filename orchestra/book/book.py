"""The book: ledger of calls and journal of rows in one sqlite file; it knows no graph or model.

One process opens a book for writing at a time; others may open it with `exclusive=False`, to read
or, on the same host, to take part in the same epoch.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from orchestra.book.calls import DEEDS
from orchestra.book.database import BookConnection, FileLock, connect, translated
from orchestra.book.entries import Entries
from orchestra.book.folds import Folds
from orchestra.book.groups import DecisionGroups
from orchestra.book.journal import Journal
from orchestra.book.keys.alerts import ALERT_DEEDS, BudgetAlerts
from orchestra.book.keys.door import Attendance
from orchestra.book.keys.gate import GATE_DEEDS, utc_now
from orchestra.book.keys.kept import KEY_DEEDS
from orchestra.book.messages import (
    AdmitRows,
    CountAttempt,
    FinishRow,
    LedgerMessage,
    RowMessage,
)
from orchestra.book.postgres import PostgresConnection
from orchestra.book.schema import prepare
from orchestra.book.spending import Spending
from orchestra.book.tables import Tables
from orchestra.book.threads import Threads
from orchestra.book.timings import Timings
from orchestra.core.errors import BookError

T = TypeVar("T")
LOCK_SUFFIX = ".lock"


class Book(Threads, Entries, DecisionGroups, Tables, Spending, Timings, Folds, BudgetAlerts):
    """Accounts, calls, replies and finished rows; used by any threads of one process.

    What is said to it is a message, done in one transaction; `with book.transaction():` groups
    several. What it can be asked stands with the tables: `accounts`, `decisions`, `entries` (with
    `recover`), `folds`, `groups`, `journal`, `keys`, `spending`, `tables`, `threads` and `timings`.
    """

    _lock: FileLock | None

    @classmethod
    def open(cls, path: Path | None, *, exclusive: bool = True) -> Book:
        """Open the book at `path`, made when absent; None is a private one in memory.

        An exclusive opening locks out other exclusive ones and begins a new epoch; `recover()`
        then closes what earlier epochs left open.

        Raises `BookLocked` naming the process that has the book, `DiskFull`, `BookFormatMismatch`
        for one of another version, and `BookError` for a file that is no book, or with
        `exclusive=False` for one that does not exist.
        """
        lock = None
        if path is not None and exclusive:
            lock = FileLock(path.with_name(path.name + LOCK_SUFFIX))
        elif path is not None and not path.exists():
            raise BookError(
                f"No book at {str(path)!r}. Check the output folder, or run a batch into it first."
            )
        try:
            return cls._opened(path, lock)
        except BaseException:
            if lock is not None:
                lock.free()
            raise

    @classmethod
    def reach(cls, address: str) -> Book:
        """Open the book in the Postgres database at `address`, which begins a new epoch.

        It keeps accounts, calls, replies and runs that wait; a batch has a file. Raises
        `BookLocked` when another process has it, `BookUnavailable` where the database does not
        answer, `BookFormatMismatch`, and `MissingExtra`.
        """
        database = PostgresConnection(address)
        try:
            database.execute("BEGIN")
            epoch = _epoch(database, begin=True)
            database.execute("COMMIT")
        except BaseException:
            database.close()
            raise
        return cls(database, database.name, epoch=epoch, fenced=True)._begun(None)

    @classmethod
    def _opened(cls, path: Path | None, lock: FileLock | None) -> Book:
        name = ":memory:" if path is None else str(path)
        database = None
        try:
            database = connect(name)
            database.execute("BEGIN IMMEDIATE")
            prepare(database, name)
            epoch = _epoch(database, begin=lock is not None or path is None)
            database.execute("COMMIT")
        except BaseException as error:
            if database is not None:
                database.close()
            if isinstance(error, sqlite3.Error):
                raise translated(error, name) from error
            raise
        is_fenced = lock is None and path is not None
        return cls(database, name, epoch=epoch, fenced=is_fenced)._begun(lock)

    def _begun(self, lock: FileLock | None) -> Self:
        self._forget()
        self._lock = lock
        self.door, self.now = Attendance(), utc_now
        return self

    def do(self, message: LedgerMessage[T] | RowMessage[T]) -> T:
        """Do what `message` says, all of it or nothing, and give its answer.

        Raises what the message says, and `BookError` (`BookLocked`, `DiskFull`) when the book
        cannot be used.
        """
        with self.transaction():
            return _DEEDS[type(message)](self, message)

    @property
    def epoch(self) -> int:
        """The number of the life of its owner that it is in."""
        return self._epoch

    def probe(self, size: int) -> None:
        """Write so many bytes in place of those before. Raises what stops the book from writing."""
        with self.transaction():
            self._write(
                "INSERT INTO meta (key, value) VALUES ('probe', ?) ON CONFLICT (key)"
                " DO UPDATE SET value = excluded.value",
                ("0" * size,),
            )

    def close(self) -> None:
        """Close the file and let another process have it; a second call does nothing."""
        self._close_database()
        if self._lock is not None:
            self._lock.free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


_DEEDS = (
    DEEDS
    | GATE_DEEDS
    | KEY_DEEDS
    | ALERT_DEEDS
    | {
        AdmitRows: Journal._admit_rows,
        CountAttempt: Journal._count_attempt,
        FinishRow: Journal._finish_row,
    }
)


def _epoch(database: BookConnection, *, begin: bool) -> int:
    """The book's epoch, raised by one when an owner begins."""
    row = database.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    epoch = 0 if row is None else int(row[0])
    if begin:
        epoch += 1
        database.execute(
            "INSERT INTO meta (key, value) VALUES ('epoch', ?) ON CONFLICT (key)"
            " DO UPDATE SET value = excluded.value",
            (str(epoch),),
        )
    return epoch
