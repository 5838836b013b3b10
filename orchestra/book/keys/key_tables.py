"""The tables of tenants, keys, their budgets' days and alerts in a book.

A key's secret is 256 random bits, so its SHA-256 tells nothing of it and no slow hash is needed.
"""

from __future__ import annotations

KEY_TABLES = (
    """CREATE TABLE tenants (name TEXT PRIMARY KEY, made TEXT NOT NULL, terms TEXT NOT NULL)
        WITHOUT ROWID""",
    """CREATE TABLE keys (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL REFERENCES tenants (name),
        made TEXT NOT NULL,
        terms TEXT NOT NULL,
        expires TEXT,
        revoked TEXT,
        digest BLOB NOT NULL,
        old_digest BLOB NOT NULL,
        old_until TEXT
    ) WITHOUT ROWID""",
    # By account of a month: what it had spent when the day began.
    """CREATE TABLE budget_days (
        account TEXT PRIMARY KEY,
        month TEXT NOT NULL,
        day TEXT NOT NULL,
        base_micro INTEGER NOT NULL CHECK (base_micro >= 0)
    ) WITHOUT ROWID""",
    """CREATE INDEX budget_days_month ON budget_days (month)""",
    # A webhook for each share of a budget and period, kept so that it is sent once.
    """CREATE TABLE alerts (
        id TEXT PRIMARY KEY,
        tenant TEXT NOT NULL,
        body TEXT NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0,
        next_at TEXT NOT NULL,
        sent TEXT
    ) WITHOUT ROWID""",
)
