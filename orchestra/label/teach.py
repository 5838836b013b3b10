"""Proposes the rows that teach most: those least sure, and unlike each other.

Greedy: each row is the one of greatest doubt times distance to all that were taken before it
(uncertainty by diversity, as in Sener and Savarese 2018 with weights). Distances are between the
shared encoder's vectors, or between words where it is not installed.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from orchestra.core.errors import MissingExtra
from orchestra.fleet.source import load_worker

ENCODER = "workers.encoder.encoder:shared_encoder"
TEACHES = "teaches: "  # begins the stratum of a row that was proposed
MOST_COMPARED = 600  # the least sure; a text takes some 20 ms to encode
WORDS_WIDTH = 512
LEAST_DOUBT = 0.02  # of a row that is sure, so that diversity alone may choose it
Vectors = Callable[[Sequence[str]], np.ndarray]


def teaching(
    texts: Mapping[str, str], sure: Mapping[str, float], rows: int, vectors: Vectors | None = None
) -> dict[str, str]:
    """Up to `rows` row ids with why each was taken. `sure` is of each row's least sure field."""
    compared = sorted(texts, key=lambda row_id: (sure[row_id], row_id))[:MOST_COMPARED]
    if not compared or rows < 1:
        return {}
    place = (vectors or text_vectors)([texts[row_id] for row_id in compared])
    doubt = np.array([1 - sure[row_id] for row_id in compared]) + LEAST_DOUBT
    far = np.ones(len(compared))
    taken: dict[str, str] = {}
    for _ in range(min(rows, len(compared))):
        worth = doubt * far
        at = int(worth.argmax())
        row_id = compared[at]
        unlike = "" if not taken else f", and {far[at]:.0%} unlike the nearest row before it"
        taken[row_id] = f"{TEACHES}its least sure field is sure to {sure[row_id]:.0%}{unlike}"
        far = np.minimum(far, np.clip(1 - place @ place[at], 0, 1))
        far[at] = -1.0
    return taken


def text_vectors(texts: Sequence[str]) -> np.ndarray:
    """Vectors of length 1, centred so that texts of one kind differ."""
    try:
        found = np.asarray(load_worker(ENCODER)(1).vectors(texts), dtype=float)
    except MissingExtra:
        found = word_vectors(texts)
    found = found - found.mean(0) * (len(texts) > 2)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def word_vectors(texts: Sequence[str]) -> np.ndarray:
    """Counts of words by a hash."""
    found = np.zeros((len(texts), WORDS_WIDTH))
    for at, text in enumerate(texts):
        for word in text.lower().split():
            found[at, zlib.crc32(word.encode()) % WORDS_WIDTH] += 1
    return found
