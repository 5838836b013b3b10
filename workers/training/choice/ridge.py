"""What linear heads say of texts they did not see, and the scale of most likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.choice.calibration import shares
from workers.choice.known import TrainedHead
from workers.choice.ridge import PENALTY, train

Floats = NDArray[np.floating[Any]]
SCALES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 16.0, 24.0)


def left_out(
    vectors: Floats,
    classes: Sequence[int],
    weights: Floats,
    fold: NDArray[np.int64],
    penalty: float = PENALTY,
) -> Floats:
    """Scores (N, classes) of texts of a fold from 0 on, by heads that it did not train."""
    scores = np.zeros((len(vectors), max(classes) + 1))
    for left in range(int(fold.max()) + 1):
        kept = fold != left
        known = [one for one, is_kept in zip(classes, kept, strict=True) if is_kept]
        head = train(vectors[kept], known, weights[kept], penalty)
        scores[~kept] = vectors[~kept] @ head.slopes + head.offsets
    return scores


def scaled(
    head: TrainedHead, scores: Floats, classes: NDArray[np.int64]
) -> tuple[TrainedHead, float]:
    """The head at the scale of greatest likelihood of left-out classes, and that scale."""

    def loss(scale: float) -> float:
        found = shares(scores, 1 / scale)[np.arange(len(classes)), classes]
        return -float(np.log(np.maximum(found, 1e-9)).mean())

    scale = min(SCALES, key=loss)
    return TrainedHead(head.slopes * scale, head.offsets * scale), scale
