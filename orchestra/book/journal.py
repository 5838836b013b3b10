"""Finished rows, claimed ids and the notes of a job; it knows no call.

A row that waits for a person stands among the finished ones, with that status. A row is inserted in
the transaction that closes its account, so a row is never done without being paid for. Rows are
read page by page, so that memory stays bounded and no read transaction stays open.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from orchestra.book.accounts import Accounts
from orchestra.book.messages import AdmitRows, Candidate, CountAttempt, FinishRow
from orchestra.core.errors import BookError

PAGE_ROWS = 256
FIELDS = "fields"  # the note that lists the names of all fields met
ATTEMPTS = "attempts."  # notes that list the accounts of a row's failed tries, by its key

_TABLE = "(SELECT ifnull(max(state), 0) FROM tables)"  # the state of the table of now
_ROW = """SELECT ordinal, key, finished.row_id, status, record, accounts.id, finished.source,
    version FROM finished JOIN records USING (version)
    LEFT JOIN accounts ON accounts.number = records.account"""


@dataclass(frozen=True, slots=True)
class FinishedRow:
    """A row of the journal; `account` is where its calls stand in the ledger, when it had one.

    `source` tells what its job read, and each record has a `version` of its own.
    """

    ordinal: int
    key: str
    row_id: str
    status: str
    record_json: str
    account: str | None
    source: str
    version: int


class Journal(Accounts):
    """What of a batch is done."""

    def row_by_id(self, row_id: str) -> FinishedRow | None:
        """The finished row with this id; of several, the first in the table."""
        found = self._read_one(
            f"{_ROW} WHERE finished.row_id = ? ORDER BY ordinal LIMIT 1", (row_id,)
        )
        return None if found is None else FinishedRow(*found)

    def rows(
        self, after: int = -1, limit: int | None = None, status: str | None = None
    ) -> Iterator[FinishedRow]:
        """Finished rows with an ordinal above `after`, in ordinal order, at most `limit`.

        With a `status` only those of that one.
        """
        which, of_status = ("", ()) if status is None else (" AND status = ?", (status,))
        query = f"{_ROW} WHERE ordinal > ?{which} ORDER BY ordinal LIMIT ?"
        left = float("inf") if limit is None else limit
        while left > 0 and (
            page := self._read(query, (after, *of_status, int(min(left, PAGE_ROWS))))
        ):
            after, left = page[-1][0], left - len(page)
            for found in page:
                yield FinishedRow(*found)

    @property
    def versions(self) -> int:
        """A number that grows as rows are run and tables come: the same one, the same records."""
        found = self._read_one(
            "SELECT ifnull(max(version), 0) + (SELECT count(*) FROM tables) FROM records"
        )
        return 0 if found is None else int(found[0])

    def records_decided_of(self) -> dict[int, tuple[str, str]]:
        """Record and source, by version, of what decisions are about and stands no longer."""
        found = self._read(
            "SELECT version, record, source FROM records"
            " WHERE version IN (SELECT version FROM decisions)"
            " AND version NOT IN (SELECT version FROM finished)"
        )
        return {version: (record, source) for version, record, source in found}

    def finished_ordinals(self) -> set[int]:
        """Places of all finished rows in the table."""
        return {row[0] for row in self._read("SELECT ordinal FROM finished")}

    def with_errors(self, kinds: Collection[str]) -> dict[str, int]:
        """Places, by key, of the finished rows whose records have an error of these types."""
        found = self._read(
            "SELECT key, ordinal FROM finished JOIN records USING (version)"
            " WHERE status IN ('failed', 'partial') AND EXISTS"
            " (SELECT 1 FROM json_each(record, '$.errors') AS error"
            " WHERE json_extract(error.value, '$.type') IN (SELECT value FROM json_each(?)))"
            " ORDER BY ordinal",
            (json.dumps(sorted(kinds)),),
        )
        return dict(found)

    def attempts(self) -> dict[str, int]:
        """How many tries at rows that are not finished failed while others succeeded, by key."""
        start = f"note.{ATTEMPTS}"
        notes = self._read(
            "SELECT key, json_array_length(value) FROM meta WHERE substr(key, 1, ?) = ?",
            (len(start), start),
        )
        return {key.removeprefix(start): count for key, count in notes}

    def counts(self) -> dict[str, int]:
        """How many rows finished with each status; a status without rows is absent."""
        return dict(self._read("SELECT status, count(*) FROM finished GROUP BY status"))

    def drop_strays(self, prefix: str) -> None:
        """Forget the threads, of names that begin so, that no row waits as.

        A process that died between a question and the row's record leaves such a one.
        """
        with self.transaction():
            self._write(
                "DELETE FROM threads WHERE substr(id, 1, ?) = ? AND id NOT IN (SELECT"
                " ifnull(json_extract(record, '$.thread_id'), '') FROM finished"
                " JOIN records USING (version) WHERE status = 'waiting')",
                (len(prefix), prefix),
            )

    def field_names(self) -> list[str]:
        """The names of the fields of all finished rows, as they were met first."""
        return json.loads(self.meta(FIELDS) or "[]")

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

    def drop_meta(self, key: str) -> None:
        """Forget the note under `key`, if there is one."""
        with self.transaction():
            self._write("DELETE FROM meta WHERE key = ?", (f"note.{key}",))

    def _admit_rows(self, message: AdmitRows) -> list[int | None]:
        keys = json.dumps([row.key for row in message.rows])  # sqlite bounds its parameters
        query = "SELECT key FROM finished WHERE key IN (SELECT value FROM json_each(?))"
        finished = {key for (key,) in self._read(query, (keys,))}
        return [
            None if row.key in finished and not row.again else self._owner(row)
            for row in message.rows
        ]

    def _owner(self, row: Candidate) -> int:
        """The ordinal that has the row's id: the first to claim it."""
        if row.row_id is None:
            return row.ordinal
        self._write(
            "INSERT INTO claims (row_id, ordinal) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (row.row_id, row.ordinal),
        )
        return self._read("SELECT ordinal FROM claims WHERE row_id = ?", (row.row_id,))[0][0]

    def _finish_row(self, row: FinishRow) -> bool:
        self._note_fields(row.names)
        number = None if row.account is None else self._chain(row.account)[0]
        is_first = self._insert_row(row, number)
        if row.account is not None:
            self._close_account(row.account)
        if row.thread is not None:
            self._write("DELETE FROM threads WHERE id = ?", (row.thread,))
        self._write("DELETE FROM meta WHERE key = ?", (f"note.{ATTEMPTS}{row.key}",))
        return is_first

    def _count_attempt(self, message: CountAttempt) -> int:
        note = ATTEMPTS + message.key
        tries = [*json.loads(self.meta(note) or "[]"), message.account]
        tries = list(dict.fromkeys(tries))  # the message may be sent again
        self.set_meta(note, json.dumps(tries))
        return len(tries)

    def _note_fields(self, names: Sequence[str]) -> None:
        if not names:
            return
        known = self.field_names()
        new = [name for name in dict.fromkeys(names) if name not in known]
        if new:
            self.set_meta(FIELDS, json.dumps(known + new))

    def _insert_row(self, row: FinishRow, account: int | None) -> bool:
        """Insert a finished row, or replace its record; False when that stays as it was."""
        taken = self._read(
            "SELECT key, ordinal FROM finished WHERE key = ? OR ordinal = ?", (row.key, row.ordinal)
        )
        if any(key == row.key for key, _ in taken):
            if row.again:
                self._replace_record(row, account)
            return row.again
        if taken:
            raise BookError(
                f"Row {row.ordinal} is finished under key {taken[0][0]!r} and cannot be finished "
                f"as {row.key!r}. Give each row of a table its own ordinal and key."
            )
        self._write(
            "INSERT INTO finished (ordinal, key, row_id, status, source, version, since)"
            f" VALUES (?, ?, ?, ?, ?, ?, {_TABLE})",
            (
                row.ordinal,
                row.key,
                row.row_id,
                row.status,
                row.source,
                self._insert_record(row, account),
            ),
        )
        return True

    def _replace_record(self, row: FinishRow, account: int | None) -> None:
        """Put a new record in the place of one, which is kept where somebody decided of it."""
        before = self._read("SELECT version FROM finished WHERE key = ?", (row.key,))[0][0]
        self._write(
            "UPDATE finished SET status = ?, source = ?, version = ? WHERE key = ?",
            (row.status, row.source, self._insert_record(row, account), row.key),
        )
        self._write(
            "DELETE FROM records WHERE version = ? AND NOT EXISTS (SELECT 1 FROM decisions"
            " WHERE row_id = ? AND version = ?) AND NOT EXISTS (SELECT 1 FROM past"
            " WHERE past.version = records.version)",
            (before, row.row_id, before),
        )

    def _insert_record(self, row: FinishRow, account: int | None) -> int:
        """Keep a record; its version, which no other ever had: the last one is never dropped."""
        inserted = self._write(
            "INSERT INTO records (row_id, account, source, record) VALUES (?, ?, ?, ?)"
            " RETURNING version",
            (row.row_id, account, row.source, row.record_json),
        )
        return int(inserted.fetchone()[0])
