"""CIE Lab of sRGB pixels (D65; Lindbloom's formulas), where a distance is about what eyes see.

Pure numpy; knows no photo and no name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float32]


def floats(values: ArrayLike) -> Array:
    """`values` in single precision."""
    return np.asarray(values, np.float32)


TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ],
    dtype=np.float32,
)
WHITE = TO_XYZ.sum(axis=1)
EPSILON, KAPPA = 216 / 24389, 24389 / 27
# What each of 256 levels of a channel is in linear light.
LINEAR = np.where(
    np.arange(256) <= 10,
    np.arange(256) / 255 / 12.92,
    ((np.arange(256) / 255 + 0.055) / 1.055) ** 2.4,
).astype(np.float32)


def lab_of(rgb: NDArray[np.uint8]) -> Array:
    """(..., 3) of L (0 to 100), a and b, for (..., 3) bytes of red, green and blue."""
    xyz = LINEAR[rgb] @ TO_XYZ.T / WHITE
    bent = np.where(xyz > EPSILON, np.cbrt(xyz), (KAPPA * xyz + 16) / 116)
    light = 116 * bent[..., 1] - 16
    red, blue = 500 * (bent[..., 0] - bent[..., 1]), 200 * (bent[..., 1] - bent[..., 2])
    return floats(np.stack([light, red, blue], axis=-1))
