"""The colours of the product in a photo: clusters of its pixels in Lab, and what they are called.

Knows no schema; `workers/vision/colour_answers.py` puts them into a user's words.

Shapes: N pixels, K clusters, S shades.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from workers.vision.foreground import Cut, cut_out, k_means
from workers.vision.lab import Array
from workers.vision.shades import shade_shares, shades

CLUSTERS = 6
# A photo whose brightest parts are dim is taken as this much brighter, at most; a shadow on a
# strong colour is still that colour, so those count for more than greys of the same size.
BRIGHT, MOST_BRIGHTER, STRENGTH, PLAIN = 95.8, 1.2, 0.66, 1.5
SURE = 0.5  # of being the product's: less likely pixels are not counted


@dataclass(frozen=True, slots=True)
class Palette:
    """Clusters of a product's pixels, largest first, and where the product is.

    `lab` (K, 3), `shares` (K), how much of it each is to the eye, together 1, and `names` (K, S)
    how likely each is called by each shade; `box` as fractions (left, top, right, bottom) of the
    photo.
    """

    lab: Array
    shares: Array
    names: Array
    box: tuple[float, float, float, float]

    def basics(self) -> dict[str, float]:
        """The part of the product that is called by each basic colour, most first."""
        parts: dict[str, float] = {}
        for shade, part in zip(shades(), (self.shares @ self.names).tolist(), strict=True):
            parts[shade.basic] = parts.get(shade.basic, 0.0) + part
        return dict(sorted(parts.items(), key=lambda item: -item[1]))

    def shades(self) -> Mapping[str, float]:
        """The part of the product that is called by each shade."""
        parts = (self.shares @ self.names).tolist()
        return {shade.name: part for shade, part in zip(shades(), parts, strict=True)}


def palette_of(image: Image.Image) -> Palette:
    """The palette of an upright RGB photo of one product."""
    return _palette(cut_out(image))


def _palette(cut: Cut) -> Palette:
    likely = cut.likely.reshape(-1)
    rows = np.flatnonzero(likely >= SURE)
    if not len(rows):
        rows = np.arange(len(likely))
    colours, weight = cut.lab.reshape(-1, 3)[rows], likely[rows] + 1e-6
    means, nearest = k_means(colours, CLUSTERS)
    shares = np.bincount(nearest, weight, len(means)) / weight.sum()
    lab = _lit(means, float(np.percentile(cut.lab[..., 0], 95)))
    shares = shares * (PLAIN + np.hypot(lab[:, 1], lab[:, 2]) / 50)
    order = np.argsort(-shares)
    order = order[shares[order] > 0]
    shares = (shares[order] / shares.sum()).astype(np.float32)
    return Palette(lab[order], shares, shade_shares(lab[order]), cut.box)


def _lit(lab_K3: Array, brightest: float) -> Array:
    """Colours under more light, in a photo whose brightest parts have the lightness `brightest`."""
    gain = min(max((BRIGHT + 16) / (brightest + 16), 1.0), MOST_BRIGHTER) ** STRENGTH
    lit = lab_K3 * gain
    lit[:, 0] += 16 * (gain - 1)
    return lit.astype(np.float32)
