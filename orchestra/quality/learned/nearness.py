"""How near a text is to those that were fitted, from 1 (as near as they are) to 0 (nothing alike).

Two distances are looked at: within the main directions of the fitted texts' columns (Mahalanobis),
and off them. The larger, as a multiple of what is usual, is compared with the distances that texts
of groups left out had, so that the bounds say how far a text of a new group usually is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST_AXES = 64
LEAST_SHARE = 0.01  # of all variance: what hardly varied in few texts may vary in others
USUAL, LAST = 0.95, 0.999  # of left-out texts: up to here near, from here on far


@dataclass(frozen=True, slots=True)
class Plane:
    """Main directions `axes` (F, K) of centred columns, their variances (K,), and the mean squared
    distance off them."""

    axes: Floats
    variances: Floats
    off: float

    @classmethod
    def of(cls, table: Floats) -> Plane:
        """The plane of columns (rows, F)."""
        values, axes = np.linalg.eigh(table.T @ table / len(table))
        kept = min(MOST_AXES, max(1, len(table) // 10), len(values))
        main = axes[:, ::-1][:, :kept]
        whole, rest = values.sum(), float(np.maximum(values[::-1][kept:], 0).sum())
        least = max(float(whole) * LEAST_SHARE, 1e-9)
        return cls(main, np.maximum(values[::-1][:kept], least / kept), max(rest, least))

    def places(self, table: Floats) -> Floats:
        """Coordinates (rows, K) in the plane."""
        return table @ self.axes

    def distance(self, table: Floats) -> Floats:
        """Of each row, as a multiple of the mean of the fitted ones."""
        places = self.places(table)
        within = (places**2 / self.variances).mean(axis=1)
        off = np.maximum((table**2).sum(axis=1) - (places**2).sum(axis=1), 0) / self.off
        return np.maximum(within, off)


def bounds_of(left_out: Floats) -> tuple[float, float]:
    """The distances up to which a text is near, and from which on it is far."""
    usual, last = np.quantile(left_out, (USUAL, LAST))
    return float(usual), float(max(last, usual * 1.01, 1e-9))


def nearness(distance: Floats, bounds: tuple[float, float]) -> Floats:
    """1 to 0, in between along a line."""
    usual, last = bounds
    return np.clip((last - distance) / (last - usual), 0.0, 1.0)
