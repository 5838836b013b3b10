"""What lies beside a book in a folder of its own: files, batches, kept answers, messages out.

It is another database than the book: none of it is money, and several processes of one machine
write it at once.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tempfile
import weakref
from pathlib import Path
from typing import Self

from orchestra.book.database import connect, translated
from orchestra.book.filing.answers import KeptAnswers
from orchestra.book.filing.batches import Batches
from orchestra.book.postgres import is_postgres, public_name
from orchestra.core.errors import BookError, BookFormatMismatch

APPLICATION_ID = 0x4F726366  # "Orcf"
VERSION = 1
DATABASE = "filing.sqlite"
_TABLES = (
    """CREATE TABLE files (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        purpose TEXT NOT NULL,
        filename TEXT NOT NULL,
        bytes INTEGER NOT NULL CHECK (bytes >= 0),
        created INTEGER NOT NULL,
        expires INTEGER
    )""",
    """CREATE INDEX files_tenant ON files (tenant)""",
    """CREATE TABLE batches (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        tenant TEXT NOT NULL,
        key TEXT NOT NULL,
        weight REAL NOT NULL,
        endpoint TEXT NOT NULL,
        input_file TEXT NOT NULL,
        completion TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        status TEXT NOT NULL,
        metadata TEXT NOT NULL,
        times TEXT NOT NULL,
        total INTEGER NOT NULL,
        output_file TEXT,
        error_file TEXT,
        problems TEXT NOT NULL
    )""",
    """CREATE INDEX batches_tenant ON batches (tenant)""",
    # A line is recorded once, whoever runs it again.
    """CREATE TABLE lines (
        batch INTEGER NOT NULL REFERENCES batches (number),
        line INTEGER NOT NULL,
        failed INTEGER NOT NULL CHECK (failed IN (0, 1)),
        outcome TEXT NOT NULL,
        sent INTEGER NOT NULL,
        cached INTEGER NOT NULL,
        written INTEGER NOT NULL,
        PRIMARY KEY (batch, line)
    ) WITHOUT ROWID""",
    """CREATE TABLE answers (
        tenant TEXT NOT NULL,
        key TEXT NOT NULL,
        asked TEXT NOT NULL,
        until INTEGER NOT NULL,
        status INTEGER,
        kind TEXT NOT NULL DEFAULT '',
        body BLOB NOT NULL DEFAULT x'',
        PRIMARY KEY (tenant, key)
    ) WITHOUT ROWID""",
    """CREATE INDEX answers_until ON answers (until)""",
    """CREATE TABLE outbox (
        id TEXT PRIMARY KEY,
        body TEXT NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0,
        created INTEGER NOT NULL,
        due INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE INDEX outbox_due ON outbox (due)""",
)


def folder_of(book: str) -> Path:
    """Where the filing of a book lies: beside its file.

    That of a database lies on this machine, among what the user's programs keep, under the
    database's name without who asks.
    """
    if not is_postgres(book):
        return Path(f"{book}.files")
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    name = re.sub(r"[^\w.-]+", "_", public_name(book).removeprefix("postgres://"))
    return Path(state) / "orchestra" / f"{name}.files"


class Filing(Batches, KeptAnswers):
    """What is filed in `folder`; used by any threads of one process, and by several processes."""

    def __init__(self, database: sqlite3.Connection, name: str, folder: Path) -> None:
        super().__init__(database, name, epoch=0, fenced=False)
        self.folder = folder

    @classmethod
    def open(cls, folder: Path | None) -> Self:
        """The filing of `folder`, made when absent; None is one of this process alone.

        Raises `BookError` for a folder of something else, or that cannot be made.
        """
        if folder is None:
            own = Path(tempfile.mkdtemp(prefix="orchestra-files-"))
            filing = cls(_connected(":memory:"), "files of this process", own)
            weakref.finalize(filing, shutil.rmtree, own, ignore_errors=True)
            return filing
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise BookError(
                f"The folder {str(folder)!r} of files cannot be made: {error.strerror}. Make the "
                "folder above it writable, or choose another book."
            ) from error
        name = str(folder / DATABASE)
        return cls(_connected(name), name, folder)

    def close(self) -> None:
        """Close it; a second call does nothing."""
        self._close_database()


def _connected(name: str) -> sqlite3.Connection:
    database = None
    try:
        database = connect(name)
        database.execute("BEGIN IMMEDIATE")
        _prepare(database, name)
        database.execute("COMMIT")
    except BaseException as error:
        if database is not None:
            database.close()
        if isinstance(error, sqlite3.Error):
            raise translated(error, name) from error
        raise
    return database


def _prepare(database: sqlite3.Connection, name: str) -> None:
    application = database.execute("PRAGMA application_id").fetchone()[0]
    version = database.execute("PRAGMA user_version").fetchone()[0]
    if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
        for statement in _TABLES:
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION}")
    elif application != APPLICATION_ID:
        raise BookError(
            f"{name!r} is a sqlite file of another program (application id {application}). Choose "
            "another book, or move that file away."
        )
    elif version != VERSION:
        raise BookFormatMismatch(
            f"{name!r} has format {version}; this release of Orchestra reads format {VERSION}. "
            "Use the release that wrote it, or move its folder away."
        )
