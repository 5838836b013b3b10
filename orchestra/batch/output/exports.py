"""Writes a batch's tables: products.csv, products.parquet and errors.jsonl.

One pass in bounded memory; it knows no book and no graph. Columns are the input's in order,
then for each field its value, source and confidence, then the status and why; before that what
people decided of the row, where they decided anything. A list is written as a JSON array, in both
tables.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from orchestra.batch.decided import told
from orchestra.batch.output.rows import OutputRow
from orchestra.batch.tables.row import DECIDED, REASONS, STATUS, output_columns
from orchestra.core.errors import InvalidRecipe
from orchestra.core.files.atomic import atomic_file
from orchestra.core.job import ErrorRecord, Field
from orchestra.core.values import text_of

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
NUMBER = re.compile(r"[+-]?\d[\d ., ]*(e[+-]?\d+)?%?", re.IGNORECASE)
ABSENT = Field()


def write_exports(
    folder: Path,
    input_columns: Sequence[str],
    field_names: Sequence[str],
    rows: Iterable[OutputRow],
    *,
    decided: bool = False,
) -> dict[str, Path]:
    """Write the table, its Parquet and the errors into `folder`; where they are, by these names.

    `decided` adds the column that says who decided what of a row, when and why.
    There is no Parquet where the extra `parquet` is not installed. Each file replaces its
    predecessor whole.

    Raises InvalidRecipe when two output columns would share a name, `DiskFull`; then the files
    of an earlier run stay as they were.
    """
    outputs = _output_columns(field_names, decided)
    columns = [*input_names(input_columns, outputs), *outputs]
    paths = {"table": folder / "products.csv", "errors": folder / "errors.jsonl"}
    with ExitStack() as stack:
        csv_file, errors_file = (stack.enter_context(atomic_file(path)) for path in paths.values())
        text = io.TextIOWrapper(csv_file, "utf-8-sig", newline="", write_through=True)
        stack.callback(text.detach)
        table = csv.writer(text)  # its \r\n endings also make it quote a lone \r
        table.writerow([guarded(name) for name in columns])
        groups = None
        row_groups = _row_groups()
        if row_groups is not None:
            paths["parquet"] = folder / "products.parquet"
            file = stack.enter_context(atomic_file(paths["parquet"]))
            numbers = {f"{name}_confidence" for name in field_names}
            groups = stack.enter_context(row_groups(file, columns, numbers))
        for entry in rows:
            cells = _cells(entry, input_columns, field_names, decided)
            table.writerow([_csv_cell(cell) for cell in cells])
            if groups is not None:
                groups.add(cells)
            for error in _errors(entry):
                errors_file.write(_error_line(entry, error))
    return {name: paths[name] for name in ("table", "parquet", "errors") if name in paths}


def _row_groups() -> Callable[..., Any] | None:
    """What writes Parquet, where the extra `parquet` is installed."""
    try:
        from orchestra.batch.output.parquet import RowGroups
    except ModuleNotFoundError:
        return None
    return RowGroups


def _output_columns(field_names: Sequence[str], decided: bool) -> list[str]:
    names = output_columns(field_names, decided=decided)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidRecipe(
            f"Two output columns would be called {twice[0]!r}: each field also writes "
            f"<field>_source and <field>_confidence, and each row {STATUS!r}, {REASONS!r} and, "
            f"once somebody decided of one, {DECIDED!r}. Rename the field."
        )
    return names


def input_names(input_columns: Sequence[str], outputs: Sequence[str]) -> list[str]:
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


def _cells(
    entry: OutputRow, input_columns: Sequence[str], field_names: Sequence[str], decided: bool
) -> list[str | float | None]:
    cells: list[str | float | None] = [entry.row.values.get(name, "") for name in input_columns]
    for name in field_names:
        field = entry.outcome.fields.get(name, ABSENT)
        cells += [text_of(field.value), field.source, field.confidence]
    own = [entry.status, " | ".join(entry.reasons)]
    return [*cells, _decided(entry), *own] if decided else [*cells, *own]


def _decided(entry: OutputRow) -> str:
    """Who decided what of a row, when and why: of the row as a whole, then of its fields."""
    standing = entry.standing
    if standing is None:
        return ""
    whole = [] if standing.row is None else [f"row: {told(standing.row)}"]
    fields = [f"{name}: {told(one)}" for name, one in standing.fields.items()]
    return "; ".join(whole + fields)


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
