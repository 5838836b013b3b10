"""The book: ledger of calls and journal of rows in one sqlite file; it knows no graph or model.

A finished row is inserted in the transaction that settles its last calls and closes its
account, so a row is never done without being paid for or paid for twice. One process opens a
book for writing at a time; others may open it with `exclusive=False`, to read or, on the same
host, to take part in the same epoch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from orchestra.book.calls import Settlement
from orchestra.book.database import translated
from orchestra.book.journal import Journal, Row
from orchestra.book.lock import FileLock
from orchestra.book.recovery import Recoverable
from orchestra.book.schema import connect, prepare
from orchestra.book.spending import Spending
from orchestra.book.timings import Timings
from orchestra.core.errors import BookError

LOCK_SUFFIX = ".lock"


class Book(Recoverable, Journal, Spending, Timings):
    """Accounts, entries, replies and finished rows; used by any threads of one process.

    Each method is one transaction; `with book.transaction():` groups several. Read the ledger's
    methods in `accounts`, `entries` and `named`, the journal's in `journal`, `recover` in
    `recovery`, what was spent on what in `spending`, and how long calls took in `timings`.
    """

    _lock: FileLock | None

    @classmethod
    def open(cls, path: Path | None, *, exclusive: bool = True, power_safe: bool = False) -> Book:
        """Open the book at `path`, made when absent; None is a private one in memory.

        An exclusive opening locks out other exclusive ones and begins a new epoch; `recover()`
        then closes what earlier epochs left open. `power_safe` waits for the disk at each
        commit, so that no paid call is forgotten even over a power loss (see `store`).

        Raises `BookLocked` naming the process that has the book, `DiskFull`, and `BookError` for
        a file that is no book, or with `exclusive=False` for one that does not exist.
        """
        lock = None
        if path is not None and exclusive:
            lock = FileLock(path.with_name(path.name + LOCK_SUFFIX))
        elif path is not None and not path.exists():
            raise BookError(
                f"No book at {str(path)!r}. Check the output folder, or run a batch into it first."
            )
        try:
            return cls._opened(path, lock, "FULL" if power_safe else "NORMAL")
        except BaseException:
            if lock is not None:
                lock.free()
            raise

    @classmethod
    def _opened(cls, path: Path | None, lock: FileLock | None, synchronous: str) -> Book:
        name = ":memory:" if path is None else str(path)
        database = None
        try:
            database = connect(name, synchronous=synchronous)
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
        book = cls(database, name, epoch=epoch, fenced=lock is None and path is not None)
        book._forget()
        book._lock = lock
        return book

    def finish_row(
        self,
        row_key: str,
        *,
        ordinal: int,
        row_id: str,
        status: str,
        record_json: str,
        settle: Sequence[Settlement] = (),
        close: str | None = None,
    ) -> bool:
        """Record a row as finished, settle its calls and close its account, all or nothing.

        A key that is finished already keeps its first record and gives False; calls in `settle`
        that are still open are settled all the same, since they were paid for.

        Raises `BookError` for another row's ordinal, or what `settle` and `close_account` raise.
        """
        with self.transaction():
            account = None if close is None else self._chain(close)[0].number
            row = Row(ordinal, row_key, row_id, status, record_json, close)
            first = self._insert_row(row, account)
            for settlement in settle:
                if first or self._is_dispatched(settlement.entry):
                    self._settle(settlement)
            if close is not None:
                self._close_account(close)
            return first

    def _is_dispatched(self, entry: int) -> bool:
        row = self._read_one("SELECT state FROM entries WHERE number = ?", (entry,))
        return row is not None and row[0] == "dispatched"

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


def _epoch(database: sqlite3.Connection, *, begin: bool) -> int:
    """The book's epoch, raised by one when an owner begins."""
    if begin:
        database.execute(
            "INSERT INTO meta (key, value) VALUES ('epoch', '1') ON CONFLICT (key)"
            " DO UPDATE SET value = CAST(value AS INTEGER) + 1"
        )
    row = database.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
    return 0 if row is None else int(row[0])
