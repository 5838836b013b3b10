"""Turns a text into ids of pieces with the characters that each stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workers.encoder.normal import SPACE, Spelling, spell
from workers.encoder.packed import PackedFile
from workers.encoder.vocabulary import LONGEST_WORD, PieceVocabulary, Word

KEPT_WORDS = 50_000
LONGEST_KEPT = 32


@dataclass(frozen=True, slots=True)
class Tokens:
    """Ids (N,) without special tokens, and offsets (N, 2): characters of the text.

    A piece that is only the space before a word has an empty span.
    """

    ids: NDArray[np.int32]
    offsets: NDArray[np.int32]


class Tokenizer:
    """The tokenizer of one packed file; threads may share it."""

    def __init__(self, packed: PackedFile) -> None:
        self._characters = packed.characters
        self._vocabulary = PieceVocabulary(packed.pieces)
        self._kept: dict[str, Word] = {}
        pieces = packed.pieces
        self.bos, self.eos, self.unknown = pieces.bos, pieces.eos, pieces.unknown

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens of each text."""
        spellings = [spell(text, self._characters) for text in texts]
        places = [[cut for word in s.words() for cut in _cut(*word)] for s in spellings]
        wanted = dict.fromkeys(word for placed in places for word, _ in placed)
        known = self._split(list(wanted))
        return [_tokens(s, placed, known) for s, placed in zip(spellings, places, strict=True)]

    def _split(self, words: list[str]) -> dict[str, Word]:
        known = {word: kept for word in words if (kept := self._kept.get(word))}
        new = [word for word in words if word not in known]
        found = dict(zip(new, self._vocabulary.words(new), strict=True))
        if len(self._kept) > KEPT_WORDS:
            self._kept = {}
        self._kept.update(
            {word: split for word, split in found.items() if len(word) <= LONGEST_KEPT}
        )
        return known | found


def _cut(word: str, at: int) -> list[tuple[str, int]]:
    """A word as the vocabulary takes it, with where it begins; the long one in parts.

    The mark of the space stands before the word: its first character is no character of the text.
    """
    marked = SPACE + word
    return [
        (marked[start : start + LONGEST_WORD], at - 1 + start)
        for start in range(0, len(marked), LONGEST_WORD)
    ]


def _tokens(spelling: Spelling, placed: list[tuple[str, int]], known: dict[str, Word]) -> Tokens:
    ids: list[int] = []
    spans: list[tuple[int, int]] = []
    for word, at in placed:
        pieces, ends = known[word]
        ids += pieces
        start = 0
        for end in ends:
            # The mark of the space is no character of the text.
            first = at + start + (start == 0 and word[0] == SPACE)
            spans.append(spelling.span(first, at + end))
            start = end
    return Tokens(np.array(ids, np.int32), np.array(spans, np.int32).reshape(-1, 2))
