"""Writes lines of a channel as CSV or TSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from typing import IO, Any

from orchestra.batch.channels.channel import Line, Writer

SPACES = str.maketrans({"\t": " ", "\n": " ", "\r": " ", "\v": " ", "\f": " "})


def plain_cell(value: Any) -> str:
    """A value as one cell; several with commas between them."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


class CsvWriter(Writer):
    """A CSV in UTF-8, as RFC 4180 has it; `names` head the columns that `keys` are the keys of."""

    def __init__(
        self,
        file: IO[bytes],
        keys: Sequence[str],
        names: Sequence[str] | None = None,
        cell: Callable[[Any], str] = plain_cell,
        delimiter: str = ",",
    ) -> None:
        self._text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        self._table = csv.writer(self._text, delimiter=delimiter)
        self._keys, self._cell = tuple(keys), cell
        self._table.writerow(names or keys)

    def add(self, lines: Sequence[Line]) -> None:
        """Write the lines of one product."""
        for line in lines:
            self._table.writerow([self._cell(line.get(key)) for key in self._keys])

    def end(self) -> None:
        """Leave the file open for who opened it."""
        self._text.detach()

    def abandon(self) -> None:
        """The same: nothing is held back."""
        self._text.detach()


class TsvWriter(Writer):
    """A feed of bare cells between tabs: a quote means nothing, so a cell holds no tab or line.

    `head` are lines that stand in the place of the keys' own.
    """

    def __init__(
        self,
        file: IO[bytes],
        keys: Sequence[str],
        cell: Callable[[str, Any], str],
        head: Sequence[str] = (),
    ) -> None:
        self._file, self._keys, self._cell = file, tuple(keys), cell
        for line in head:
            self._file.write(f"{line}\r\n".encode())
        if not head:
            self._write(self._keys)

    def add(self, lines: Sequence[Line]) -> None:
        """Write the lines of one product."""
        for line in lines:
            self._write([self._cell(key, line.get(key)) for key in self._keys])

    def _write(self, cells: Sequence[str]) -> None:
        flat = "\t".join(" ".join(cell.translate(SPACES).split(" ")) for cell in cells)
        self._file.write((flat + "\r\n").encode("utf-8", "replace"))
