"""Scores of the labelled texts that are most alike, averaged; it knows no text.

Likeness is the cosine of coordinates in the main directions of the texts' columns. The number of
neighbours grows with the root of the number of texts (as consistency needs; Stone 1977).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
OF_ROOT, FEWEST = 0.6, 5
LEAST_LIKENESS = 0.01
AT_ONCE = 512


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Unit `places` (N, K) of the labelled texts and their `scores` (N, M)."""

    places: NDArray[np.float16]
    scores: NDArray[np.float16]

    @classmethod
    def of(cls, places: Floats, scores: Floats) -> Neighbours:
        """The neighbours that are to be asked."""
        return cls(_unit(places).astype(np.float16), scores.astype(np.float16))

    def predict(self, places: Floats) -> Floats:
        """The mean score (rows, M) of each row's neighbours, weighted by their likeness squared."""
        count = min(len(self.places), max(FEWEST, round(OF_ROOT * len(self.places) ** 0.5)))
        known, scores = self.places.astype(np.float32), self.scores.astype(np.float64)
        unit = _unit(places).astype(np.float32)
        found = np.zeros((len(places), scores.shape[1]))
        for start in range(0, len(unit), AT_ONCE):
            alike = unit[start : start + AT_ONCE] @ known.T
            nearest = np.argpartition(-alike, count - 1, axis=1)[:, :count]
            weight = np.maximum(np.take_along_axis(alike, nearest, 1), LEAST_LIKENESS) ** 2
            sums = (weight[:, :, None] * scores[nearest]).sum(axis=1)
            found[start : start + AT_ONCE] = sums / weight.sum(axis=1, keepdims=True)
        return found


def _unit(places: Floats) -> Floats:
    return places / np.maximum(np.linalg.norm(places, axis=1, keepdims=True), 1e-12)
