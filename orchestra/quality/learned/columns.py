"""Turns texts into columns of like size: standardised cues and, with an encoder, centred vectors.

What is far from everything that was fitted counts as the farthest that was seen: standardised cues
are cut off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestra.quality.learned.cues import NAMES, matrix

Floats = NDArray[np.float64]
Vectors = Callable[[Sequence[str]], NDArray[np.float32]]  # texts to unit vectors (texts, D)
MOST_SPREADS = 4.0
LEAST_SPREAD = 1e-6  # what differs by less is one value, rounded
OPTIONS = NAMES.index("option_count")


@dataclass(frozen=True, slots=True)
class ReadTexts:
    """Texts as they were read: `cues` (texts, F), NaN where a text has none of a kind, and
    `vectors` (texts, D); D is 0 without an encoder."""

    cues: Floats
    vectors: Floats

    @classmethod
    def of(cls, texts: Sequence[str], vectors: Vectors | None) -> ReadTexts:
        """Read `texts`, with their vectors where there is an encoder."""
        found = np.zeros((len(texts), 0)) if vectors is None else vectors(texts)
        return cls(matrix(texts), np.asarray(found, dtype=np.float64))

    def part(self, rows: NDArray[np.int64]) -> ReadTexts:
        """Some of the texts."""
        return ReadTexts(self.cues[rows], self.vectors[rows])

    @property
    def has_options(self) -> NDArray[np.bool_]:
        """Whether each text brings options to choose from."""
        return ~np.isnan(self.cues[:, OPTIONS])

    def __len__(self) -> int:
        return len(self.cues)


@dataclass(frozen=True, slots=True)
class ColumnScale:
    """Means (F + D,) and spreads (F + D,) of the columns; all coordinates of a vector share one
    spread, as their sizes tell which of them count."""

    mean: Floats
    spread: Floats

    @classmethod
    def of(cls, read: ReadTexts) -> ColumnScale:
        """That of the texts fitted to."""
        known = np.where(np.isnan(read.cues), 0.0, read.cues)
        count = np.maximum((~np.isnan(read.cues)).sum(axis=0), 1)
        mean = known.sum(axis=0) / count
        apart = np.where(np.isnan(read.cues), 0.0, read.cues - mean)
        spread = np.sqrt((apart**2).sum(axis=0) / count)
        middle = read.vectors.mean(axis=0)
        width = float(np.sqrt(np.mean((read.vectors - middle) ** 2))) if read.vectors.size else 1.0
        widths = np.full(read.vectors.shape[1], width or 1.0)
        spread = np.where(spread > LEAST_SPREAD, spread, 1.0)
        return cls(np.concatenate([mean, middle]), np.concatenate([spread, widths]))

    def columns(self, read: ReadTexts) -> Floats:
        """Centred columns (texts, F + D) of unit spread; a cue that a text lacks is the mean."""
        whole = np.concatenate([read.cues, read.vectors], axis=1)
        scaled = np.nan_to_num((whole - self.mean) / self.spread, nan=0.0)
        return np.clip(scaled, -MOST_SPREADS, MOST_SPREADS)
