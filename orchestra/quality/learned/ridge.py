"""Linear fits of several models' scores at once, with a penalty chosen by leaving each row out.

Ridge regression in closed form; the error of leaving a row out follows from its leverage (Golub,
Heath and Wahba 1979), so no fold is fitted for it. It knows no text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)  # of the mean variance of a column, a row


@dataclass(frozen=True, slots=True)
class Ridge:
    """`level` (M,) and `slopes` (F, M): scores are level + columns @ slopes."""

    level: Floats
    slopes: Floats

    def predict(self, table: Floats) -> Floats:
        """Scores (rows, M) of centred columns (rows, F)."""
        return self.level + table @ self.slopes


def fit_ridge(table: Floats, scores: Floats, penalties: Sequence[float] = PENALTIES) -> Ridge:
    """The fit of least left-out squared error; `table` (rows, F) is centred, `scores` (rows, M)."""
    level = scores.mean(axis=0)
    values, axes = np.linalg.eigh(table.T @ table)
    values = np.maximum(values, 0.0)
    turned = table @ axes
    moment = turned.T @ (scores - level)
    unit = values.sum() / max(1, len(values))
    best: tuple[float, Floats] | None = None
    for penalty in penalties:
        shrunk = moment / (values + penalty * unit + 1e-9)[:, None]
        leverage = 1 / len(table) + (turned**2 / (values + penalty * unit + 1e-9)).sum(axis=1)
        left_out = (scores - level - turned @ shrunk) / np.maximum(1 - leverage, 1e-3)[:, None]
        error = float(np.square(left_out).sum())
        if best is None or error < best[0]:
            best = (error, axes @ shrunk)
    if best is None:
        raise ValueError(f"penalties={penalties!r} has none to choose from")
    return Ridge(level, best[1])
