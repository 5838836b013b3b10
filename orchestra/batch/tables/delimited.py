"""Reads CSV and TSV row by row in bounded memory; it knows no column's meaning.

A damaged row costs itself only: when a quote is never closed, reading takes up again on the
line after the one where the quote was opened.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from itertools import chain, islice, repeat
from pathlib import Path
from typing import NamedTuple, TextIO

from orchestra.batch.tables.encodings import scan
from orchestra.batch.tables.row import Row, Table, named, row_error
from orchestra.core.errors import InvalidTable

DELIMITERS = ",;\t"
SAMPLE_RECORDS = 50
MAX_RECORD_CHARS = 4 << 20


class DelimitedTable(Table):
    """A CSV or TSV file. Raises InvalidTable without a header or without rows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # The csv module's own limit is 131,072 characters and belongs to the process.
        csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_CHARS + 1))
        found = scan(path)
        self._encoding = found.encoding
        self.fingerprint = found.fingerprint
        self._delimiter = self._sniff()
        with self._file() as file:
            records = _records(file, self._delimiter)
            header = next(records, None)
            if header is None or not any(map(str.strip, header.cells)):
                raise InvalidTable(
                    f"Table {str(path)!r} is empty: it has no header. Name its columns in the "
                    "first line and put one product a line below."
                )
            if header.error:
                raise InvalidTable(f"Table {str(path)!r}: the header is damaged: {header.error}")
            self.columns = named(header.cells, str(path))
            if next(records, None) is None:
                raise InvalidTable(
                    f"Table {str(path)!r} is empty: it has a header ({', '.join(self.columns)}) "
                    "and no rows. Put one product a line below the header."
                )

    def rows(self) -> Iterator[Row]:
        """Rows one at a time; a damaged one has an error."""
        with self._file() as file:
            records = _records(file, self._delimiter)
            next(records)
            for ordinal, record in enumerate(records, 1):
                yield self._row(ordinal, record)

    def count(self) -> int:
        """How many rows the file has; it is read for that."""
        with self._file() as file:
            return sum(1 for _ in _records(file, self._delimiter)) - 1

    def _row(self, ordinal: int, record: _Record) -> Row:
        cells, width = record.cells, len(self.columns)
        extra = cells[width:]
        error = record.error
        if error is None and any(extra):
            error = (
                f"Row {ordinal} has {len(cells)} cells and the header {width}; the first extra "
                f"one is {next(filter(None, extra))[:40]!r}. Put cells that hold "
                f"{self._delimiter!r} in double quotes."
            )
        values = dict(zip(self.columns, chain(cells, repeat("")), strict=False))
        nul = next((name for name, value in values.items() if "\0" in value), None)
        if nul is not None:
            values = {name: value.replace("\0", "") for name, value in values.items()}
            error = error or (
                f"Row {ordinal} holds a NUL byte in column {nul!r}, so the file is damaged "
                "there. Export the row again."
            )
        return Row(ordinal, values, row_error(error) if error else None)

    def _file(self) -> TextIO:
        return self.path.open(encoding=self._encoding, newline="")

    def _sniff(self) -> str:
        """The delimiter whose records agree best with a header of several columns."""
        preferred = "\t,;" if self.path.suffix.lower() == ".tsv" else DELIMITERS
        best, best_score = preferred[0], (0.0, 0)
        for delimiter in preferred:
            with self._file() as file:
                sample = islice(_records(file, delimiter), SAMPLE_RECORDS)
                widths = [len(record.cells) for record in sample]
            if widths and widths[0] > 1:
                agreeing = sum(width == widths[0] for width in widths) / len(widths)
                if (agreeing, widths[0]) > best_score:
                    best, best_score = delimiter, (agreeing, widths[0])
        return best


class _Record(NamedTuple):
    """The cells of one record, and why they are not to be trusted."""

    cells: list[str]
    error: str | None = None


class _TooLong(Exception):
    """A record passed MAX_RECORD_CHARS."""


class _Lines:
    """Lines of a file, kept until their record is complete so that they can be read again."""

    def __init__(self, file: TextIO) -> None:
        self.taken: list[str] = []
        self.number = 0
        self._file = file
        self._again: deque[str] = deque()
        self._size = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._file.readline(MAX_RECORD_CHARS)
        if not line:
            raise StopIteration
        self.number += 1
        self.taken.append(line)
        self._size += len(line)
        if self._size >= MAX_RECORD_CHARS:
            if not line.endswith("\n"):
                self._skip_line()
            raise _TooLong
        return line

    def next_record(self) -> None:
        self.taken.clear()
        self._size = 0

    def back_to_second(self) -> None:
        """Put back all lines of the record but its first."""
        self._again.extendleft(reversed(self.taken[1:]))
        self.number -= len(self.taken) - 1
        del self.taken[1:]

    def _skip_line(self) -> None:
        while (rest := self._file.readline(MAX_RECORD_CHARS)) and not rest.endswith("\n"):
            pass


def _records(file: TextIO, delimiter: str) -> Iterator[_Record]:
    """Each record that is not a blank line."""
    lines = _Lines(file)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        lines.next_record()
        first = lines.number + 1
        try:
            cells = next(reader, None)
        except (csv.Error, _TooLong) as error:
            yield _repaired(lines, first, delimiter, error)
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
            continue
        if cells is None:
            return
        if cells:
            yield _Record(cells)


def _repaired(lines: _Lines, first: int, delimiter: str, error: Exception) -> _Record:
    """What can be kept of the record that begins on line `first`."""
    single = len(lines.taken) == 1 and isinstance(error, csv.Error)
    lines.back_to_second()
    line = lines.taken[0][: MAX_RECORD_CHARS - 1]
    cells = next(csv.reader(io.StringIO(line, newline=""), delimiter=delimiter), [])
    if isinstance(error, _TooLong):
        return _Record(
            cells,
            f"The record on line {first} is longer than {MAX_RECORD_CHARS:,} characters; "
            "perhaps a double quote is not closed. Close it, or shorten the cell.",
        )
    if single and "unexpected end" not in str(error):
        return _Record(cells)  # a stray quote inside one line: read it as Excel does
    return _Record(
        cells,
        f"A double quote opened on line {first} is not closed as it should be ({error}). "
        "Close it, and double each quote inside a quoted cell.",
    )
