"""The tables of a book, and what tells its format from others; it knows no operation on them.

The invariant `spent + open <= limit + overrun` is a CHECK of the accounts table, so no code path
can break it: only what calls were charged beyond their worst case may lie above a limit. The same
holds of a `ceiling_*`, which a plan foresaw and which such overruns leave as it is.

An entry is a call. `open_*` of an account is what its own entries reserve, what its unheld
children's entries reserve, and what its held children hold and have not spent. `pending` counts the
entries and held children behind `open_*`, because both may be zero-sized.
A `cached` entry is a call that a shared cache answered: it cost nothing, and `saved_*` is what it
would have cost. What is presumed spent is in `spent_*` and, for the report, in `presumed_*` as
well; so is what calls cost beyond their reservation, in `overrun_*`, and by model in `overruns`.
What a row came to is one of the `records`, with the `source` that tells what its job read. A
finished row has the one of its `version`, which stands since the table of the state `since`; one
that stood until that of `until` is `past`.
A thread is had by its `holder` while `held` is the epoch of now: who had it in another one is dead.
"""

from __future__ import annotations

import sqlite3

from orchestra.book.keys.key_tables import KEY_TABLES
from orchestra.core.errors import BookError, BookFormatMismatch

APPLICATION_ID = 0x4F726368  # "Orch", so that another program's sqlite file is refused
VERSION = 10

