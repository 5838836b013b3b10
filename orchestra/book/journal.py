"""Finished rows, claimed ids and the notes of a job; it knows no money.

Rows are read page by page, so that memory stays bounded and no read transaction stays open.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestra.book.database import Store
from orchestra.core.errors import BookError

PAGE_ROWS = 256
KEYS_A_QUERY = 500  # sqlite's smallest limit of parameters is 999

_ROW = """SELECT finished.ordinal, key, row_id, status, record, accounts.id
    FROM finished LEFT JOIN accounts ON accounts.number = finished.account"""


@dataclass(frozen=True, slots=True)
class Row:
    """One finished row; `account` is where its calls stand in the ledger, when it had one."""

    ordinal: int
    key: str
    row_id: str
    status: str
    record_json: str
    account: str | None


class Journal(Store):
    """What of a batch is done."""

    def row(self, key: str) -> Row | None:
        """The finished row with this key."""
        found = self._read_one(f"{_ROW} WHERE key = ?", (key,))
        return None if found is None else Row(*found)

    def row_by_id(self, row_id: str) -> Row | None:
        """The finished row with this id; of several, the first in the table."""
        found = self._read_one(f"{_ROW} WHERE row_id = ? ORDER BY ordinal LIMIT 1", (row_id,))
        return None if found is None else Row(*found)

    def rows(self, after: int = -1, limit: int | None = None) -> Iterator[Row]:
        """Finished rows with an ordinal above `after`, in ordinal order, at most `limit`."""
        left = float("inf") if limit is None else limit
        while left > 0 and (
            page := self._read(
                f"{_ROW} WHERE ordinal > ? ORDER BY ordinal LIMIT ?",
                (after, int(min(left, PAGE_ROWS))),
            )
        ):
            after, left = page[-1][0], left - len(page)
            for found in page:
                yield Row(*found)

    def is_finished(self, key: str) -> bool:
        """Whether the row with this key is finished."""
        return self._read_one("SELECT 1 FROM finished WHERE key = ?", (key,)) is not None

    def finished_among(self, keys: Sequence[str]) -> set[str]:
        """Those of `keys` whose rows are finished."""
        found: set[str] = set()
        for start in range(0, len(keys), KEYS_A_QUERY):
            some = keys[start : start + KEYS_A_QUERY]
            marks = ", ".join("?" * len(some))
            query = f"SELECT key FROM finished WHERE key IN ({marks})"
            found.update(row[0] for row in self._read(query, some))
        return found

    def finished_ordinals(self) -> set[int]:
        """Places of all finished rows in the table."""
        return {row[0] for row in self._read("SELECT ordinal FROM finished")}

    def counts(self) -> dict[str, int]:
        """How many rows finished with each status; a status without rows is absent."""
        return dict(self._read("SELECT status, count(*) FROM finished GROUP BY status"))

    def claim_id(self, row_id: str, ordinal: int) -> int | None:
        """Claim an id for the row at `ordinal`: None, or the other ordinal that has it already."""
        return self.claim_ids([(row_id, ordinal)])[0]

    def claim_ids(self, claims: Sequence[tuple[str, int]]) -> list[int | None]:
        """Claim several (row id, ordinal) in one transaction; the answers are as `claim_id`'s.

        The first to claim an id owns it, and claiming again what one owns is no conflict, so a
        resumed batch reads its table from the start.
        """
        owners: list[int | None] = []
        with self.transaction():
            for row_id, ordinal in claims:
                self._write(
                    "INSERT INTO claims (row_id, ordinal) VALUES (?, ?) ON CONFLICT DO NOTHING",
                    (row_id, ordinal),
                )
                owner = self._read("SELECT ordinal FROM claims WHERE row_id = ?", (row_id,))[0][0]
                owners.append(None if owner == ordinal else owner)
        return owners

    def meta(self, key: str) -> str | None:
        """The note under `key`, as the job's fingerprint."""
        row = self._read_one("SELECT value FROM meta WHERE key = ?", (f"note.{key}",))
        return None if row is None else row[0]

    def set_meta(self, key: str, value: str) -> None:
        """Write or replace the note under `key`."""
        with self.transaction():
            self._write(
                "INSERT INTO meta (key, value) VALUES (?, ?)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                (f"note.{key}", value),
            )

    def add_names(self, key: str, names: Sequence[str]) -> None:
        """Add to the list of names in the note under `key` those that are not in it."""
        with self.transaction():
            known: list[str] = json.loads(self.meta(key) or "[]")
            new = [name for name in dict.fromkeys(names) if name not in known]
            if new:
                self.set_meta(key, json.dumps(known + new))

    def _insert_row(self, row: Row, account: int | None) -> bool:
        """Insert a finished row; False when its key is finished already."""
        if self.is_finished(row.key):
            return False
        taken = self._read_one("SELECT key FROM finished WHERE ordinal = ?", (row.ordinal,))
        if taken is not None:
            raise BookError(
                f"Row {row.ordinal} is finished under key {taken[0]!r} and cannot be finished as "
                f"{row.key!r}. Give each row of a table its own ordinal and key."
            )
        self._write(
            "INSERT INTO finished (ordinal, key, row_id, status, account, record)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (row.ordinal, row.key, row.row_id, row.status, account, row.record_json),
        )
        return True
