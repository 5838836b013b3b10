"""The book's sqlite file: its lock, its settings, and transactions that group; it knows no table.

Durability: WAL with `synchronous=NORMAL`. A committed transaction is in the operating system's
hands, so nothing is lost when the process dies in any way (SIGKILL, out of memory). A power loss
or kernel crash may lose the last seconds, never consistency: rows finished in those seconds are
done again, and calls made in them are forgotten by the ledger, which can then be over its
limit by what was in those seconds.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from orchestra.core.errors import (
    BookError,
    BookLocked,
    BookUnavailable,
    DiskFull,
    OrchestraError,
)

BUSY_TIMEOUT_S = 120.0
CACHE_KIB = 16_384
Parameters = Sequence[Any]


class FileLock:
    """An exclusive lock on `path`, held from construction to `free()`.

    `flock` belongs to the open file, so the operating system frees it when its process ends in any
    way, SIGKILL included. The file itself stays: deleting it would let two processes lock two
    files of the same name.

    Raises `BookLocked` naming the holder's process id, and `BookError` when the file cannot be
    made.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise BookError(
                f"The book's lock file {str(path)!r} cannot be opened: {error.strerror}. "
                f"Make its folder writable, or choose another output folder."
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(os.pread(self._file, 32, 0))
            os.close(self._file)
            raise BookLocked(
                f"The book {str(path.with_suffix(''))!r} is being written by {holder}. "
                f"Wait until it ends, or choose another output folder."
            ) from error
        with suppress(OSError):  # on a full disk the lock still holds; only the name is missing
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def free(self) -> None:
        """Let another process have the book; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _holder(content: bytes) -> str:
    if not content.isdigit():
        return "another process"
    own = int(content) == os.getpid()
    return f"process {int(content)}" + (" (this one)" if own else "")


def connect(target: str) -> sqlite3.Connection:
    """Open the database at `target` (a path, or `:memory:`) with a book's settings.

    Raises `BookError` where the file system cannot keep a write-ahead log, and sqlite3's own
    errors, which the caller translates.
    """
    database = sqlite3.connect(
        target, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        mode = database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal" and target != ":memory:":
            raise BookError(
                f"The file system of the book {target!r} cannot keep a write-ahead log "
                f"(sqlite chose {mode!r}). Put the output folder on a local disk."
            )
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA foreign_keys = ON")
        database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    except BaseException:
        database.close()
        raise
    return database


class BookConnection(Protocol):
    """What a book needs of a connection to its tables: sqlite's has it, and so has Postgres'."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    def execute(self, statement: str, parameters: Parameters = ..., /) -> Any:
        """Run one statement; its rows, as a cursor has them."""
        ...

    def executemany(self, statement: str, rows: Iterable[Parameters], /) -> Any:
        """Run one statement for each of `rows`."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Database:
    """Statements and transactions on `database`; `name` stands in messages.

    `fenced` makes each transaction check that no other process has taken the book over since it
    was opened in `epoch`.
    """

    def __init__(self, database: BookConnection, name: str, *, epoch: int, fenced: bool) -> None:
        self._database = database
        self._name = name
        self._epoch = epoch
        self._living = epoch  # who began in an earlier one is dead
        self._fenced = fenced
        self._mutex = threading.RLock()
        self._level = 0
        self._version = 0
        self._closed = False
        self._process = os.getpid()

    @property
    def path(self) -> Path | None:
        """Its file; None for one in memory."""
        return None if self._name == ":memory:" else Path(self._name)

    @contextmanager
    def transaction(self, *, is_shared: bool = False) -> Iterator[None]:
        """Group operations into one commit; another thread waits, so never `await` inside.

        One that `is_shared` belongs to no epoch: any process may do it, whoever has the book.

        An operation that fails inside takes back only itself; an exception that leaves the block
        takes back the whole group. Raises `DiskFull` and `BookError`.
        """
        with self._mutex:
            level = self._level
            try:
                self._enter(level, is_shared)
                self._level = level + 1
                yield
                self._database.execute("COMMIT" if level == 0 else f"RELEASE level{level}")
            except BaseException as error:
                self._undo(level)
                if isinstance(error, (sqlite3.Error, UnicodeEncodeError)):
                    raise translated(error, self._name) from error
                raise
            finally:
                self._level = level

    def _enter(self, level: int, is_shared: bool) -> None:
        self._check_usable()
        if level:
            if not self._database.in_transaction:
                raise BookError(
                    f"The book {self._name!r} took back a group of operations after a failure. "
                    f"Let that error leave the group's block, then repeat the group."
                )
            self._database.execute(f"SAVEPOINT level{level}")
            return
        self._database.execute("BEGIN IMMEDIATE")
        version = self._database.execute("PRAGMA data_version").fetchone()[0]
        if version != self._version:  # another process has written since
            self._version = version
            self._forget()
        if self._fenced and not is_shared:
            row = self._database.execute("SELECT value FROM meta WHERE key = 'epoch'").fetchone()
            if int(row[0]) != self._epoch:
                raise BookLocked(
                    f"The book {self._name!r} was taken over by another process (epoch {row[0]}, "
                    f"opened here in epoch {self._epoch}). Open it again."
                )

    def _undo(self, level: int) -> None:
        self._forget()
        # sqlite has already rolled back after some failures, and a lost session has nothing open.
        with suppress(sqlite3.Error, BookError):
            if level == 0:
                self._database.execute("ROLLBACK")
            else:
                self._database.execute(f"ROLLBACK TO level{level}")
                self._database.execute(f"RELEASE level{level}")

    def _forget(self) -> None:
        """Drop what was remembered about rows that may now be rolled back, or others'."""

    def _check_usable(self) -> None:
        if self._closed:
            raise BookError(f"The book {self._name!r} is closed. Open it again.")
        if os.getpid() != self._process:
            raise BookError(
                f"The book {self._name!r} was opened by process {self._process} and used in its "
                f"fork {os.getpid()}. Open it after the fork."
            )

    def _write(self, statement: str, parameters: Parameters = ()) -> Any:
        """Run one statement; only inside `transaction()`, which translates its errors."""
        return self._database.execute(statement, parameters)

    def _write_many(self, statement: str, rows: Iterable[Parameters]) -> None:
        """Run one statement for each of `rows`; as `_write`."""
        self._database.executemany(statement, rows)

    def _read(self, query: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """All rows of `query`; callers page, so that no read stays open between calls."""
        with self._mutex:
            self._check_usable()
            try:
                return self._database.execute(query, parameters).fetchall()
            except (sqlite3.Error, UnicodeEncodeError) as error:
                raise translated(error, self._name) from error

    def _read_one(self, query: str, parameters: Parameters = ()) -> tuple[Any, ...] | None:
        rows = self._read(query, parameters)
        return rows[0] if rows else None

    def checkpoint(self) -> None:
        """Move what stands in the write-ahead log to the file itself, as far as readers let it."""
        with self._mutex, suppress(sqlite3.Error):  # what it cannot move stays safe in the log
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _close_database(self) -> None:
        with self._mutex:
            if not self._closed and not self._fenced and os.getpid() == self._process:
                self.checkpoint()
            self._closed = True
            self._database.close()


def translated(error: sqlite3.Error | UnicodeEncodeError, name: str) -> OrchestraError:
    """sqlite3's error as one of the tree; the only place where its codes are read."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = None if code is None else code & 0xFF
    if primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR):
        return DiskFull(
            f"The book {name!r} cannot be written: {error}. Everything finished before is kept. "
            f"Free space on its disk and run the same command again; it resumes."
        )
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return BookLocked(
            f"The book {name!r} was kept busy by another process: {error}. "
            f"End the process that holds it, then run the same command again."
        )
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return BookUnavailable(
            f"The book {name!r} is damaged or not a sqlite file: {error}. "
            f"Restore it from a copy, or choose another output folder."
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return BookUnavailable(
            f"The book {name!r} cannot be opened or written: {error}. "
            f"Make its file and folder writable."
        )
    return BookError(f"The book {name!r} refused an operation: {error}. Check its values and disk.")
