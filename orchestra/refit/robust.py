"""Fits with few, non-negative parts that a few wild values do not move; numbers only."""

from __future__ import annotations

import itertools
import math

import numpy as np

ROUNDS = 40
SHARPEST = 0.01  # a residual under this share weighs no more: it is exact already
RIDGE = 1e-9


def fit_shares(
    features: np.ndarray, values: np.ndarray, scale: np.ndarray | None = None
) -> np.ndarray:
    """Non-negative parts b (k,) that keep the shares |features b - values| / scale small.

    Least absolute residuals by reweighted least squares, so nearly half the values may be wild.
    `features` is (n, k) with k small, `scale` (n,) above 0; without it, it is `values`.
    """
    scale = values if scale is None else scale
    scaled, aim = features / scale[:, None], values / scale
    weights = np.ones(len(values))
    parts = np.zeros(features.shape[1])
    for _ in range(ROUNDS):
        parts = nonnegative(scaled * weights[:, None], aim * weights)
        weights = 1 / np.sqrt(np.maximum(np.abs(scaled @ parts - aim), SHARPEST))
    return parts


def nonnegative(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The b >= 0 with the least |features b - values|^2, by trying each set of parts that are 0."""
    size = features.shape[1]
    lengths = np.sqrt((features**2).sum(axis=0))
    lengths[lengths == 0] = 1.0
    scaled = features / lengths
    gram, aim = scaled.T @ scaled, scaled.T @ values
    best, least = np.zeros(size), 0.0
    for count in range(1, size + 1):
        for chosen in itertools.combinations(range(size), count):
            kept = list(chosen)
            inner = gram[np.ix_(kept, kept)] + RIDGE * np.eye(count)
            parts = np.linalg.solve(inner, aim[kept])
            if (parts < 0).any():
                continue
            found = parts @ gram[np.ix_(kept, kept)] @ parts - 2 * parts @ aim[kept]
            if found < least - 1e-12:
                least = found
                best = np.zeros(size)
                best[kept] = parts
    return best / lengths


def high(shares: np.ndarray, level: float = 0.99) -> float:
    """The value that a new one of the same kind stays under with probability `level`.

    The order statistic that split conformal prediction takes; under 99 values it is the largest.
    """
    rank = min(len(shares), math.ceil((len(shares) + 1) * level))
    return float(np.sort(shares)[rank - 1])


def median_gain(before: np.ndarray, after: np.ndarray, *, seed: int = 0) -> tuple[float, float]:
    """95% interval of how much the median of paired errors fell, by bootstrap."""
    draw = np.random.default_rng(seed)
    picks = draw.integers(0, len(before), (1000, len(before)))
    gains = np.median(before[picks], axis=1) - np.median(after[picks], axis=1)
    low, top = np.quantile(gains, [0.025, 0.975])
    return float(low), float(top)
