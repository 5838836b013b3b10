"""A batch's rows with what became of them, as its book has it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from orchestra.batch.columns import Columns
from orchestra.batch.folder import Folder
from orchestra.batch.tables.table import Row, Table
from orchestra.core.job import Result

PENDING, OVER_BUDGET = "pending", "over budget"
NOTHING = Result(status="failed")


@dataclass(frozen=True, slots=True)
class OutputRow:
    """An input row with its result; None where the row has not been run."""

    row: Row
    row_id: str
    result: Result | None
    waits: str = PENDING

    @property
    def status(self) -> str:
        """The result's status, or why there is none: pending, or over budget."""
        return self.waits if self.result is None else self.result.status

    @property
    def outcome(self) -> Result:
        """The result, or one without answers."""
        return self.result or NOTHING


def output_rows(
    folder: Folder, table: Table, columns: Columns, limit: int | None = None, waits: str = PENDING
) -> Iterator[OutputRow]:
    """Every input row in order with its result, read as two streams in step."""
    finished = folder.book.rows()
    record = next(finished, None)
    for row in table.rows():
        if limit is not None and row.ordinal > limit:
            return
        while record is not None and record.ordinal < row.ordinal:
            record = next(finished, None)
        result = None
        if record is not None and record.ordinal == row.ordinal:
            result = Result.model_validate_json(record.record_json)
        yield OutputRow(row, columns.row_id(row), result, waits)


def results_of(out: Path) -> tuple[list[tuple[str, Result]], str | None]:
    """Results of the batch in `out` by row id, and the id column of its table.

    Raises `BookError` when it holds no batch.
    """
    folder = Folder.read(out)
    with closing(folder.book):
        rows = [
            (row.row_id, Result.model_validate_json(row.record_json)) for row in folder.book.rows()
        ]
        return rows, folder.spec.columns.id
