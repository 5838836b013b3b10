"""Adam (Kingma and Ba 2015) over numpy arrays, for heads that are trained without torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Adam:
    """Adam over arrays that it changes in place."""

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._arrays = arrays
        self._first = [np.zeros_like(array) for array in arrays]
        self._second = [np.zeros_like(array) for array in arrays]
        self._steps = 0

    def step(self, slopes: Sequence[np.ndarray], rate: float) -> None:
        """One step against `slopes`."""
        self._steps += 1
        for array, slope, first, second in zip(
            self._arrays, slopes, self._first, self._second, strict=True
        ):
            first += 0.1 * (slope - first)
            second += 0.01 * (slope * slope - second)
            size = np.sqrt(second / (1 - 0.99**self._steps)) + 1e-8
            array -= rate * first / (1 - 0.9**self._steps) / size
