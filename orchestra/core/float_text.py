"""Writes numbers of vectors as text: base64 of float32, little endian, as OpenAI's API has it."""

from __future__ import annotations

import base64

import numpy as np
from numpy.typing import NDArray


def floats_to_text(values: NDArray[np.float32]) -> str:
    """`values` of any shape, flat, as text."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def text_to_floats(text: str) -> NDArray[np.float32]:
    """The values that `text` holds, flat. Raises `ValueError` for any other text."""
    return np.frombuffer(base64.b64decode(text, validate=True), "<f4").astype(np.float32)
