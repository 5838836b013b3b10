"""Reads CSV, TSV and their kin row by row in bounded memory; it knows no column's meaning."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain, repeat
from typing import TextIO

from orchestra.batch.tables.cells import as_meant, undone
from orchestra.batch.tables.dialect import NAMES, SAMPLE_CHARS, layout_of
from orchestra.batch.tables.encodings import ESCAPED, scan
from orchestra.batch.tables.reading import AS_FOUND, ReadAs
from orchestra.batch.tables.records import NO_DELIMITER, Record, records
from orchestra.batch.tables.row import Row, Table, named, row_error
from orchestra.batch.tables.source import Source
from orchestra.core.errors import InvalidTable

MOST_BANNER_CHARS = 60


class DelimitedTable(Table):
    """A delimited file. Raises InvalidTable without a header or without rows."""

    def __init__(self, source: Source, read_as: ReadAs = AS_FOUND) -> None:
        self.path = source.path
        self._source = source
        self._scan = scan(source, read_as.encoding)
        self.fingerprint, self.encoding = self._scan.fingerprint, self._scan.encoding
        with self._file() as file:
            sample = file.read(SAMPLE_CHARS)
            sample += file.readline(SAMPLE_CHARS)
        is_tsv = source.suffix in (".tsv", ".tab")
        self._layout = layout_of(sample, prefers_tabs=is_tsv, delimiter=read_as.sign)
        dialect = self._layout.dialect
        self.delimiter = "" if dialect.delimiter == NO_DELIMITER else dialect.delimiter
        self._open_header()
        self.told = tuple(self._tell(undone(sample) != sample))

    def _open_header(self) -> None:
        """Read the header, and see that a row follows it."""
        with self._file() as file:
            found = self._filled(file)
            header = next(found, None)
            if header is None:
                raise InvalidTable(
                    f"Table {str(self.path)!r} is empty: it has no header. Name its columns in the "
                    "first line and put one product a line below."
                )
            if header.error:
                raise InvalidTable(
                    f"Table {str(self.path)!r}: the header is damaged: {header.error}"
                )
            self.written = tuple(self._scan.read(cell) or cell for cell in header.cells)
            self.columns = named(self.written, str(self.path))
            self._least = max(
                (at + 1 for at, name in enumerate(self.written) if name.strip()), default=0
            )
            if next(found, None) is None:
                raise InvalidTable(
                    f"Table {str(self.path)!r} is empty: it has a header "
                    f"({', '.join(self.columns[:40])}) and no rows. Put one product a line below "
                    "the header."
                )

    def rows(self) -> Iterator[Row]:
        """Rows one at a time; a damaged one has an error, a blank one is none."""
        with self._file() as file:
            found = self._filled(file)
            next(found)
            for ordinal, record in enumerate(found, 1):
                yield self._row(ordinal, record)

    def count(self) -> int:
        """How many rows the file has; it is read for that."""
        with self._file() as file:
            return sum(1 for _ in self._filled(file)) - 1

    def _filled(self, file: TextIO) -> Iterator[Record]:
        """Records with something in them, from the header on."""
        if self._layout.has_separator_line:
            file.readline()
        skipped = len(self._layout.banners)
        for record in records(file, self._layout.dialect):
            if any(map(str.strip, record.cells)):
                if skipped:
                    skipped -= 1
                else:
                    yield record

    def _row(self, ordinal: int, record: Record) -> Row:
        cells, width = record.cells, len(self.columns)
        error = record.error or self._wrong_width(ordinal, record)
        if self._scan.has_strays and ESCAPED.search(record.raw):
            read = [self._scan.read(cell) for cell in cells]
            error = error or self._undecodable(ordinal, record, read)
            cells = [
                cell.encode("utf-8", "replace").decode() if text is None else text
                for cell, text in zip(cells, read, strict=True)
            ]
        if not record.raw.isascii() or '="' in record.raw:
            cells = [as_meant(cell) for cell in cells]
        if width > 1 and cells == list(self.written):
            error = error or (
                f"Row {ordinal} (line {record.line}) repeats the header, as where two exports were "
                "joined. Delete the line if it is no product."
            )
        values = dict(zip(self.columns, chain(cells[:width], repeat("")), strict=False))
        if "\0" in record.raw:
            name = next((name for name, value in values.items() if "\0" in value), self.columns[0])
            values = {name: value.replace("\0", "") for name, value in values.items()}
            error = error or (
                f"Row {ordinal} (line {record.line}) holds a NUL byte in column {name!r}, so the "
                "file is damaged there. Export the row again."
            )
        return Row(ordinal, values, row_error(error) if error else None)

    def _wrong_width(self, ordinal: int, record: Record) -> str | None:
        """Why a row has too many cells or too few."""
        cells, width = record.cells, len(self.columns)
        place = f"Row {ordinal} (line {record.line})"
        extra = cells[width:]
        if any(map(str.strip, extra)):
            sign = self._layout.dialect.delimiter
            return (
                f"{place} has {len(cells)} cells and the header {width}; the first extra one is "
                f"{next(filter(str.strip, extra))[:40]!r}. Put cells that hold {sign!r} in double "
                "quotes."
            )
        if len(cells) < self._least:
            return (
                f"{place} has {len(cells)} cells and the header {width}: it ends after "
                f"{cells[-1][-40:]!r}, so cells are missing or a line was broken in two. Give it "
                "all its cells, empty ones too."
            )
        return None

    def _undecodable(self, ordinal: int, record: Record, read: list[str | None]) -> str | None:
        at = next((at for at, text in enumerate(read) if text is None), None)
        if at is None:
            return None
        name = self.columns[at] if at < len(self.columns) else f"cell {at + 1}"
        found = ESCAPED.search(record.cells[at])
        byte = bytes([ord(found[0]) - 0xDC00]) if found else b""
        return (
            f"Row {ordinal} (line {record.line}) holds the byte {byte!r} in column {name!r}, which "
            f"is no {self._scan.encoding}. Save the table as UTF-8, or name its encoding with "
            "--encoding."
        )

    def _tell(self, is_twice: bool) -> Iterator[str]:
        dialect = self._layout.dialect
        sign = NAMES.get(dialect.delimiter, repr(dialect.delimiter))
        between = "one column" if dialect.delimiter == NO_DELIMITER else f"{sign} between cells"
        meaning = {"nothing": ", quotes mean nothing", "escaped": ", quotes behind backslashes"}
        yield f"{self._scan.told[0]}, {between}{meaning.get(dialect.quotes, '')}"
        yield from self._scan.told[1:]
        if is_twice:
            yield "WARNING: letters that were encoded twice (such as Ã¼ for ü) are mended"
        if self._layout.banners:
            shown = "; ".join(repr(text[:MOST_BANNER_CHARS]) for text in self._layout.banners[:3])
            yield f"left out above the header: {shown}"

    def _file(self) -> TextIO:
        raw = self._source.open()
        encoding = self.encoding
        try:
            return io.TextIOWrapper(raw, encoding, errors="surrogateescape", newline="")
        except LookupError:
            raw.close()
            raise
