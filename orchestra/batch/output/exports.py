"""Writes a batch's tables: products.csv, products.parquet and errors.jsonl.

One pass in bounded memory; it knows no book and no graph. Columns are the input's in order,
then for each field its value, source and confidence, then the status. A list is written as a
JSON array, in both tables.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from orchestra.batch.output.rows import OutputRow
from orchestra.batch.tables.row import STATUS, output_columns
from orchestra.core.atomic import atomic_file
from orchestra.core.errors import InvalidRecipe
from orchestra.core.job import ErrorRecord, Field
from orchestra.core.values import text_of

GROUP_ROWS = 4096
GROUP_CHARS = 32 << 20  # photos may stand in a table's cells
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
NUMBER = re.compile(r"[+-]?\d[\d ., ]*(e[+-]?\d+)?%?", re.IGNORECASE)
ABSENT = Field()


def write_exports(
    folder: Path,
    input_columns: Sequence[str],
    field_names: Sequence[str],
    rows: Iterable[OutputRow],
) -> dict[str, Path]:
    """Write the table, its Parquet and the errors into `folder`; where they are, by these names.

    Each file replaces its predecessor whole.

    Raises InvalidRecipe when two output columns would share a name, `DiskFull`; then the files
    of an earlier run stay as they were.
    """
    outputs = _output_columns(field_names)
    columns = [*_input_names(input_columns, outputs), *outputs]
    paths = [folder / name for name in ("products.csv", "products.parquet", "errors.jsonl")]
    with ExitStack() as stack:
        csv_file, parquet_file, errors_file = (
            stack.enter_context(atomic_file(path)) for path in paths
        )
        text = io.TextIOWrapper(csv_file, "utf-8-sig", newline="", write_through=True)
        stack.callback(text.detach)
        table = csv.writer(text)  # its \r\n endings also make it quote a lone \r
        table.writerow([guarded(name) for name in columns])
        groups = stack.enter_context(_Groups(parquet_file, _schema(columns, field_names)))
        for entry in rows:
            cells = _cells(entry, input_columns, field_names)
            table.writerow([_csv_cell(cell) for cell in cells])
            groups.add(cells)
            for error in _errors(entry):
                errors_file.write(_error_line(entry, error))
    return dict(zip(("table", "parquet", "errors"), paths, strict=True))


def _output_columns(field_names: Sequence[str]) -> list[str]:
    names = output_columns(field_names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidRecipe(
            f"Two output columns would be called {twice[0]!r}: each field also writes "
            f"<field>_source and <field>_confidence, and each row {STATUS!r}. Rename the field."
        )
    return names


def _input_names(input_columns: Sequence[str], outputs: Sequence[str]) -> list[str]:
    """Input column names; one that an output takes becomes input_<name>."""
    taken = {*outputs, *input_columns}
    names: list[str] = []
    for name in input_columns:
        if name in outputs:
            while name in taken:
                name = f"input_{name}"
            taken.add(name)
        names.append(name)
    return names


def _schema(columns: Sequence[str], field_names: Sequence[str]) -> pa.Schema:
    numbers = {f"{name}_confidence" for name in field_names}
    return pa.schema([(name, pa.float64() if name in numbers else pa.string()) for name in columns])


def _cells(
    entry: OutputRow, input_columns: Sequence[str], field_names: Sequence[str]
) -> list[str | float | None]:
    cells: list[str | float | None] = [entry.row.values.get(name, "") for name in input_columns]
    for name in field_names:
        field = entry.outcome.fields.get(name, ABSENT)
        cells += [text_of(field.value), field.source, field.confidence]
    cells.append(entry.status)
    return cells


def _csv_cell(cell: str | float | None) -> str:
    if cell is None:
        return ""
    return guarded(cell) if isinstance(cell, str) else format(cell, ".6g")


def guarded(text: str) -> str:
    """Text that a spreadsheet would run as a formula, behind an apostrophe; numbers stay."""
    if text.startswith(FORMULA) and not NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def unguarded(text: str) -> str:
    """The text that `guarded` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text


def _errors(entry: OutputRow) -> Iterable[ErrorRecord]:
    own, errors = entry.row.error, entry.outcome.errors
    return errors if own is None or own in errors else (own, *errors)


def _error_line(entry: OutputRow, error: ErrorRecord) -> bytes:
    record = {
        "id": entry.row_id,
        "row": entry.row.ordinal,
        "stage": error.stage,
        "type": error.type,
        "message": error.message,
    }
    return (json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "replace")


class _Groups:
    """Gathers rows and writes them as Parquet row groups."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[list[str | float | None]] = []
        self._chars = 0
        self._writer = pq.ParquetWriter(file, schema, compression="zstd")

    def __enter__(self) -> _Groups:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._write()
            self._writer.close()
            return
        with suppress(OSError, pa.ArrowException):  # the file is thrown away
            self._writer.close()

    def add(self, cells: list[str | float | None]) -> None:
        self._rows.append(cells)
        self._chars += sum(len(cell) for cell in cells if isinstance(cell, str))
        if len(self._rows) >= GROUP_ROWS or self._chars >= GROUP_CHARS:
            self._write()

    def _write(self) -> None:
        if not self._rows:
            return
        columns = zip(*self._rows, strict=True)
        arrays = [
            pa.array(column, kind) for column, kind in zip(columns, self._schema.types, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()
        self._chars = 0
