"""Cuts delimited text into records, line by line in bounded memory; it knows no header.

A damaged record costs itself only: when a quote is never closed, reading takes up again on the
line after the one where the quote was opened.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple, TextIO

MAX_RECORD_CHARS = 4 << 20
ROWS_INSIDE = "it runs over lines that are rows of their own"
NO_DELIMITER = "\x1f"  # of a table of one column
END_OF_FILE = "\x1a"  # how DOS ended a text
BACKSLASHED = re.compile(r'\\([\\"])')
# The csv module's own limit is 131,072 characters and belongs to the process.
csv.field_size_limit(max(csv.field_size_limit(), MAX_RECORD_CHARS + 1))


@dataclass(frozen=True, slots=True)
class Dialect:
    """How cells are told apart: what stands between them, and what a quote means.

    Quotes are `doubled` inside a quoted cell, `escaped` by a backslash, or mean `nothing`.
    With `spaced` a space after a delimiter belongs to no cell. With `wrapped` each line is quoted
    whole, as by a program that took it for one cell.
    """

    delimiter: str
    quotes: Literal["doubled", "escaped", "nothing"] = "doubled"
    spaced: bool = False
    wrapped: bool = False


class Record(NamedTuple):
    """The cells of one record, the line it begins on, and why they are not to be trusted.

    `raw` is its text as it stands in the file; `is_mended`, that it breaks the rules of quotes and
    was read as it seems to be meant.
    """

    cells: list[str]
    line: int
    raw: str
    error: str | None = None
    is_mended: bool = False


class _TooLong(Exception):
    """A record passed MAX_RECORD_CHARS."""


class _KeptLines:
    """Lines of a file, kept until their record is complete so that they can be read again."""

    def __init__(self, file: TextIO, *, is_escaped: bool) -> None:
        self.taken: list[str] = []
        self.number = 0
        self._file = file
        self._again: deque[str] = deque()
        self._size = 0
        self._is_escaped = is_escaped

    def __iter__(self) -> _KeptLines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._file.readline(MAX_RECORD_CHARS)
        if not line:
            raise StopIteration
        self.number += 1
        self.taken.append(line)
        self._size += len(line)
        if self._size >= MAX_RECORD_CHARS:
            if not line.endswith(("\n", "\r")):
                self._skip_line()
            raise _TooLong
        return _unescaped(line) if self._is_escaped else line

    def next_record(self) -> None:
        self.taken.clear()
        self._size = 0

    def back_to_second(self) -> None:
        """Put back all lines of the record but its first."""
        self._again.extendleft(reversed(self.taken[1:]))
        self.number -= len(self.taken) - 1
        del self.taken[1:]

    def _skip_line(self) -> None:
        while (rest := self._file.readline(MAX_RECORD_CHARS)) and not rest.endswith(("\n", "\r")):
            pass


def records(file: TextIO, dialect: Dialect) -> Iterator[Record]:
    """Each record that is not a blank line. `file` was opened with `newline=""`."""
    if dialect.wrapped:
        return _wrapped_records(file, dialect)
    if dialect.quotes == "nothing":
        return _lines_as_records(file, dialect.delimiter)
    return _quoted_records(file, dialect)


def _wrapped_records(file: TextIO, dialect: Dialect) -> Iterator[Record]:
    for record in _quoted_records(file, Dialect(NO_DELIMITER)):
        yield record._replace(cells=cut(record.cells[0], dialect))


def _lines_as_records(file: TextIO, delimiter: str) -> Iterator[Record]:
    lines = _KeptLines(file, is_escaped=False)
    while True:
        lines.next_record()
        try:
            line = next(lines, None)
        except _TooLong:
            yield _too_long(lines, delimiter)
            continue
        if line is None:
            return
        text = line.rstrip("\r\n")
        if text and text != END_OF_FILE:
            yield Record(text.split(delimiter), lines.number, line)


def _quoted_records(file: TextIO, dialect: Dialect) -> Iterator[Record]:
    lines = _KeptLines(file, is_escaped=dialect.quotes == "escaped")
    reader = _reader(lines, dialect)
    width = 0
    while True:
        lines.next_record()
        first = lines.number + 1
        try:
            cells = next(reader, None)
        except _TooLong:
            yield _too_long(lines, dialect.delimiter)
            reader = _reader(lines, dialect)
            continue
        except csv.Error as error:
            yield _repaired(lines, first, dialect, str(error), width)
            reader = _reader(lines, dialect)
            continue
        if cells is None:
            return
        taken = lines.taken
        if len(taken) > 1 and len(cells) > 1 and _swallows(taken, cells, dialect):
            yield _repaired(lines, first, dialect, ROWS_INSIDE, width)
            reader = _reader(lines, dialect)
        elif cells and cells != [END_OF_FILE]:
            if len(cells) == 1 and width > 1 and taken[0].startswith('"'):
                whole = cut(cells[0], dialect)  # a line that was quoted whole
                cells = whole if len(whole) == width else cells
            width = width or len(cells)
            yield Record(cells, first, taken[0] if len(taken) == 1 else "".join(taken))


def _reader(lines: _KeptLines, dialect: Dialect) -> Iterator[list[str]]:
    return csv.reader(
        lines, delimiter=dialect.delimiter, strict=True, skipinitialspace=dialect.spaced
    )


def _swallows(taken: list[str], cells: list[str], dialect: Dialect) -> bool:
    """Whether a quoted cell went over lines that look like rows: as many cells, and a first one of
    the same make as the record's own."""
    width, make = len(cells), _make(cells[0])
    if not make:
        return False
    inner = [line for line in taken[1:] if line.strip()]
    alike = 0
    for line in inner:
        own = cut(line.rstrip("\r\n"), dialect)
        alike += len(own) == width and _make(own[0]) == make
    # The line that closes the quote may hold more; two cells are soon found in a sentence.
    return alike > 0 and (alike == len(inner) or (width > 2 and alike * 2 > len(inner)))


