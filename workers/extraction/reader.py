"""Reads fields off a text in one pass: the shared encoder, then the span head.

A long text is read in windows; what stands in two of them counts once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workers.extraction.fields import matches
from workers.extraction.head import WIDEST, Floats, SpanHead
from workers.extraction.marks import marks_of
from workers.extraction.words import Span, pooling, words_of

WINDOW = 240  # words
STEP = WINDOW - 2 * WIDEST
MOST_FIELDS = 16  # at once; training showed no more


class States(Protocol):
    """A text as an encoder read it; see `workers.encoder.content.Encoded`."""

    @property
    def vector(self) -> Floats: ...
    @property
    def states(self) -> Floats: ...
    @property
    def offsets(self) -> NDArray[np.int32]: ...


class TextEncoder(Protocol):
    """What a reader needs of an encoder."""

    def encode(self, texts: Sequence[str], *, states_of: int | None = None) -> Sequence[States]: ...


@dataclass(frozen=True, slots=True)
class Found:
    """Spans of one field in one text: characters (N, 2), probabilities (N,), best first.

    `absent` is the probability that the text does not state it.
    """

    spans: NDArray[np.int64]
    shares: Floats
    absent: float

    def pairs(self) -> Iterator[tuple[Span, float]]:
        """Each span with its probability, best first."""
        for (start, end), share in zip(self.spans, self.shares, strict=True):
            yield (int(start), int(end)), float(share)


class FieldReader:
    """Reads any fields off any text; threads may share it."""

    def __init__(self, encoder: TextEncoder, head: SpanHead) -> None:
        self._encoder, self._head = encoder, head

    def read(self, text: str, queries: Sequence[str]) -> list[Found]:
        """What `text` says of each query (see `fields.query`)."""
        encoded, *asked = self._encoder.encode([text, *queries], states_of=self._head.layer)
        fields = np.stack([_field(one) for one in asked]) if asked else np.zeros((0, 2, 1))
        found: list[Found] = []
        for at in range(0, len(queries), MOST_FIELDS):
            part = slice(at, at + MOST_FIELDS)
            found += self._read(text, encoded, queries[part], fields[part].astype(np.float32))
        return found

    def _read(
        self, text: str, encoded: States, queries: Sequence[str], fields: Floats
    ) -> list[Found]:
        tokens = [(int(a), int(b)) for a, b in encoded.offsets]
        words = words_of(text, tokens)
        marks = marks_of(text, words)
        if not words:
            return [Found(np.zeros((0, 2), np.int64), np.zeros(0, np.float32), 1.0)] * len(fields)
        spans: list[dict[Span, float]] = [{} for _ in fields]
        absent = np.ones(len(fields), np.float32)
        for first in range(0, max(1, len(words) - 2 * WIDEST), STEP):
            part = slice(first, first + WINDOW)
            kept = _within(tokens, words[part])
            shared = pooling(words[part], [tokens[i] for i in kept])
            alike = np.stack([matches(query, text, words[part]) for query in queries])
            scores = self._head.scores(fields, encoded.states[kept], shared, marks[part], alike)
            shares, none = scores.probabilities(self._head.temperature)
            absent = np.minimum(absent, none)
            for known, share in zip(spans, shares, strict=True):
                for span, value in _likely(share, words[part]):
                    known[span] = max(value, known.get(span, 0.0))
        return [_found(known, float(none)) for known, none in zip(spans, absent, strict=True)]


def _field(encoded: States) -> Floats:
    """What a field is to the head (2, H): the mean of its words' states, and its vector."""
    mean = encoded.states.mean(0) if len(encoded.states) else np.zeros_like(encoded.vector)
    return np.stack([mean, encoded.vector])


def _within(tokens: Sequence[Span], words: Sequence[Span]) -> list[int]:
    low, high = words[0][0], words[-1][1]
    return [i for i, (start, end) in enumerate(tokens) if start < high and end > low]


def _likely(share_WS: Floats, words: Sequence[Span]) -> Iterator[tuple[Span, float]]:
    """Spans that have any part of the probability worth a look."""
    for first, more in np.argwhere(share_WS > 1e-4):
        span = (words[first][0], words[first + more][1])
        yield span, float(share_WS[first, more])


def _found(known: dict[Span, float], absent: float) -> Found:
    order = sorted(known, key=lambda span: (-known[span], span))
    spans = np.asarray(order, np.int64).reshape(-1, 2)
    return Found(spans, np.asarray([known[span] for span in order], np.float32), absent)
