"""Reads Parquet row by row, each value as text; it knows no column's meaning.

A photo is a data URI, whether its bytes stand alone or in a struct, as image data sets have them.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from orchestra.batch.tables.row import Row, Table, named
from orchestra.batch.tables.source import Source
from orchestra.core.errors import InvalidTable
from orchestra.core.values import compact

BATCH_ROWS = 1024
PHOTO_KEYS = frozenset(("bytes", "path", "mime_type", "height", "width"))


class ParquetTable(Table):
    """A Parquet file. Raises InvalidTable when it is damaged, without columns or rows."""

    def __init__(self, source: Source) -> None:
        self.path = source.path
        self._source = source
        self.fingerprint = source.content_hash()
        with self._file() as file:
            self.written = tuple(file.schema_arrow.names)
            self._count = file.metadata.num_rows
        if not self.written or not self._count:
            raise InvalidTable(
                f"Table {str(self.path)!r} is empty: {len(self.written)} columns, {self._count} "
                "rows. Write one product a row."
            )
        self.columns = named(self.written, str(self.path))
        self.told = ("Parquet",)

    def rows(self) -> Iterator[Row]:
        """Rows one at a time. Raises InvalidTable where the file is damaged."""
        ordinals = count(1)
        with self._file() as file:
            for batch in self._batches(file):
                texts = [self._texts(column) for column in batch.columns]
                for cells in zip(*texts, strict=True):
                    yield Row(next(ordinals), dict(zip(self.columns, cells, strict=True)))

    def count(self) -> int:
        """How many rows the file's footer names."""
        return self._count

    def _batches(self, file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
        try:
            yield from file.iter_batches(BATCH_ROWS)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error

    def _texts(self, column: Any) -> list[str]:
        """A column as text; what Arrow can print exactly is left to Arrow."""
        kind = column.type
        if pa.types.is_dictionary(kind):
            return self._texts(column.dictionary_decode())
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return [value or "" for value in column.to_pylist()]
        if pa.types.is_float32(kind) or pa.types.is_float16(kind):
            # The shortest digits of the narrow type, not those of its widening to double.
            printed = column.cast(pa.float32()).cast(pa.string()).to_pylist()
            return [_number(float(value)) if value else "" for value in printed]
        if pa.types.is_temporal(kind) or pa.types.is_decimal(kind):
            return [value or "" for value in column.cast(pa.string()).to_pylist()]
        return [_text(value) for value in column.to_pylist()]

    @contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        with self._source.seekable() as raw:
            try:
                file = pq.ParquetFile(raw)
            except (pa.ArrowException, OSError) as error:
                raise self._damaged(error) from error
            with file:
                yield file

    def _damaged(self, error: Exception) -> InvalidTable:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return InvalidTable(
            f"Table {str(self.path)!r} is not a readable Parquet file ({reason}). Export it again."
        )


def _text(value: Any) -> str:
    printer = PRINTERS.get(type(value))
    if printer is not None:
        return printer(value)
    plain = _without_bytes(value)
    return plain if isinstance(plain, str) else compact(plain)


def _without_bytes(value: Any) -> Any:
    """A nested value with its photos as data URIs; a struct that is a photo is nothing else."""
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, Mapping):
        packed = value.get("bytes")
        if isinstance(packed, bytes) and set(value) <= PHOTO_KEYS:
            return _bytes(packed)
        if packed is None and isinstance(value.get("path"), str) and set(value) <= PHOTO_KEYS:
            return value["path"]
        return {key: _without_bytes(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without_bytes(part) for part in value]
    return value


def _number(value: float) -> str:
    """Shortest digits; a whole number as an integer, because a column of ids with a gap
    becomes double in pandas; NaN, its mark of a gap, is empty."""
    if math.isnan(value):
        return ""
    if value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return repr(value)


def _bytes(value: bytes) -> str:
    """Text where it is text; otherwise a data URI, which an image column may hold."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        packed = base64.b64encode(value).decode("ascii")
        return f"data:application/octet-stream;base64,{packed}"


PRINTERS: dict[type, Callable[[Any], str]] = {
    type(None): lambda _: "",
    str: lambda value: value,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: _number,
    bytes: _bytes,
}