def _make(cell: str) -> str:
    """What a cell is made of: A-1 and B-22 alike."""
    text = cell.strip().strip('"')
    if len(text) > 40 or " " in text:
        return ""
    return re.sub(r"\d+", "0", re.sub(r"[^\W\d_]+", "a", text))


def _repaired(lines: _KeptLines, first: int, dialect: Dialect, why: str, width: int) -> Record:
    """What can be kept of the record that begins on line `first` of a table of `width` columns.

    A stray quote inside one line closes a cell only where a delimiter follows. Between tabs, where
    feeds use quotes as letters, a line with all its cells is whole as it stands.
    """
    is_single = len(lines.taken) == 1 and "unexpected end" not in why
    lines.back_to_second()
    line = lines.taken[0]
    cells = cut(line.rstrip("\r\n"), dialect)
    if is_single or (dialect.delimiter == "\t" and len(cells) == width):
        return Record(cells, first, line, is_mended=True)
    return Record(
        cells,
        first,
        line,
        f"A double quote opened on line {first} is not closed as it should be ({why}). "
        "Close it, and double each quote inside a quoted cell.",
    )


def _too_long(lines: _KeptLines, delimiter: str) -> Record:
    first = lines.number - len(lines.taken) + 1
    lines.back_to_second()
    line = lines.taken[0][: MAX_RECORD_CHARS - 1]
    return Record(
        cut(line.rstrip("\r\n"), Dialect(delimiter)),
        first,
        line,
        f"The record on line {first} is longer than {MAX_RECORD_CHARS:,} characters; "
        "perhaps a double quote is not closed. Close it, or shorten the cell.",
    )


def cut(line: str, dialect: Dialect) -> list[str]:
    """The cells of one line whose quotes break the rules: a quote closes a cell only before a
    delimiter or the line's end, and a cell whose quote is not closed is what stands there."""
    text = _unescaped(line) if dialect.quotes == "escaped" else line
    sign = dialect.delimiter
    cells: list[str] = []
    at = 0
    while True:
        if dialect.spaced:
            at += len(text) - at - len(text[at:].lstrip(" "))
        end = _closing(text, at + 1, sign) if text[at : at + 1] == '"' else -1
        if end >= 0:
            cells.append(text[at + 1 : end].replace('""', '"'))
            end += 1
        else:
            end = text.find(sign, at)
            end = len(text) if end < 0 else end
            cells.append(text[at:end])
        if end >= len(text):
            return cells
        at = end + 1


def _closing(text: str, at: int, sign: str) -> int:
    """Where the quote of a cell is closed; -1 where it is not."""
    while (found := text.find('"', at)) >= 0:
        after = text[found + 1 : found + 2]
        if not after or after == sign:
            return found
        at = found + (2 if after == '"' else 1)
    return -1


def _unescaped(line: str) -> str:
    return BACKSLASHED.sub(lambda found: '""' if found[1] == '"' else "\\", line)
