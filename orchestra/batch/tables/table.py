"""Opens product tables of every format as one stream of text rows; it knows no recipe.

Every column is text: SKU 00123 stays 00123. Rows are read one at a time, so a table may be
longer than memory.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from orchestra.batch.tables.delimited import DelimitedReader
from orchestra.batch.tables.jsonlines import JsonLinesReader
from orchestra.batch.tables.parquet import ParquetReader
from orchestra.batch.tables.row import Reader, Row
from orchestra.core.errors import InvalidTable

__all__ = ["Row", "Table", "resolve_columns"]

READERS: dict[str, Callable[[Path], Reader]] = {
    ".csv": DelimitedReader,
    ".tsv": DelimitedReader,
    ".jsonl": JsonLinesReader,
    ".ndjson": JsonLinesReader,
    ".parquet": ParquetReader,
}


class Table:
    """A table file: its columns, its content hash, and its rows."""

    def __init__(self, path: Path, reader: Reader) -> None:
        self.path = path
        self._reader = reader

    @classmethod
    def open(cls, path: str | Path) -> Table:
        """Open a .csv, .tsv, .jsonl, .ndjson or .parquet file.

        The file is read once for its encoding and hash. Raises InvalidTable when it is
        missing, of another format, undecodable, or without a header or rows.
        """
        place = Path(path)
        reader = READERS.get(place.suffix.lower())
        if not place.exists():
            raise InvalidTable(f"Table {str(path)!r} does not exist. Check the path.")
        if not place.is_file():
            raise InvalidTable(f"Table {str(path)!r} is not a file. Name the file inside it.")
        if reader is None:
            raise InvalidTable(
                f"Table {str(path)!r} has suffix {place.suffix!r}; read are "
                f"{', '.join(sorted(READERS))}. Export it as one of these (Excel: 'CSV UTF-8')."
            )
        return cls(place, reader(place))

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names in the file's order."""
        return self._reader.columns

    @property
    def fingerprint(self) -> str:
        """sha256 hex of the file's bytes."""
        return self._reader.fingerprint

    def rows(self, start: int = 0) -> Iterator[Row]:
        """Rows after the first `start` ones; ordinals count from 1 over the whole file.

        A row that cannot be read is yielded with its `error`.
        """
        return self._reader.rows(start)

    def count(self) -> int:
        """How many rows `rows()` yields."""
        return self._reader.count()


def resolve_columns(
    columns: Sequence[str], wanted: Sequence[str] | None, candidates: Sequence[str], what: str
) -> list[str]:
    """Which of a table's columns serve as `what` ("text", "image", "id").

    `wanted` names must exist; an empty list (or only blank names) means none. None takes the
    `candidates` that exist, in their order, compared without regard to case.
    Raises InvalidTable with the nearest names and all that there are.
    """
    if wanted is None:
        folded: dict[str, str] = {}
        for column in columns:
            folded.setdefault(column.casefold(), column)
        found = [folded[name.casefold()] for name in candidates if name.casefold() in folded]
        return list(dict.fromkeys(found))
    names = list(dict.fromkeys(name.strip() for name in wanted if name.strip()))
    for name in names:
        if name not in columns:
            raise _no_column(name, columns, what)
    return names


def _no_column(name: str, columns: Sequence[str], what: str) -> InvalidTable:
    folded = {column.casefold(): column for column in columns}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    hint = f" Did you mean {' or '.join(repr(folded[match]) for match in near)}?" if near else ""
    return InvalidTable(
        f"The table has no {what} column {name!r}; it has {', '.join(map(repr, columns))}.{hint}"
    )
