"""Reads JSON Lines row by row; it knows no column's meaning."""

from __future__ import annotations

import io
from collections.abc import Iterator

from orchestra.batch.tables.encodings import scan
from orchestra.batch.tables.jsonvalues import values_of
from orchestra.batch.tables.objects import ObjectTable, Parsed
from orchestra.batch.tables.reading import AS_FOUND, ReadAs
from orchestra.batch.tables.source import Source


class JsonLinesTable(ObjectTable):
    """A JSONL file. Raises InvalidTable when it holds no object at all."""

    KIND = "JSON object with keys"
    CURE = 'Write one object a line, such as {"id":"1","name":"Apple"}.'

    def __init__(self, source: Source, read_as: ReadAs = AS_FOUND) -> None:
        self._source = source
        self._scan = found = scan(source, read_as.encoding)
        self.encoding, self.fingerprint = found.encoding, found.fingerprint
        self.told = (f"JSON Lines, {found.told[0]}", *found.told[1:])
        self._open(source)

    def _parsed(self) -> Iterator[Parsed]:
        # Only \n ends a line: JSON strings may hold U+2028 and the like as they are.
        with self._source.open() as raw:
            file = io.TextIOWrapper(raw, self.encoding, errors="surrogateescape", newline="\n")
            for line in filter(str.strip, file):
                # Lines that were cut out of an array keep its commas.
                yield values_of((self._scan.read(line) or line).rstrip().removesuffix(","))
