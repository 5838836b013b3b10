"""Batches of requests and what their lines came to: each line is recorded once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from orchestra.book.database import Database
from orchestra.book.filing.entries import (
    OVER,
    BatchCounts,
    BatchStatus,
    FiledBatch,
    FiledFile,
    LineOutcome,
    LineUse,
)
from orchestra.book.filing.files import Files, page_of
from orchestra.book.filing.outbox import Outbox
from orchestra.core.errors import BatchesFull

_COLUMNS = (
    "id, tenant, key, weight, endpoint, input_file, completion, created, expires, status, metadata,"
    " times, total, output_file, error_file, problems"
)
_FIELDS = [column.replace("completion", "window") for column in _COLUMNS.split(", ")]
_OVER = ", ".join(f"'{status}'" for status in OVER)
PAGE = 500


class Batches(Files, Outbox, Database):
    """The batches of a filing."""

    def add_batch(self, batch: FiledBatch, *, most_open: int) -> None:
        """Note a batch. Raises `BatchesFull` where that many of the tenant are open."""
        with self.transaction():
            row = self._read_one(
                f"SELECT count(*) FROM batches WHERE tenant = ? AND status NOT IN ({_OVER})",
                (batch.tenant,),
            )
            if row is not None and row[0] >= most_open:
                raise BatchesFull(
                    f"{row[0]} batches are under way, and at most {most_open} may be. Wait until "
                    "one ends, or cancel one (POST /v1/batches/ID/cancel)."
                )
            self._write(
                f"INSERT INTO batches ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                " ?, ?, ?)",
                (
                    *(batch.id, batch.tenant, batch.key, batch.weight, batch.endpoint),
                    *(batch.input_file, batch.window, batch.created, batch.expires, batch.status),
                    *(json.dumps(dict(batch.metadata)), json.dumps(dict(batch.times)), batch.total),
                    *(batch.output_file, batch.error_file, json.dumps(batch.problems)),
                ),
            )

    def batch(self, id: str, tenant: str | None = None) -> FiledBatch | None:
        """The batch of that name, of `tenant` or of anybody."""
        row = self._read_one(
            f"SELECT {_COLUMNS} FROM batches WHERE id = ? AND (? IS NULL OR tenant = ?)",
            (id, tenant, tenant),
        )
        return None if row is None else _batch(row)

    def list_batches(self, tenant: str, *, after: str | None, limit: int) -> list[FiledBatch]:
        """At most `limit` of the tenant's batches, the newest first, those behind `after`."""
        where, parameters = page_of("batches", tenant, after, newest=True)
        rows = self._read(
            f"SELECT {_COLUMNS} FROM batches WHERE {where} ORDER BY number DESC LIMIT ?",
            [*parameters, limit],
        )
        return [_batch(row) for row in rows]

    def open_batches(self) -> list[str]:
        """The batches of all tenants that have not come to their end, the first first."""
        rows = self._read(f"SELECT id FROM batches WHERE status NOT IN ({_OVER}) ORDER BY number")
        return [row[0] for row in rows]

    def move_batch(
        self, id: str, status: BatchStatus, now: int, *, total: int | None = None
    ) -> FiledBatch | None:
        """Have it come to `status`; one that is over, or is being cancelled, stays as it is.

        How many lines it has, its `total`, is noted all the same.
        """
        with self.transaction():
            found = self.batch(id)
            if found is None or found.is_over:
                return found
            times = {**found.times, status: now}
            if found.status == "cancelling":
                status, times = found.status, dict(found.times)
            self._write(
                "UPDATE batches SET status = ?, times = ?, total = coalesce(?, total) WHERE id = ?",
                (status, json.dumps(times), total, id),
            )
        return self.batch(id)

    def end_batch(
        self,
        id: str,
        status: BatchStatus,
        now: int,
        *,
        files: Sequence[FiledFile] = (),
        output_file: str | None = None,
        error_file: str | None = None,
        problems: Sequence[dict[str, Any]] = (),
        message: str | None = None,
    ) -> None:
        """End it, once, with its files and the `message` that tells of it, all or nothing."""
        with self.transaction():
            found = self.batch(id)
            if found is None or found.is_over:
                return
            for file in files:
                self._insert_file(file)
            self._write(
                "UPDATE batches SET status = ?, times = ?, output_file = ?, error_file = ?,"
                " problems = ? WHERE id = ?",
                (
                    *(status, json.dumps({**found.times, status: now}), output_file, error_file),
                    *(json.dumps(list(problems)), id),
                ),
            )
            if message is not None:
                self.post(message, now)

    def note_line(self, batch: str, done: LineOutcome) -> bool:
        """Record what a line came to; False where it was recorded before, which stays."""
        with self.transaction():
            written = self._write(
                "INSERT OR IGNORE INTO lines (batch, line, failed, outcome, sent, cached, written)"
                " SELECT number, ?, ?, ?, ?, ?, ? FROM batches WHERE id = ?",
                (
                    *(done.line, done.is_failed, done.outcome),
                    *(done.use.sent, done.use.cached, done.use.written, batch),
                ),
            )
        return bool(written.rowcount)

    def lines_done(self, batch: str) -> set[int]:
        """The lines that are recorded."""
        rows = self._read(
            "SELECT line FROM lines WHERE batch = (SELECT number FROM batches WHERE id = ?)",
            (batch,),
        )
        return {row[0] for row in rows}

    def outcomes(self, batch: str, *, is_failed: bool) -> Iterator[str]:
        """What its lines came to, in their order."""
        last = -1
        while True:
            rows = self._read(
                "SELECT line, outcome FROM lines WHERE batch = (SELECT number FROM batches"
                " WHERE id = ?) AND failed = ? AND line > ? ORDER BY line LIMIT ?",
                (batch, is_failed, last, PAGE),
            )
            yield from (outcome for _, outcome in rows)
            if len(rows) < PAGE:
                return
            last = rows[-1][0]

    def counts(self, batch: str) -> BatchCounts:
        """How its lines stand."""
        rows = self._read(
            "SELECT failed, count(*), sum(sent), sum(cached), sum(written) FROM lines WHERE"
            " batch = (SELECT number FROM batches WHERE id = ?) GROUP BY failed",
            (batch,),
        )
        many = {bool(row[0]): row[1] for row in rows}
        use = LineUse(*(sum(row[at] for row in rows) for at in (2, 3, 4)))
        return BatchCounts(many.get(False, 0), many.get(True, 0), use)


def _batch(row: Sequence[Any]) -> FiledBatch:
    values = dict(zip(_FIELDS, row, strict=True))
    for name in ("metadata", "times"):
        values[name] = json.loads(values[name])
    values["problems"] = tuple(json.loads(values["problems"]))
    return FiledBatch(**values)
