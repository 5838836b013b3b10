"""Arrays as text, to stand in a YAML or JSON file: numpy's .npz, deflated, in base64.

Nothing of a file is run: objects are refused, and so is what unpacks to more than it may.
"""

from __future__ import annotations

import base64
import binascii
import io
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 64 * 2**20
BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, binascii.Error)


def packed(arrays: Mapping[str, NDArray[Any]]) -> str:
    """`arrays` as text."""
    file = io.BytesIO()
    entries: dict[str, Any] = dict(arrays)
    np.savez_compressed(file, **entries)
    return base64.b64encode(file.getvalue()).decode("ascii")


def unpacked(text: str) -> dict[str, NDArray[Any]]:
    """The arrays in `text`. Raises ValueError where it holds none."""
    try:
        file = io.BytesIO(base64.b64decode(text, validate=True))
        with zipfile.ZipFile(file) as entries:
            size = sum(entry.file_size for entry in entries.infolist())
        if size > MOST_BYTES:
            raise ValueError(f"it unpacks to {size} bytes, over {MOST_BYTES}")
        file.seek(0)
        with np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except BROKEN as error:
        raise ValueError(f"the arrays cannot be read: {error}") from error
