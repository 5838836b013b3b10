"""Opens product tables of every format as one stream of text rows; it knows no recipe.

Every column is text: SKU 00123 stays 00123. Rows are read one at a time, so a table may be
longer than memory.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path

from orchestra.batch.tables.delimited import DelimitedTable
from orchestra.batch.tables.feed import FeedTable
from orchestra.batch.tables.folder import FolderTable
from orchestra.batch.tables.formats import recognise
from orchestra.batch.tables.grouped import GroupedTable
from orchestra.batch.tables.jsonarray import JsonArrayTable
from orchestra.batch.tables.jsonlines import JsonLinesTable
from orchestra.batch.tables.reading import AS_FOUND, ReadAs
from orchestra.batch.tables.remote import address_of, local_copy
from orchestra.batch.tables.row import Row, Table
from orchestra.batch.tables.source import Source
from orchestra.core.errors import InvalidTable, MissingExtra

__all__ = ["SUFFIXES", "Row", "Table", "is_table_name", "open_table", "resolve_columns"]

PLAIN_SUFFIXES = (
    ".csv",
    ".tsv",
    ".tab",
    ".txt",
    ".psv",
    ".json",
    ".jsonl",
    ".ndjson",
    ".xml",
    ".parquet",
    ".xlsx",
    ".xlsm",
)
BY_CONTENT = ".xls"  # what some shops call text, and others a workbook of today
SUFFIXES = (*PLAIN_SUFFIXES, BY_CONTENT, ".gz")


def open_table(path: str | Path, read_as: ReadAs = AS_FOUND) -> Table:
    """Open a table: a file, one packed by gzip, an address, or a folder of photos.

    The file is read once for its encoding and hash. Raises InvalidTable when it is missing, of
    another format, undecodable, or without a header or rows, and MissingExtra for Parquet and for
    addresses where the extra that reads them is not installed.
    """
    address = address_of(path)
    place = local_copy(address) if address else Path(path)
    if not place.exists():
        raise InvalidTable(f"Table {str(path)!r} does not exist. Check the path.")
    if place.is_dir():
        return FolderTable(place)
    if not place.is_file():
        raise InvalidTable(f"Table {str(path)!r} is not a file. Name the file inside it.")
    source = Source.of(place)
    if source.suffix not in PLAIN_SUFFIXES and source.kind() and source.suffix != BY_CONTENT:
        raise InvalidTable(
            f"Table {str(path)!r} has suffix {place.suffix!r}; read are "
            f"{', '.join(sorted(PLAIN_SUFFIXES))}, and those with .gz. Export it as one of these "
            "(Excel: 'CSV UTF-8')."
        )
    table = _opened(source, read_as)
    table.format = recognise(table.columns, read_as.format)
    return GroupedTable(table) if GroupedTable.is_for(table) else table


def _opened(source: Source, read_as: ReadAs) -> Table:
    kind = source.kind()
    if kind == "excel":
        return _excel(source)
    if kind == "parquet":
        return _parquet(source)
    readers = {"xml": FeedTable, "json": JsonArrayTable, "jsonl": JsonLinesTable}
    reader = readers.get(kind, DelimitedTable)
    return reader(source, read_as)


def _parquet(source: Source) -> Table:
    try:
        from orchestra.batch.tables.parquet import ParquetTable
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"Table {source.name!r} is Parquet, and {error.name!r}, which reads it, is not "
            "installed: pip install 'orchestra-fleet[parquet]'. Or export it as CSV."
        ) from error
    return ParquetTable(source)


def _excel(source: Source) -> Table:
    # openpyxl takes longer to read than most runs take, and most tables are of text.
    from orchestra.batch.tables.excel import ExcelTable

    return ExcelTable(source)


def is_table_name(text: str) -> bool:
    """Whether `text` names a table: a file's name, an address, or a folder that is there."""
    if "\n" in text:
        return False
    is_named = text.split("?")[0].lower().endswith(SUFFIXES)
    return is_named or _is_folder(text)


def _is_folder(text: str) -> bool:
    try:
        return ("/" in text or "\\" in text) and Path(text).is_dir()
    except (OSError, ValueError):  # too long for a path
        return False


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


MOST_NAMES = 40


def some_names(names: Sequence[str]) -> str:
    """Names for a message; of very many the first."""
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more


def _no_column(name: str, columns: Sequence[str], what: str) -> InvalidTable:
    folded = {column.casefold(): column for column in columns}
    near = difflib.get_close_matches(name.casefold(), folded, n=3, cutoff=0.6)
    hint = f" Did you mean {' or '.join(repr(folded[match]) for match in near)}?" if near else ""
    return InvalidTable(
        f"The table has no {what} column {name!r}; it has "
        f"{some_names([*map(repr, columns)])}.{hint}"
    )
