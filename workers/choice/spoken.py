"""Which names a text says itself; a name that stands in a text is likelier meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestra.core.values import CJK
from workers.choice.names import plain, same

WORD = re.compile(r"[^\W_]+")
PARTLY = 0.5  # what a part of a name's words counts


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """The names that hold each word, how many words each holds, and Chinese names by place."""

    bearers: dict[str, list[int]]
    sizes: NDArray[np.floating[Any]]
    written: dict[int, str]


def spoken(texts: Sequence[str], names: tuple[str, ...]) -> NDArray[np.floating[Any]]:
    """(texts, names): 1 where all words of a name stand in the text, less where some do."""
    index = _index(names)
    table = np.zeros((len(texts), len(names)), np.float32)
    for row, text in enumerate(texts):
        for word in _words(text):
            for at in index.bearers.get(word, ()):
                table[row, at] += 1
        if index.written and CJK.search(text):
            said = plain(text)
            for at, name in index.written.items():
                if name in said:
                    table[row, at] = index.sizes[at]
    share = table / index.sizes
    return np.where(share < 1, PARTLY * share, 1)


@lru_cache(maxsize=64)
def _index(names: tuple[str, ...]) -> _Index:
    words = [_words(name) for name in names]
    bearers: dict[str, list[int]] = {}
    for at, own in enumerate(words):
        for word in own:
            bearers.setdefault(word, []).append(at)
    sizes = np.array([max(1, len(own)) for own in words], np.float32)
    written = {at: plain(name) for at, name in enumerate(names) if CJK.search(name)}
    return _Index(bearers, sizes, written)


@lru_cache(maxsize=65536)
def _words(text: str) -> frozenset[str]:
    return frozenset(same(word) for word in WORD.findall(text) if not CJK.search(word))
