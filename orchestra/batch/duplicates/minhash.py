"""Finds texts that share most of their words, without comparing each with each.

MinHash (Broder 1997) over words, and bands of it (Leskovec, Rajaraman, Ullman, "Mining of Massive
Datasets", 3.4): texts that share 80% of their words meet in a band with a probability of .9998.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BANDS, ROWS = 16, 4
MOST_MET = 32  # texts that a band's bucket holds, the latest: many share a shop's phrases
MOST_TRIED = 64
_PRIME = np.uint64((1 << 31) - 1)


class Bands:
    """Texts by the smallest of their words' hashes. Some 1.5 KB a text."""

    def __init__(self, seed: int = 20) -> None:
        draw = np.random.default_rng(seed)
        most = int(_PRIME)
        self._times = draw.integers(1, most, BANDS * ROWS, np.uint64)[:, None]
        self._plus = draw.integers(0, most, BANDS * ROWS, np.uint64)[:, None]
        self._buckets: dict[tuple[int, bytes], deque[int]] = {}

    def signature(self, words: Sequence[int]) -> NDArray[np.uint64]:
        """The smallest hash of the words under each of 64 functions; shape (BANDS, ROWS)."""
        folded = np.array(words, np.uint64) % _PRIME
        return ((self._times * folded + self._plus) % _PRIME).min(axis=1).reshape(BANDS, ROWS)

    def met(self, signature: NDArray[np.uint64]) -> list[int]:
        """The texts that share a band, those that share most of them first."""
        found = Counter[int]()
        for band, row in enumerate(signature):
            found.update(self._buckets.get((band, row.tobytes()), ()))
        return [number for number, _ in found.most_common(MOST_TRIED)]

    def add(self, number: int, signature: NDArray[np.uint64]) -> None:
        """Let later texts meet this one."""
        for band, row in enumerate(signature):
            key = (band, row.tobytes())
            self._buckets.setdefault(key, deque(maxlen=MOST_MET)).append(number)
