"""Linear heads in closed form: least squares on the classes, a little held to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.choice.known import TrainedHead

Floats = NDArray[np.floating[Any]]
PENALTY = 3.0


def train(
    vectors: Floats, classes: Sequence[int], weights: Floats, penalty: float = PENALTY
) -> TrainedHead:
    """A head of vectors (N, W) with classes from 0 on; its scale is not calibrated."""
    middle, target = vectors.mean(axis=0), np.eye(max(classes) + 1)[list(classes)]
    share = (weights[:, None] * target).sum(axis=0) / weights.sum()
    away = (vectors - middle).astype(np.float64)
    bend = (away.T * weights) @ away + penalty * weights.mean() * np.eye(away.shape[1])
    slopes = np.linalg.solve(bend, away.T @ (weights[:, None] * (target - share)))
    return TrainedHead(slopes, share - middle @ slopes)