_TABLES = (
    """CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE accounts (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        parent INTEGER REFERENCES accounts (number),
        label TEXT NOT NULL,
        hold INTEGER NOT NULL CHECK (hold IN (0, 1)),
        closed INTEGER NOT NULL DEFAULT 0 CHECK (closed IN (0, 1)),
        epoch INTEGER NOT NULL,
        limit_micro INTEGER CHECK (limit_micro >= 0),
        limit_tokens INTEGER CHECK (limit_tokens >= 0),
        ceiling_micro INTEGER CHECK (ceiling_micro >= 0),
        ceiling_tokens INTEGER CHECK (ceiling_tokens >= 0),
        spent_micro INTEGER NOT NULL DEFAULT 0 CHECK (spent_micro >= 0),
        spent_tokens INTEGER NOT NULL DEFAULT 0 CHECK (spent_tokens >= 0),
        open_micro INTEGER NOT NULL DEFAULT 0 CHECK (open_micro >= 0),
        open_tokens INTEGER NOT NULL DEFAULT 0 CHECK (open_tokens >= 0),
        pending INTEGER NOT NULL DEFAULT 0 CHECK (pending >= 0),
        presumed_micro INTEGER NOT NULL DEFAULT 0 CHECK (presumed_micro >= 0),
        presumed_calls INTEGER NOT NULL DEFAULT 0 CHECK (presumed_calls >= 0),
        overrun_micro INTEGER NOT NULL DEFAULT 0 CHECK (overrun_micro >= 0),
        overrun_tokens INTEGER NOT NULL DEFAULT 0 CHECK (overrun_tokens >= 0),
        CHECK (limit_micro IS NULL OR spent_micro + open_micro <= limit_micro + overrun_micro),
        CHECK (limit_tokens IS NULL OR spent_tokens + open_tokens <= limit_tokens + overrun_tokens),
        CHECK (ceiling_micro IS NULL OR spent_micro + open_micro <= ceiling_micro + overrun_micro),
        CHECK (ceiling_tokens IS NULL
            OR spent_tokens + open_tokens <= ceiling_tokens + overrun_tokens),
        CHECK (presumed_micro <= spent_micro),
        CHECK (overrun_micro <= spent_micro AND overrun_tokens <= spent_tokens),
        CHECK (closed = 0 OR (pending = 0 AND open_micro = 0 AND open_tokens = 0)),
        CHECK (hold = 0 OR coalesce(limit_micro, limit_tokens, ceiling_micro, ceiling_tokens)
            IS NOT NULL)
    )""",
    """CREATE INDEX accounts_held ON accounts (epoch) WHERE hold = 1 AND closed = 0""",
    """CREATE TABLE entries (
        number INTEGER PRIMARY KEY,
        account INTEGER NOT NULL REFERENCES accounts (number),
        epoch INTEGER NOT NULL,
        state TEXT NOT NULL
            CHECK (state IN ('dispatched', 'settled', 'released', 'presumed')),
        node TEXT NOT NULL,
        model TEXT NOT NULL,
        key TEXT NOT NULL,
        uid TEXT NOT NULL UNIQUE,
        reserved_micro INTEGER NOT NULL CHECK (reserved_micro >= 0),
        reserved_tokens INTEGER NOT NULL CHECK (reserved_tokens >= 0),
        cost_micro INTEGER NOT NULL DEFAULT 0 CHECK (cost_micro >= 0),
        tokens INTEGER NOT NULL DEFAULT 0 CHECK (tokens >= 0),
        overrun_micro INTEGER NOT NULL DEFAULT 0
            CHECK (overrun_micro = max(0, cost_micro - reserved_micro)),
        overrun_tokens INTEGER NOT NULL DEFAULT 0
            CHECK (overrun_tokens = max(0, tokens - reserved_tokens)),
        cpu_s REAL NOT NULL DEFAULT 0 CHECK (cpu_s >= 0),
        measured TEXT,
        day TEXT NOT NULL,
        cached INTEGER NOT NULL DEFAULT 0 CHECK (cached IN (0, 1)),
        saved_micro INTEGER NOT NULL DEFAULT 0 CHECK (saved_micro >= 0),
        saved_tokens INTEGER NOT NULL DEFAULT 0 CHECK (saved_tokens >= 0)
    )""",
    """CREATE INDEX entries_account ON entries (account)""",
    """CREATE INDEX entries_open ON entries (epoch) WHERE state = 'dispatched'""",
    # By account and model, in the call's account and all above it.
    """CREATE TABLE overruns (
        account INTEGER NOT NULL REFERENCES accounts (number),
        model TEXT NOT NULL,
        calls INTEGER NOT NULL,
        micro INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        PRIMARY KEY (account, model)
    ) WITHOUT ROWID""",
    # What calls came to in all; they only grow, whatever becomes of the entries.
    """CREATE TABLE totals (
        model TEXT NOT NULL,
        state TEXT NOT NULL,
        calls INTEGER NOT NULL,
        micro INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        overrun_micro INTEGER NOT NULL,
        saved_micro INTEGER NOT NULL,
        PRIMARY KEY (model, state)
    ) WITHOUT ROWID""",
    """CREATE TABLE replies (
        key TEXT PRIMARY KEY,
        entry INTEGER NOT NULL REFERENCES entries (number),
        reply TEXT NOT NULL
    )""",
    """CREATE TABLE records (
        version INTEGER PRIMARY KEY,
        row_id TEXT NOT NULL,
        account INTEGER REFERENCES accounts (number),
        source TEXT NOT NULL,
        record TEXT NOT NULL
    )""",
    """CREATE TABLE finished (
        ordinal INTEGER PRIMARY KEY,
        key TEXT NOT NULL UNIQUE,
        row_id TEXT NOT NULL,
        status TEXT NOT NULL,
        source TEXT NOT NULL,
        version INTEGER NOT NULL UNIQUE REFERENCES records (version),
        since INTEGER NOT NULL
    )""",
    """CREATE INDEX finished_row_id ON finished (row_id, ordinal, version)""",
    """CREATE INDEX finished_status ON finished (status)""",
    """CREATE TABLE past (
        ordinal INTEGER NOT NULL,
        row_id TEXT NOT NULL,
        status TEXT NOT NULL,
        source TEXT NOT NULL,
        version INTEGER NOT NULL REFERENCES records (version),
        since INTEGER NOT NULL,
        until INTEGER NOT NULL CHECK (until > since)
    )""",
    """CREATE INDEX past_row_id ON past (row_id, source)""",
    """CREATE INDEX past_version ON past (version)""",
    # Both only grow, and take their numbers from one count.
    """CREATE TABLE tables (
        state INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        about TEXT NOT NULL
    )""",
    """CREATE TABLE decisions (
        id INTEGER PRIMARY KEY,
        row_id TEXT NOT NULL,
        field TEXT,
        action TEXT NOT NULL CHECK (action IN ('edit', 'approve', 'reject', 'skip')),
        value TEXT CHECK ((value IS NULL) = (action <> 'edit')),
        by TEXT NOT NULL CHECK (by <> ''),
        at TEXT NOT NULL,
        why TEXT NOT NULL,
        grp TEXT,
        undoes INTEGER REFERENCES decisions (id) CHECK (undoes < id),
        version INTEGER NOT NULL,
        CHECK (action <> 'edit' OR field IS NOT NULL)
    )""",
    """CREATE INDEX decisions_row_id ON decisions (row_id, version)""",
    """CREATE INDEX decisions_grp ON decisions (grp) WHERE grp IS NOT NULL""",
    """CREATE TRIGGER decisions_stay BEFORE UPDATE ON decisions
        BEGIN SELECT raise(ABORT, 'a decision is never changed'); END""",
    """CREATE TRIGGER decisions_are_kept BEFORE DELETE ON decisions
        BEGIN SELECT raise(ABORT, 'a decision is never deleted'); END""",
    """CREATE TABLE claims (row_id TEXT PRIMARY KEY, ordinal INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE threads (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        account TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('left', 'waiting')),
        about TEXT NOT NULL,
        record TEXT NOT NULL,
        version INTEGER NOT NULL DEFAULT 1,
        holder TEXT NOT NULL,
        held INTEGER NOT NULL
    )""",
    """CREATE TABLE thread_photos (
        thread INTEGER NOT NULL REFERENCES threads (number) ON DELETE CASCADE,
        key TEXT NOT NULL,
        photo BLOB NOT NULL,
        PRIMARY KEY (thread, key)
    ) WITHOUT ROWID""",
    # Entries that were folded; `account` is who paid for their jobs, or 0.
    """CREATE TABLE sums (
        day TEXT NOT NULL,
        model TEXT NOT NULL,
        node TEXT NOT NULL,
        label TEXT NOT NULL,
        graph TEXT NOT NULL,
        account INTEGER NOT NULL,
        calls INTEGER NOT NULL,
        hits INTEGER NOT NULL,
        tokens INTEGER NOT NULL,
        micro INTEGER NOT NULL,
        more_micro INTEGER NOT NULL,
        overrun_micro INTEGER NOT NULL,
        presumed_micro INTEGER NOT NULL,
        saved_micro INTEGER NOT NULL,
        PRIMARY KEY (day, model, node, label, graph, account)
    ) WITHOUT ROWID""",
    # Corrections of prices stand beside the entries, which stay as they were booked.
    """CREATE TABLE corrections (
        number INTEGER PRIMARY KEY,
        at TEXT NOT NULL,
        model TEXT NOT NULL,
        reason TEXT NOT NULL CHECK (reason <> ''),
        price TEXT NOT NULL,
        scaled INTEGER NOT NULL CHECK (scaled >= 0),
        folded_calls INTEGER NOT NULL DEFAULT 0,
        folded_micro INTEGER NOT NULL DEFAULT 0
    )""",
    """CREATE TABLE corrected (
        correction INTEGER NOT NULL REFERENCES corrections (number),
        entry INTEGER NOT NULL REFERENCES entries (number),
        more_micro INTEGER NOT NULL,
        PRIMARY KEY (entry, correction)
    ) WITHOUT ROWID""",
)


def all_tables() -> tuple[str, ...]:
    """The statements that make a book's tables, in sqlite's words."""
    return (*_TABLES, *KEY_TABLES)


def prepare(database: sqlite3.Connection, target: str) -> None:
    """Create the tables in an empty database, or check that they are a book's; in a transaction.

    Raises `BookError` for another program's file, `BookFormatMismatch` for a book of another
    version, which is left as it is.
    """
    version = database.execute("PRAGMA user_version").fetchone()[0]
    application = database.execute("PRAGMA application_id").fetchone()[0]
    tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables == 0:
        for statement in all_tables():
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {VERSION}")
    elif application != APPLICATION_ID:
        raise BookError(
            f"{target!r} is a sqlite file of another program (application id {application}). "
            f"Choose another output folder."
        )
    elif version != VERSION:
        raise BookFormatMismatch(
            f"The book {target!r} has format {version}; this release of Orchestra reads format "
            f"{VERSION}. Open it with the release that wrote it, or take a new output folder or "
            "file and run again."
        )
