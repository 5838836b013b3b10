"""Texts of rows in one block of bytes: a search in 50,000 of them is one pass over memory."""

from __future__ import annotations

import json
import tempfile
import threading
from array import array
from bisect import bisect_right
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
        self._starts = array("q", [0])
        self._last: tuple[str, NDArray[np.bool_]] = ("", np.zeros(0, np.bool_))

    def add(self, text: str) -> None:
        """Add the text of the next row."""
        plain = lower(text).encode("utf-8", "replace").replace(BETWEEN, b" ")
        self._filling.append(plain)
        self._starts.append(self._starts[-1] + len(plain) + 1)

    def ready(self) -> None:
        """Close: no text is added any more."""
        self._block = BETWEEN.join(self._filling)
        self._filling = []

    def holding(self, words: str) -> NDArray[np.bool_]:
        """Which texts hold each of `words`, in any order and case."""
        if words != self._last[0]:
            found = np.ones(len(self._starts) - 1, np.bool_)
            for word in sorted(lower(words).split(), key=len, reverse=True):
                self._keep_having(word.encode("utf-8", "replace"), found)
            self._last = (words, found)
        return self._last[1]

    def _keep_having(self, word: bytes, found: NDArray[np.bool_]) -> None:
        """Drop the texts without `word` from those that were found so far."""
        block, starts = self._block, self._starts
        if not found.all():
            for row in np.flatnonzero(found):
                found[row] = block.find(word, starts[row], starts[row + 1]) >= 0
            return
        having, at = bytearray(len(found)), block.find(word)
        while at >= 0:
            row = bisect_right(starts, at) - 1
            having[row] = True
            at = block.find(word, starts[row + 1])  # one hit tells of the whole row
        found &= np.frombuffer(having, np.bool_)


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
