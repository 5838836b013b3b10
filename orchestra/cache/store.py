"""Replies in one sqlite file that runs share: bounded, oldest-used out; it knows no model.

Several processes of one host may use the file at once (WAL, short transactions, no lock held
between them). A cache is never worth a job: a file that is damaged, busy or on a full disk gives a
warning, once, and misses. Values are JSON text, so a file from elsewhere can run no code.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestra.core.errors import InvalidBudget

LOG = logging.getLogger(__name__)
FILE = "replies.sqlite"
APPLICATION_ID = 0x4F726343  # "OrcC", so that another program's sqlite file is left alone
VERSION = 1
BUSY_TIMEOUT_S = 1.0
OPEN_S = 5.0
MIB = 2**20
DEFAULT_MIB = 1024
ROW_BYTES = 160  # of a reply beside its text: key, counters and two indices
TOUCH_S = 60  # how stale the time of last use may be, so that a hit is seldom a write
KEPT_SHARE = 0.9  # what is left after an eviction, so that not every new reply makes one

_TABLES = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    """CREATE TABLE replies (
        number INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        reply TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        used INTEGER NOT NULL
    )""",
    "CREATE INDEX replies_used ON replies (used, number)",
    "CREATE TABLE files (path TEXT PRIMARY KEY, stat TEXT NOT NULL, sha256 TEXT NOT NULL)",
    # The sum is kept by the file itself, so that it is right whichever process writes.
    """CREATE TRIGGER kept AFTER INSERT ON replies BEGIN
        UPDATE meta SET value = value + NEW.bytes WHERE name = 'bytes'; END""",
    """CREATE TRIGGER dropped AFTER DELETE ON replies BEGIN
        UPDATE meta SET value = value - OLD.bytes WHERE name = 'bytes'; END""",
    "INSERT INTO meta VALUES ('bytes', 0)",
)


@dataclass(frozen=True, slots=True)
class Size:
    """How many replies a cache holds, and how many bytes of the most it may."""

    replies: int
    used_bytes: int
    most_bytes: int


class ReplyStore:
    """The cache in `folder`, made when absent. `most_mib` sets its bound for all who use it.

    Without `most_mib` the bound that the file has stays. Raises `InvalidBudget` for one under 1.
    """

    def __init__(self, folder: Path, *, most_mib: int | None = None) -> None:
        if most_mib is not None and most_mib < 1:
            raise InvalidBudget(f"The cache's bound is {most_mib!r} MiB; give 1 or more.")
        self.folder = folder
        self._path = folder / FILE
        self._mutex = threading.Lock()  # a fleet may be used from several event loops
        self._database: sqlite3.Connection | None = None
        self._process = os.getpid()
        self._warned: set[str] = set()
        with self._guarded("opened"):
            folder.mkdir(parents=True, exist_ok=True)
            self._database = _opened(self._path, most_mib)

    def get(self, key: str) -> str | None:
        """The reply under `key`, or None."""
        with self._guarded("read") as database:
            if database is None:
                return None
            row = database.execute(
                "SELECT reply, used FROM replies WHERE key = ?", (key,)
            ).fetchone()
            if row is None:
                return None
            now = int(time.time())
            if now - row[1] > TOUCH_S:
                self._touch(database, key, now)
            return row[0]
        return None

    def put(self, key: str, reply: str) -> None:
        """Keep `reply`, if there is none under `key`; the oldest-used go where room is short."""
        size = len(reply.encode(errors="replace")) + len(key) + ROW_BYTES
        with self._guarded("written") as database:
            if database is None:
                return
            with _transaction(database):
                most = _meta(database, "most_bytes")
                if size > most:
                    return
                database.execute(
                    "INSERT INTO replies (key, reply, bytes, used) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (key) DO UPDATE SET used = excluded.used",
                    (key, reply, size, int(time.time())),
                )
                if _meta(database, "bytes") > most:
                    _evict(database, round(most * KEPT_SHARE))

    def drop(self, key: str) -> None:
        """Forget the reply under `key`, which cannot be read."""
        with self._guarded("written") as database:
            if database is not None:
                database.execute("DELETE FROM replies WHERE key = ?", (key,))

    def file_hash(self, path: Path) -> str | None:
        """The sha256 of a whole file; None for one that cannot be read.

        It is remembered by size and time of change, so that large weights are read once.
        """
        try:
            seen = path.stat()
            name, stat = str(path.resolve()), f"{seen.st_size} {seen.st_mtime_ns} {seen.st_ino}"
            known = self._file_hash(name, stat)
            if known is None:
                with path.open("rb") as file:
                    known = hashlib.file_digest(file, "sha256").hexdigest()
                self._keep_file_hash(name, stat, known)
        except OSError:
            return None
        return known

    def _file_hash(self, path: str, stat: str) -> str | None:
        with self._guarded("read") as database:
            if database is None:
                return None
            row = database.execute(
                "SELECT sha256 FROM files WHERE path = ? AND stat = ?", (path, stat)
            ).fetchone()
            return None if row is None else row[0]
        return None

    def _keep_file_hash(self, path: str, stat: str, sha256: str) -> None:
        with self._guarded("written") as database:
            if database is not None:
                database.execute(
                    "INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (path, stat, sha256)
                )

    @property
    def size(self) -> Size:
        """What the cache holds now; nothing where it cannot be read."""
        with self._guarded("read") as database:
            if database is not None:
                count = database.execute("SELECT count(*) FROM replies").fetchone()[0]
                return Size(count, _meta(database, "bytes"), _meta(database, "most_bytes"))
        return Size(0, 0, 0)

    def close(self) -> None:
        """Close the file; a second call does nothing, and what is asked later misses."""
        with self._mutex:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _touch(self, database: sqlite3.Connection, key: str, now: int) -> None:
        """Note that a reply was used. A busy file is no reason to wait, or to miss."""
        try:
            database.execute("UPDATE replies SET used = ? WHERE key = ?", (now, key))
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise

    @contextmanager
    def _guarded(self, what: str) -> Iterator[sqlite3.Connection | None]:
        """The database, or None without one; what goes wrong with it is a warning, not an error."""
        with self._mutex:
            if self._database is not None and os.getpid() != self._process:
                self._database = None  # a fork may not use its parent's connection
            try:
                yield self._database
            except (sqlite3.Error, OSError, UnicodeEncodeError) as error:
                self._tell(what, error)

    def _tell(self, what: str, error: Exception) -> None:
        """Warn once of each kind of failure; a damaged file is not used again."""
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        is_damaged = code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or not code
        if is_damaged and self._database is not None and not isinstance(error, UnicodeEncodeError):
            self._database.close()
            self._database = None
        kind = f"{what} {code}"
        if kind in self._warned:
            return
        self._warned.add(kind)
        cure = (
            "Delete the file to begin anew"
            if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
            else "Check the disk and who may write there"
        )
        LOG.warning(
            "The cache %r could not be %s: %s. Calls are made as without it. %s.",
            str(self._path),
            what,
            error,
            cure,
        )


class _Foreign(sqlite3.DatabaseError):
    """The file belongs to another program or version."""


def _opened(path: Path, most_mib: int | None) -> sqlite3.Connection:
    """Open the file; processes that make it at the same moment wait for each other."""
    until = time.monotonic() + OPEN_S
    while True:
        try:
            return _connected(path, most_mib)
        except sqlite3.OperationalError as error:
            if not _is_busy(error) or time.monotonic() > until:
                raise
            time.sleep(0.02)


def _connected(path: Path, most_mib: int | None) -> sqlite3.Connection:
    database = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # a reply lost to a power cut is a miss
        with _transaction(database):
            _prepare(database, most_mib)
    except BaseException:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, most_mib: int | None) -> None:
    tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not tables:
        for statement in _TABLES:
            database.execute(statement)
        database.execute("INSERT INTO meta VALUES ('most_bytes', ?)", (DEFAULT_MIB * MIB,))
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION}")
    found = tuple(
        database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    )
    if found != (APPLICATION_ID, VERSION):
        raise _Foreign(f"it is a file of another program or version {found!r}; name another folder")
    if most_mib is not None:
        most = most_mib * MIB
        database.execute("UPDATE meta SET value = ? WHERE name = 'most_bytes'", (most,))
        _evict(database, most)


def _evict(database: sqlite3.Connection, most: int) -> None:
    """Drop the oldest-used replies until the others take `most` bytes at most."""
    excess = _meta(database, "bytes") - most
    last: tuple[int, int] | None = None
    for used, number, size in database.execute(
        "SELECT used, number, bytes FROM replies ORDER BY used, number"
    ):
        if excess <= 0:
            break
        excess -= size
        last = (used, number)
    if last is not None:
        database.execute("DELETE FROM replies WHERE (used, number) <= (?, ?)", last)


def _meta(database: sqlite3.Connection, name: str) -> int:
    row: Any = database.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return int(row[0])


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def _is_busy(error: sqlite3.OperationalError) -> bool:
    code = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
