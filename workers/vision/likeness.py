"""Which photos are nearly the same, by the directions of a tower's embeddings; pure numpy.

`OnnxEngine.photo_vectors` gives the vectors. The limits were read off 120 val photos, each against
the other 636 (`docs/experiments.md`): above `SAME` stands one in twenty nearest neighbours, which
are other photos of one product in one place; above `NEAR` one in a hundred photos of another kind.

Shapes: N photos, E embedding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
SAME, NEAR = 0.89, 0.79
AT_ONCE = 512


def directions(embedding_NE: Array) -> Array:
    """Embeddings at length 1, so that a dot product says how alike two photos are (1: the same)."""
    length = np.linalg.norm(embedding_NE, axis=1, keepdims=True)
    return (embedding_NE / np.maximum(length, 1e-12)).astype(np.float32)


def alike(vector_NE: Array, least: float = SAME) -> list[tuple[int, int, float]]:
    """Pairs of photos that are at least so alike: their rows, lower first, and how much."""
    found: list[tuple[int, int, float]] = []
    for start in range(0, len(vector_NE), AT_ONCE):
        part = vector_NE[start : start + AT_ONCE] @ vector_NE[start:].T
        for one, other in np.argwhere(np.triu(part, 1) >= least).tolist():
            found.append((start + one, start + other, float(part[one, other])))
    return found
