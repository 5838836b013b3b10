"""Texts of rows in one block of bytes: a search in 50,000 of them is one pass over memory."""

from __future__ import annotations

import json
import tempfile
import threading
from array import array
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from orchestra.core.values import lower

BETWEEN = b"\x00"


class Texts:
    """Texts by the number in which they were added."""

    def __init__(self) -> None:
        self._filling: list[bytes] = []
        self._block = b""
        self._starts: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, text: str) -> None:
        """Add the text of the next row."""
        plain = lower(text).encode("utf-8", "replace")
        self._filling.append(plain.replace(BETWEEN, b" "))

    def ready(self) -> None:
        """Close: no text is added any more."""
        lengths = np.array([len(text) + 1 for text in self._filling], np.int64)
        self._starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        self._block = BETWEEN.join(self._filling)
        self._filling = []

    def holding(self, words: str) -> NDArray[np.bool_]:
        """Which texts hold each of `words`, in any order and case."""
        count = max(len(self._starts) - 1, 0)
        found = np.ones(count, np.bool_)
        for word in lower(words).split():
            found &= self._having(word.encode("utf-8", "replace"), count)
        return found

    def _having(self, word: bytes, count: int) -> NDArray[np.bool_]:
        found = np.zeros(count, np.bool_)
        at = self._block.find(word)
        while at >= 0:
            row = int(np.searchsorted(self._starts, at, "right")) - 1
            found[row] = True
            # One hit tells of the whole row: go on with the next.
            at = self._block.find(word, int(self._starts[row + 1]))
        return found


class Cells:
    """The input's columns by row, in a temporary file: a page reads those of its rows alone."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115, closed by `close`
        self._starts = array("q", [0])
        self._lock = threading.Lock()

    def add(self, values: Mapping[str, str]) -> None:
        """Add the columns of the next row."""
        text = json.dumps(values, ensure_ascii=False).encode("utf-8", "replace")
        self._starts.append(self._starts[-1] + self._file.write(text))

    def of(self, row: int) -> dict[str, str]:
        """The columns of a row, by name."""
        with self._lock:
            self._file.seek(self._starts[row])
            return json.loads(self._file.read(self._starts[row + 1] - self._starts[row]))

    def close(self) -> None:
        """Drop the file."""
        self._file.close()
