"""Names settled on the texts of one table: what they mean there, learnt without labels.

A mixture with one component a name, begun where the names point and held to them: expectation and
maximisation with one covariance for all components (as in transductive zero-shot classification,
Martin et al. 2024, for images). A name that no text bears fades. Known texts keep their names.
Shapes: N texts, K names, W numbers of a place, D kept directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.choice.calibration import shares

Floats = NDArray[np.floating[Any]]
DIRECTIONS, STEPS = 32, 10
LEAST_TEXTS = 30  # fewer say nothing of a table
HELD = 0.3  # weight of what the names say
SHARP = 0.5  # of what the mixture says: texts of one name vary more than one covariance holds
TRUST = 5.0  # so many texts weigh as much as the name itself
SPREAD = 0.3  # of the mean variance, added to each direction
LEAST_AGREED = 0.4  # of the texts keep their first name, or the mixture has gone astray


@dataclass(frozen=True, slots=True, eq=False)
class Mixture:
    """`axes` (W, D) after `middle` (W); `slopes` (D, K) and `offset` (K) score a place."""

    middle: Floats
    axes: Floats
    slopes: Floats
    offset: Floats

    def shares(self, places: Floats, first: Floats, temperature: float = 1.0) -> Floats:
        """Probabilities (N, K) by the mixture and by what the names said first (N, K)."""
        scores = ((places - self.middle) @ self.axes) @ self.slopes + self.offset
        return shares(SHARP * scores + HELD * np.log(np.maximum(first, 1e-9)), temperature)


def settled(
    places: Floats, promised: Floats, first: Floats, fits: Floats, known: NDArray[np.int64]
) -> Mixture | None:
    """The mixture of a table; None where it is too small or goes astray.

    `promised` (K, W) is where names' texts are expected, `first` (N, K) what names alone say, if
    one is right, which `fits` (N) says: texts that are none of the names teach little. `known` (N)
    is the place of a text's name, -1 where it is not known.
    """
    if len(places) < LEAST_TEXTS:
        return None
    clamped = np.eye(first.shape[1], dtype=np.float32)[known[known >= 0]]
    middle = places.mean(axis=0)
    axes = _axes(places - middle)
    points, begun = (places - middle) @ axes, (promised - middle) @ axes
    share, mixture = first, None
    for _ in range(STEPS):
        weights = share * fits[:, None]
        weights[known >= 0] = clamped
        mixture = _estimated(points, weights, begun, middle, axes)
        share = mixture.shares(places, first)
    agreed = (share.argmax(axis=1) == first.argmax(axis=1)).mean()
    return mixture if agreed >= LEAST_AGREED else None


def _axes(away: Floats) -> Floats:
    """The directions (W, D) in which the texts vary most."""
    _, vectors = np.linalg.eigh((away.T @ away) / len(away))
    return np.ascontiguousarray(vectors[:, ::-1][:, :DIRECTIONS], dtype=np.float32)


def _estimated(
    points: Floats, weights: Floats, begun: Floats, middle: Floats, axes: Floats
) -> Mixture:
    weight = weights.sum(axis=0)
    summed = weights.T @ points
    centres = (summed + TRUST * begun) / (weight + TRUST)[:, None]
    cross = centres.T @ summed
    own = (points.T * weights.sum(axis=1)) @ points
    scatter = own - cross - cross.T + (centres.T * weight) @ centres
    covariance = scatter / weights.sum()
    covariance += SPREAD * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    slopes = np.linalg.solve(covariance, centres.T).astype(np.float32)
    common = np.log((weight + 1) / (weight + 1).sum()) / SHARP
    offset = common - 0.5 * (centres.T * slopes).sum(axis=0)
    return Mixture(middle, axes, slopes, offset.astype(np.float32))
