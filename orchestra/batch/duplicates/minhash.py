"""Finds texts that share most of their words, without comparing each with each.

MinHash (Broder 1997) over words, and bands of it (Leskovec, Rajaraman, Ullman, "Mining of Massive
Datasets", 3.4): texts that share 80% of their words meet in a band with a probability of .99,
those that share 90% with .99999.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BANDS, ROWS = 12, 5
MOST_MET = 32  # texts that a band's bucket holds, the latest: many share a shop's phrases
MOST_TRIED = 64
_PRIME = np.uint64((1 << 31) - 1)

Signature = tuple[int, ...]  # a number for each band


class Bands:
    """Texts by the smallest of their words' hashes. Some 2 KB a text."""

    def __init__(self, seed: int = 20) -> None:
        draw = np.random.default_rng(seed)
        most = int(_PRIME)
        self._times = draw.integers(1, most, BANDS * ROWS, np.uint64)[:, None]
        self._plus = draw.integers(0, most, BANDS * ROWS, np.uint64)[:, None]
        self._mixed = draw.integers(1, most, (BANDS, ROWS), np.uint64) | np.uint64(1)
        self._buckets: dict[int, int | list[int]] = {}  # one text alone stands without a list

    def signature(self, words: Sequence[int]) -> Signature:
        """What texts are met by: the smallest hashes of the words, each band's as a number."""
        folded = np.array(words, np.uint64) % _PRIME
        least: NDArray[np.uint64] = ((self._times * folded + self._plus) % _PRIME).min(axis=1)
        mixed = (least.reshape(BANDS, ROWS) * self._mixed).sum(axis=1, dtype=np.uint64)
        return tuple(int(number) * BANDS + band for band, number in enumerate(mixed))

    def met(self, signature: Signature) -> list[int]:
        """The texts that share a band, those that share most of them first."""
        found = Counter[int]()
        for key in signature:
            there = self._buckets.get(key)
            if there is not None:
                found.update([there] if isinstance(there, int) else there)
        return [number for number, _ in found.most_common(MOST_TRIED)]

    def add(self, number: int, signature: Signature) -> None:
        """Let later texts meet this one."""
        for key in signature:
            there = self._buckets.get(key)
            if there is None:
                self._buckets[key] = number
            elif isinstance(there, int):
                self._buckets[key] = [there, number]
            else:
                there.append(number)
                del there[:-MOST_MET]
