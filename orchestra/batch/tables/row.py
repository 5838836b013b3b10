"""A table and its rows as every format has them; it knows no format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.batch.tables.formats import PLAIN, Format
from orchestra.core.errors import InvalidTable
from orchestra.core.job import ErrorRecord

STATUS, REASONS, DECIDED = "status", "reasons", "decided"
INVISIBLE = dict.fromkeys(map(ord, "\ufeff\u200b\u200e\u200f"))  # what names are copied with


@dataclass(frozen=True, slots=True)
class Row:
    """One product: its place from 1, each column as text, and what is wrong with it.

    A row with an `error` still holds the cells that could be read, and each column of the
    table (an unread one is empty). One that is run `again` has a record already.
    """

    ordinal: int
    values: Mapping[str, str]
    error: ErrorRecord | None = None
    again: bool = False


class Table(ABC):
    """A table file: its columns, the sha256 hex of its content, and how it was understood.

    `header` are the columns of the file itself; a name that stands there twice is `Name` and
    `Name (2)`. `columns` are those and what the format adds, and the keys of each row's values.
    `written` are the names as they stand in the file. `told` are lines for a person: the encoding,
    what was left out. `delimiter` and `encoding` are "" where the format has none.
    """

    path: Path
    columns: tuple[str, ...]
    fingerprint: str
    written: tuple[str, ...] = ()
    format: Format = PLAIN
    told: tuple[str, ...] = ()
    delimiter: str = ""
    encoding: str = ""

    @property
    def header(self) -> tuple[str, ...]:
        """The columns of the file itself."""
        return self.columns

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """All rows in bounded memory; one that cannot be read is yielded with its `error`."""

    @abstractmethod
    def count(self) -> int:
        """How many rows `rows()` yields."""


def row_error(message: str) -> ErrorRecord:
    """The error of one row, as it stands in errors.jsonl."""
    return ErrorRecord.of("table", InvalidTable(message))


def named(header: Sequence[str], path: str) -> tuple[str, ...]:
    """Column names of a header: stripped, a blank one called column_<n>, a second one `Name (2)`.

    Raises InvalidTable when no name is there.
    """
    names = [" ".join(name.translate(INVISIBLE).split()) for name in header]
    if not any(names):
        raise InvalidTable(f"Table {path!r} has no header. Name its columns in the first line.")
    taken, seen = set(names), Counter[str]()
    for index, name in enumerate(names):
        seen[name] += 1
        if not name:
            names[index] = _free(f"column_{index + 1}", taken, "_")
        elif seen[name] > 1:
            names[index] = _free(f"{name} ({seen[name]})", taken, "'")
    return tuple(names)


def _free(name: str, taken: set[str], mark: str) -> str:
    while name in taken:
        name += mark
    taken.add(name)
    return name


def repeated(written: Sequence[str]) -> set[str]:
    """Names that stand more than once in a header."""
    return {name for name, times in Counter(map(str.strip, written)).items() if times > 1 and name}


def output_columns(field_names: Sequence[str], *, decided: bool = True) -> list[str]:
    """The columns that fields come to: each with its source and confidence, then the status and its
    reasons.

    Before that stands what people `decided`, where they did.
    """
    suffixes = ("", "_source", "_confidence")
    own = [DECIDED, STATUS, REASONS] if decided else [STATUS, REASONS]
    return [f"{name}{suffix}" for name in field_names for suffix in suffixes] + own
