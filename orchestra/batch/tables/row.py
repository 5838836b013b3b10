"""A table and its rows as every format has them; it knows no format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestra.core.errors import InvalidTable
from orchestra.core.job import ErrorRecord

STATUS, REASONS, DECIDED = "status", "reasons", "decided"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its place from 1, each column as text, and what is wrong with it.

    A row with an `error` still holds the cells that could be read, and each column of the
    table (an unread one is empty). One that is run `again` has a record already.
    """

    ordinal: int
    values: Mapping[str, str]
    error: ErrorRecord | None = None
    again: bool = False


class Table(ABC):
    """A table file: its column names in the file's order, and the sha256 hex of its bytes."""

    path: Path
    columns: tuple[str, ...]
    fingerprint: str

    @abstractmethod
    def rows(self) -> Iterator[Row]:
        """All rows in bounded memory; one that cannot be read is yielded with its `error`."""

    @abstractmethod
    def count(self) -> int:
        """How many rows `rows()` yields."""


def row_error(message: str) -> ErrorRecord:
    """The error of one row, as it stands in errors.jsonl."""
    return ErrorRecord.of("table", InvalidTable(message))


def named(header: list[str], path: str) -> tuple[str, ...]:
    """Column names of a header: stripped, a blank one called column_<n>.

    Raises InvalidTable when no name is there or one stands twice.
    """
    names = [name.strip() for name in header]
    if not any(names):
        raise InvalidTable(f"Table {path!r} has no header. Name its columns in the first line.")
    taken = set(names)
    for index, name in enumerate(names):
        if not name:
            names[index] = next(
                candidate
                for candidate in (f"column_{index + 1}" + "_" * n for n in range(len(names) + 1))
                if candidate not in taken
            )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidTable(
            f"Table {path!r} has {', '.join(map(repr, twice))} more than once in its header. "
            "Give each column its own name."
        )
    return tuple(names)


def output_columns(field_names: Sequence[str], *, decided: bool = True) -> list[str]:
    """The columns that fields come to: each with its source and confidence, then the status and its
    reasons.

    Before that stands what people `decided`, where they did.
    """
    suffixes = ("", "_source", "_confidence")
    own = [DECIDED, STATUS, REASONS] if decided else [STATUS, REASONS]
    return [f"{name}{suffix}" for name in field_names for suffix in suffixes] + own
