"""A batch's rows with what became of them, as its book has it and people decided."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from orchestra.batch.columns import Columns
from orchestra.batch.decided import RowStanding, Standing
from orchestra.batch.folder import Folder
from orchestra.batch.tables.table import Row, Table
from orchestra.book.journal import FinishedRow
from orchestra.core.job import Result

PENDING, OVER_BUDGET, REJECTED = "pending", "over budget", "rejected"
NOTHING = Result(status="failed")


@dataclass(frozen=True, slots=True)
class OutputRow:
    """An input row with its result; None where the row has not been run.

    The result is that of the models with what people decided, which `standing` holds.
    """

    row: Row
    row_id: str
    result: Result | None
    waits: str = PENDING
    standing: RowStanding | None = None

    @property
    def status(self) -> str:
        """The result's status or `rejected`, or why there is none: pending, or over budget."""
        if self.result is None:
            return self.waits
        is_rejected = self.standing is not None and self.standing.is_rejected
        return REJECTED if is_rejected else self.result.status

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the row is not complete; none of a row that has not been run."""
        own = self.row.error
        told = () if own is None else (f"{own.stage}: {own.message}",)
        return tuple(dict.fromkeys((*told, *self.outcome.reasons)))

    @property
    def is_approved(self) -> bool:
        """Whether a person approved the whole row, and nothing of it is for review since."""
        is_approved = self.standing is not None and self.standing.is_approved
        return is_approved and self.status == "complete"

    @property
    def outcome(self) -> Result:
        """The result, or one without answers."""
        return self.result or NOTHING


def output_rows(
    folder: Folder, table: Table, columns: Columns, limit: int | None = None, waits: str = PENDING
) -> Iterator[OutputRow]:
    """Every input row in order with its result, read as two streams in step."""
    standing = Standing.of(folder.book)
    finished = folder.book.rows()
    record = next(finished, None)
    for row in table.rows():
        if limit is not None and row.ordinal > limit:
            return
        while record is not None and record.ordinal < row.ordinal:
            record = next(finished, None)
        row_id = columns.row_id(row)
        if record is None or record.ordinal != row.ordinal:
            yield OutputRow(row, row_id, None, waits)
            continue
        result = Result.model_validate_json(record.record_json)
        result, decided = standing.applied(record, result), standing.of_record(record, result)
        yield OutputRow(row, row_id, result, waits, decided)


def results_of(out: Path) -> tuple[list[tuple[str, Result]], str | None]:
    """Results of the batch in `out`, with what people decided, by row id; its table's id column.

    Raises `BookError` when it holds no batch.
    """
    folder = Folder.read(out)
    with closing(folder.book):
        standing = Standing.of(folder.book)
        rows = [(row.row_id, standing.applied(row, said)) for row, said in _said(folder)]
        return rows, folder.spec.columns.id


def said_of(out: Path) -> list[tuple[str, Result]]:
    """What models said of the rows of the batch in `out`, by row id, whatever people decided."""
    folder = Folder.read(out)
    with closing(folder.book):
        return [(row.row_id, said) for row, said in _said(folder)]


def _said(folder: Folder) -> Iterator[tuple[FinishedRow, Result]]:
    for row in folder.book.rows():
        yield row, Result.model_validate_json(row.record_json)
