"""Which names a text says itself; a name that stands in a text is likelier meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from orchestra.core.values import CJK
from workers.choice.names import plain, same

WORD = re.compile(r"[^\W_]+")
PARTLY = 0.5  # what a part of a name's words counts


def spoken(texts: Sequence[str], names: Sequence[str]) -> NDArray[np.float32]:
    """(texts, names): 1 where all words of a name stand in the text, less where some do."""
    bearers: dict[str, list[int]] = {}
    sizes = np.ones(len(names), np.float32)
    written = {at: plain(name) for at, name in enumerate(names) if CJK.search(name)}
    for at, name in enumerate(names):
        words = _words(name)
        sizes[at] = max(1, len(words))
        for word in words:
            bearers.setdefault(word, []).append(at)
    table = np.zeros((len(texts), len(names)), np.float32)
    for row, text in enumerate(texts):
        for word in _words(text):
            for at in bearers.get(word, ()):
                table[row, at] += 1
        if written and CJK.search(text):
            for at, name in written.items():
                table[row, at] = max(table[row, at], sizes[at] * (name in plain(text)))
    share = table / sizes
    return np.where(share < 1, PARTLY * share, 1).astype(np.float32)


@lru_cache(maxsize=65536)
def _words(text: str) -> frozenset[str]:
    return frozenset(same(word) for word in WORD.findall(text) if not CJK.search(word))
