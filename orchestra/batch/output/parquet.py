"""Writes a batch's table as Parquet, in bounded memory; what the extra `parquet` is for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

GROUP_ROWS = 4096
GROUP_CHARS = 32 << 20  # photos may stand in a table's cells


class RowGroups:
    """Gathers rows and writes them as Parquet row groups."""

    def __init__(self, file: IO[bytes], columns: Sequence[str], numbers: Collection[str]) -> None:
        """`columns` are texts, but for those that are `numbers`."""
        self._schema = pa.schema(
            [(name, pa.float64() if name in numbers else pa.string()) for name in columns]
        )
        self._rows: list[list[str | float | None]] = []
        self._chars = 0
        self._writer = pq.ParquetWriter(file, self._schema, compression="zstd")

    def __enter__(self) -> RowGroups:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._write()
            self._writer.close()
            return
        with suppress(OSError, pa.ArrowException):  # the file is thrown away
            self._writer.close()

    def add(self, cells: list[str | float | None]) -> None:
        """Take one row; what was gathered is written when it is enough."""
        self._rows.append(cells)
        self._chars += sum(len(cell) for cell in cells if isinstance(cell, str))
        if len(self._rows) >= GROUP_ROWS or self._chars >= GROUP_CHARS:
            self._write()

    def note(self, key: str, text: str) -> None:
        """Keep `text` among the file's own metadata."""
        self._writer.add_key_value_metadata({key: text})

    def _write(self) -> None:
        if not self._rows:
            return
        columns = zip(*self._rows, strict=True)
        arrays = [
            pa.array(column, kind) for column, kind in zip(columns, self._schema.types, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows.clear()
        self._chars = 0
