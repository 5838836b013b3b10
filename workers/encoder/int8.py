"""Makes 8-bit matrices of 4-bit blocks, while loading: rows of one scale for integer products.

A block's largest weight is stored as -8, so that a row's largest is 8 times its largest scale and
needs no search. Values are rounded to 1/127 of that. Shapes as in `packed.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.encoder.packed import TOP

LARGEST = 127
# Factors are whole numbers of 1/256: 8 times the largest of them stays within 16 bits.
STEPS = 256


def to_rows(
    scales_OG: NDArray[Any], bytes_OGB: NDArray[Any]
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Values (I, O), as the product reads them, and scales (O,) of a matrix of 4-bit blocks."""
    scales_OG = scales_OG.astype(np.float32)
    scale_O = np.abs(scales_OG).max(axis=1) * np.float32(TOP / LARGEST)
    scale_O = np.maximum(scale_O, np.float32(1e-12))
    factors_OG = np.rint(scales_OG / scale_O[:, None] * STEPS).astype(np.int16)
    values = np.empty((*bytes_OGB.shape[:2], 2, bytes_OGB.shape[2]), np.int16)
    np.bitwise_and(bytes_OGB, 15, out=values[:, :, 0], casting="unsafe")
    np.right_shift(bytes_OGB, 4, out=values[:, :, 1], casting="unsafe")
    values -= TOP
    values *= factors_OG[:, :, None, None]
    values += STEPS // 2
    values >>= 8
    rows_OI = values.astype(np.int8).reshape(len(values), -1)
    return np.ascontiguousarray(rows_OI.T), scale_O
