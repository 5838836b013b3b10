"""Opens product tables of every format as one stream of text rows; it knows no recipe.

Every column is text: SKU 00123 stays 00123. Rows are read one at a time, so a table may be
longer than memory.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from orchestra.batch.tables.delimited import DelimitedTable
from orchestra.batch.tables.jsonlines import JsonLinesTable
from orchestra.batch.tables.row import Row, Table
from orchestra.core.errors import InvalidTable, MissingExtra

__all__ = ["Row", "Table", "open_table", "resolve_columns"]


def _parquet(path: Path) -> Table:
    try:
        from orchestra.batch.tables.parquet import ParquetTable
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"Table {str(path)!r} is Parquet, and {error.name!r}, which reads it, is not "
            "installed: pip install 'orchestra-fleet[parquet]'. Or export it as CSV."
        ) from error
    return ParquetTable(path)


READERS: dict[str, Callable[[Path], Table]] = {
    ".csv": DelimitedTable,
    ".tsv": DelimitedTable,
    ".jsonl": JsonLinesTable,
    ".ndjson": JsonLinesTable,
    ".parquet": _parquet,
}


def open_table(path: str | Path) -> Table:
    """Open a .csv, .tsv, .jsonl, .ndjson or .parquet file.

    The file is read once for its encoding and hash. Raises InvalidTable when it is missing, of
    another format, undecodable, or without a header or rows, and MissingExtra for Parquet where
    the extra `parquet` is not installed.
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
    return reader(place)


def resolve_columns(
    columns: Sequence[str], named: Sequence[str] | None, candidates: Sequence[str], what: str
) -> list[str]:
    """Which of a table's columns serve as `what` ("text", "image", "id").

    `named` columns must exist; an empty list (or only blank names) means none. None takes the
    `candidates` that exist, in their order, compared without regard to case.
    Raises InvalidTable with the nearest names and all that there are.
    """
    if named is None:
        folded: dict[str, str] = {}
        for column in columns:
            folded.setdefault(column.casefold(), column)
        found = [folded[name.casefold()] for name in candidates if name.casefold() in folded]
        return list(dict.fromkeys(found))
    names = list(dict.fromkeys(name.strip() for name in named if name.strip()))
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
