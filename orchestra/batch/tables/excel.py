"""Reads an Excel workbook row by row, each cell as text.

The first sheet that has a header and rows is read, and named. A number in a format of zeros keeps
them: 123 shown as 00123 is 00123.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from typing import Any

from openpyxl import load_workbook
from openpyxl.utils.exceptions import InvalidFileException

from orchestra.batch.tables.cells import as_meant
from orchestra.batch.tables.dialect import SAMPLE_RECORDS, banners_of
from orchestra.batch.tables.row import Row, Table, named, row_error
from orchestra.batch.tables.source import Source
from orchestra.batch.tables.template import is_template
from orchestra.core.errors import InvalidTable

ZEROS = re.compile(r"0+")
FAULTS = frozenset(("#N/A", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#SPILL!"))
MOST_BLANK_ROWS = 1000  # a sheet that was formatted to its end has a million of them


class ExcelTable(Table):
    """A sheet of an .xlsx or .xlsm file. Raises InvalidTable when none has a header and rows."""

    def __init__(self, source: Source) -> None:
        self.path = source.path
        self._source = source
        self.fingerprint = source.content_hash()
        with self._book() as book:
            names = list(book.sheetnames)
            tables = [name for name in names if self._is_table(book, name)]
            # A template of Amazon has sheets that explain it before its own.
            own = (name for name in tables if is_template(next(_filled(book[name]))[1]))
            self._sheet = next(own, "".join(tables[:1]))
            if not self._sheet:
                raise InvalidTable(
                    f"Table {str(self.path)!r} is empty: none of its sheets "
                    f"({', '.join(names[:10])}) has a header and a row below it."
                )
            found = [cells for _, cells in islice(self._filled(book), SAMPLE_RECORDS)]
        above = banners_of(found)
        self._above = len(above)
        self.written = tuple(found[self._above])
        self.columns = named(self.written, str(self.path))
        self._count: int | None = None
        others = [name for name in names if name != self._sheet]
        self.told = (f"Excel, sheet {self._sheet!r}", *_told(above, others))

    def rows(self) -> Iterator[Row]:
        """Rows one at a time; a blank one is none. One with a fault of a formula has an error."""
        with self._book() as book:
            found = islice(self._filled(book), self._above + 1, None)
            for ordinal, (line, cells) in enumerate(found, 1):
                yield self._row(ordinal, line, cells)

    def count(self) -> int:
        """How many rows the sheet has; it is read for that."""
        if self._count is None:
            with self._book() as book:
                self._count = sum(1 for _ in self._filled(book)) - self._above - 1
        return self._count

    def _row(self, ordinal: int, line: int, cells: list[str]) -> Row:
        width, error = len(self.columns), None
        values = dict(zip(self.columns, cells + [""] * (width - len(cells)), strict=False))
        extra = next(filter(str.strip, cells[width:]), None)
        fault = next((name for name, value in values.items() if value in FAULTS), None)
        if extra is not None:
            error = (
                f"Row {ordinal} (line {line}) has a cell right of the last column of the header: "
                f"{extra[:40]!r}. Give its column a name."
            )
        elif fault is not None:
            error = (
                f"Row {ordinal} (line {line}) holds {values[fault]} in column {fault!r}: its "
                "formula failed. Mend it, or put a value there."
            )
        return Row(ordinal, values, row_error(error) if error else None)

    def _filled(self, book: Any) -> Iterator[tuple[int, list[str]]]:
        """Rows with something in them, with their numbers in the sheet."""
        return _filled(book[self._sheet])

    def _is_table(self, book: Any, name: str) -> bool:
        return hasattr(book[name], "iter_rows") and len(list(islice(_filled(book[name]), 2))) == 2

    @contextmanager
    def _book(self) -> Iterator[Any]:
        with self._source.seekable() as file:
            try:
                book = load_workbook(file, read_only=True, data_only=True)
            except (InvalidFileException, KeyError, ValueError, OSError, EOFError) as error:
                raise InvalidTable(
                    f"Table {str(self.path)!r} is a damaged Excel workbook ({error}). Save it "
                    "again, or export it as 'CSV UTF-8'."
                ) from error
            try:
                yield book
            finally:
                book.close()


def _told(above: Sequence[str], others: Sequence[str]) -> Iterator[str]:
    if above:
        yield f"left out above the header: {'; '.join(repr(text[:60]) for text in above[:3])}"
    if others:
        yield f"not read: the sheet{'s' * (len(others) > 1)} {', '.join(map(repr, others[:5]))}"


def _filled(sheet: Any) -> Iterator[tuple[int, list[str]]]:
    blank = 0
    for line, row in enumerate(sheet.iter_rows(), 1):
        cells = [_text(cell) for cell in row]
        while cells and not cells[-1].strip():
            cells.pop()
        if cells:
            blank = 0
            yield line, cells
        else:
            blank += 1
            if blank > MOST_BLANK_ROWS:
                return


def _text(cell: Any) -> str:
    """What a person sees in a cell, with all digits that it holds."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, str):
        return as_meant(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime.datetime):
        is_day = value.time() == datetime.time()
        return value.date().isoformat() if is_day else value.isoformat(" ")
    if isinstance(value, float | int | Decimal):
        return _number(value, str(cell.number_format))
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _number(value: float | int | Decimal, shape: str) -> str:
    if isinstance(value, float):
        value = int(value) if value.is_integer() and abs(value) < 2**63 else value
    if isinstance(value, int) and ZEROS.fullmatch(shape):
        return str(value).zfill(len(shape))
    return str(value)
