"""Which pixels of a photo are the product: its border is background, its middle is not.

After the mixtures of GrabCut (Rother, Kolmogorov and Blake, 2004) without its graph cut: two
mixtures of colours, one of the border and one of the middle, are fitted in turn with the mask that
they give, which is smoothed. Where the product fills the photo, border and middle have the same
colours, and the middle is taken. Pure numpy; knows no product.

Shapes: H x W pixels, N of them, K colours of a mixture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from workers.vision.lab import Array, floats, lab_of

SIDE = 64  # pixels of the longer side that are looked at
FRAME = 0.06  # of a side: the border that the background is read off
COLOURS, ROUNDS, MEANS = 5, 3, 5
LEAST_SPREAD = 3.0  # of a colour in a mixture, in Lab
PRIOR, EDGE = 2.0, 1.15  # log odds of the middle; where, in half sides, the odds are even
SMOOTH = 2  # pixels around one that vote with it
LEAST_SHARE = 0.03  # of the photo: less is no product
CORE, LEAST_CORE = 0.45, 0.4  # half sides around the middle, and what of that a product covers


@dataclass(frozen=True, slots=True)
class Cut:
    """A small photo in Lab (H, W, 3), and how likely each pixel is the product's (H, W)."""

    lab: Array
    likely: Array

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Where the product is, as fractions (left, top, right, bottom) of the photo."""
        mask = self.likely >= 0.5
        if not mask.any():
            return (0.0, 0.0, 1.0, 1.0)
        down, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        high, wide = mask.shape
        return (
            float(across[0] / wide),
            float(down[0] / high),
            float((across[-1] + 1) / wide),
            float((down[-1] + 1) / high),
        )


def cut_out(image: Image.Image) -> Cut:
    """The product of an upright RGB photo of one product."""
    scale = SIDE / max(image.size)
    size = max(round(image.width * scale), 8), max(round(image.height * scale), 8)
    lab = lab_of(np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX)))
    high, wide = lab.shape[:2]
    down, across = np.mgrid[-1 : 1 : high * 1j, -1 : 1 : wide * 1j].astype(np.float32)
    prior = PRIOR * (EDGE - np.hypot(down, across)) / EDGE
    frame = (np.abs(down) > 1 - 2 * FRAME) | (np.abs(across) > 1 - 2 * FRAME)
    behind = _mixture(lab[frame])
    far = -behind.log_density(lab)
    # What is as near to the border's colours as most of the border itself is no sign of a product.
    known = np.quantile(far[frame], 0.9)
    likely = _sigmoid(prior + np.clip(far - known, -2, 4))
    for _ in range(ROUNDS):
        front = likely > 0.5
        if front.mean() < LEAST_SHARE or front.mean() > 1 - LEAST_SHARE:
            break
        behind = _mixture(lab[~front | frame], lab[~front & ~frame])
        odds = _mixture(lab[front]).log_density(lab) - behind.log_density(lab)
        likely = _sigmoid(prior + _smooth(np.clip(odds, -6, 6)))
    # A product that reaches the border is taken for background: then the middle stands for it.
    core = likely[np.hypot(down, across) < CORE]
    if (core > 0.5).mean() < LEAST_CORE or (likely > 0.5).mean() < LEAST_SHARE:
        likely = _sigmoid(4 * prior)
    return Cut(lab, likely)


@dataclass(frozen=True, slots=True)
class _Mixture:
    """Round clouds of colour: means (K, 3), variances (K), log shares (K)."""

    means: Array
    variances: Array
    logs: Array

    def log_density(self, lab: Array) -> Array:
        """(...) for (..., 3) colours; light counts for half, for shadows lie on everything."""
        apart = lab[..., None, :] - self.means
        apart[..., 0] *= 0.7
        square = (apart**2).sum(axis=-1)
        parts = self.logs - square / (2 * self.variances) - 1.5 * np.log(self.variances)
        most = parts.max(axis=-1, keepdims=True)
        return (most + np.log(np.exp(parts - most).sum(axis=-1, keepdims=True)))[..., 0]


def _mixture(*groups: Array) -> _Mixture:
    colours = np.concatenate([group.reshape(-1, 3) for group in groups])
    means, nearest = k_means(colours, COLOURS)
    counts = np.bincount(nearest, minlength=len(means))
    square = ((colours - means[nearest]) ** 2).mean(axis=1)
    spread = np.bincount(nearest, square, len(means)) / np.maximum(counts, 1)
    shares = np.maximum(counts, 0.5) / len(colours)
    variances = np.maximum(spread, LEAST_SPREAD**2).astype(np.float32)
    return _Mixture(means, variances, np.log(shares).astype(np.float32))


def k_means(colours: Array, count: int) -> tuple[Array, NDArray[np.intp]]:
    """At most `count` means (K, 3) of (N, 3) colours, begun farthest first, and each one's own."""
    means = colours.mean(axis=0, keepdims=True)
    thinned = colours[:: max(1, len(colours) // 800)]
    while len(means) < count:
        apart = _square(thinned, means).min(axis=1)
        if apart.max() < LEAST_SPREAD**2:
            break
        # The 98th percentile, not the farthest: a stray pixel is no colour.
        means = np.concatenate([means, thinned[[np.argsort(apart)[int(0.98 * (len(apart) - 1))]]]])
    for _ in range(MEANS):
        nearest = _square(thinned, means).argmin(axis=1)
        for at in np.unique(nearest):
            means[at] = thinned[nearest == at].mean(axis=0)
    return means, _square(colours, means).argmin(axis=1)


def _square(colours: Array, means: Array) -> Array:
    return ((colours[:, None] - means) ** 2).sum(axis=-1)


def _smooth(odds: Array) -> Array:
    """The mean over a square around each pixel, by a table of sums."""
    side = 2 * SMOOTH + 1
    padded = np.pad(odds, ((SMOOTH + 1, SMOOTH), (SMOOTH + 1, SMOOTH)), mode="edge")
    sums = padded.cumsum(axis=0).cumsum(axis=1)
    around = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    return floats(around / side**2)


def _sigmoid(odds: Array) -> Array:
    return floats(1 / (1 + np.exp(-odds)))
