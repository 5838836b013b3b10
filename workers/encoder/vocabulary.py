"""The unigram vocabulary: finds a word's most probable pieces (Kudo 2018, arXiv:1804.10959).

A library's unigram model takes a second and 270 MB to build out of 250,000 pieces, longer than the
network takes for a thousand titles; here a piece is found by a hash of its characters, and all
pieces are hashed at once. A hash of a piece's 64 bits decides: another string with the same one is
not expected in 10^13 look-ups, and would be a wrong token.

Shapes: N characters of the words at once, L lengths of a piece.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.encoder.packed import Pieces

Word = tuple[list[int], list[int]]  # ids of a word's pieces, and where each ends in the word
BASE = np.uint64(0x9E3779B97F4A7C13)  # 3 modulo 8: its powers differ soon in their low bits
INVERSE = np.uint64(pow(int(BASE), -1, 1 << 64))
MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
FILTER_BITS = 22
SHIFT = np.uint64(64 - FILTER_BITS)
UNKNOWN_PENALTY = 10.0  # below the worst piece, as SentencePiece has it
LONGEST_WORD = 2_048  # characters; what is longer is cut, so that memory stays bounded
AT_ONCE = 32_768


class PieceVocabulary:
    """Pieces with scores; `words` splits words, which begin with the mark of a space."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self.unknown = pieces.unknown
        ids = np.flatnonzero(pieces.scores < 0)  # special tokens have no score: no text is one
        starts, ends, characters = _boundaries(pieces)
        lengths = (ends - starts)[ids]
        self._longest = int(lengths.max())
        self._worst = float(pieces.scores[ids].min()) - UNKNOWN_PENALTY
        hashes = _hashes(characters, starts[ids], ends[ids])
        order = np.argsort(hashes)
        self._hashes, self._ids = hashes[order], ids[order].astype(np.int32)
        self._scores = pieces.scores[ids[order]].astype(np.float64)
        self._filter = np.zeros(1 << FILTER_BITS, np.bool_)
        self._filter[hashes >> SHIFT] = True

    def words(self, words: Sequence[str]) -> list[Word]:
        """Each word's pieces; characters that no piece has are one unknown piece a run."""
        found: list[Word] = []
        at = 0
        while at < len(words):
            taken, size = at, 0
            while taken < len(words) and (size == 0 or size + len(words[taken]) <= AT_ONCE):
                size += len(words[taken])
                taken += 1
            found += self._split(words[at:taken])
            at = taken
        return found

    def _split(self, words: Sequence[str]) -> list[Word]:
        characters = _code_points("".join(words))
        ends = np.cumsum([len(word) for word in words])
        matches = self._matches(characters, np.repeat(ends, np.diff(ends, prepend=0)))
        found, start = [], 0
        for end in ends.tolist():
            found.append(self._best(matches, start, end))
            start = end
        return found

    def _matches(self, characters: NDArray[Any], limit_N: NDArray[Any]) -> list[list[Any]]:
        """For each character the pieces that begin there: (end, id, score), shortest first."""
        start_N = np.arange(len(characters))
        end_NL = start_N[:, None] + np.arange(1, self._longest + 1)
        start, length = np.nonzero(end_NL <= limit_N[:, None])
        end = start + length + 1
        hashes = _hashes(characters, start, end)
        likely = np.flatnonzero(self._filter[hashes >> SHIFT])
        places = np.searchsorted(self._hashes, hashes[likely])
        places = np.minimum(places, len(self._hashes) - 1)
        is_piece = self._hashes[places] == hashes[likely]
        places, likely = places[is_piece], likely[is_piece]
        matches: list[list[Any]] = [[] for _ in range(len(characters))]
        listed = (
            array.tolist()
            for array in (start[likely], end[likely], self._ids[places], self._scores[places])
        )
        for begins, ends, piece, score in zip(*listed, strict=True):
            matches[begins].append((ends, piece, score))
        return matches

    def _best(self, matches: list[list[Any]], start: int, end: int) -> Word:
        """The most probable way from `start` to `end` (Viterbi 1967)."""
        score = [-1e30] * (end - start + 1)
        score[0] = 0.0
        came = [(0, self.unknown)] * (end - start + 1)
        for at in range(start, end):
            here = score[at - start]
            following = matches[at]
            if not following or following[0][0] != at + 1:
                following = [(at + 1, self.unknown, self._worst), *following]
            for ends, piece, gain in following:
                if here + gain > score[ends - start]:
                    score[ends - start] = here + gain
                    came[ends - start] = (at - start, piece)
        return self._path(came, end - start)

    def _path(self, came: list[tuple[int, int]], at: int) -> Word:
        ids: list[int] = []
        ends: list[int] = []
        while at:
            before, piece = came[at]
            if not (piece == self.unknown and ids and ids[-1] == piece):
                ids.append(piece)
                ends.append(at)
            at = before
        return ids[::-1], ends[::-1]


def _code_points(text: str) -> NDArray[Any]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _boundaries(pieces: Pieces) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Where pieces begin and end among the characters of their text, and those characters."""
    raw = np.frombuffer(pieces.text, np.uint8)
    begun = np.zeros(len(raw) + 1, np.int64)
    np.cumsum((raw & 0xC0) != 0x80, out=begun[1:])
    places = begun[pieces.offsets]
    return places[:-1], places[1:], _code_points(pieces.text.decode())


def _hashes(characters: NDArray[Any], start: NDArray[Any], end: NDArray[Any]) -> NDArray[Any]:
    """A hash of each `characters[start:end]`: a polynomial in BASE, modulo 2^64."""
    values = characters.astype(np.uint64)
    values = (values ^ (values >> np.uint64(7))) * MIX[0]
    values = (values ^ (values >> np.uint64(31))) * MIX[1]
    sums = np.zeros(len(values) + 1, np.uint64)
    np.cumsum(values * _powers(BASE, len(values)), out=sums[1:])
    return ((sums[end] - sums[start]) * _powers(INVERSE, len(values) + 1)[start]) * MIX[0]


def _powers(base: np.uint64, count: int) -> NDArray[np.uint64]:
    powers = np.full(count, base, np.uint64)
    powers[:1] = 1
    return np.cumprod(powers)
