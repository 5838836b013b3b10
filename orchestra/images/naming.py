"""How messages name a photo, and what they say where it is too large."""

from __future__ import annotations

import re
from pathlib import Path

from orchestra.core.errors import ImageTooLarge
from orchestra.images.limits import ImageLimits


def shown(source: str | Path, length: int = 120) -> str:
    """The source as an error message names it: quoted, short, without a password."""
    text = re.sub(r"(?<=://)[^/@\s]*@", "", str(source))
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def too_large(source: str, size: str, limits: ImageLimits) -> ImageTooLarge:
    """The error of a photo of `size` bytes."""
    return ImageTooLarge(
        f"Image {shown(source)} has {size} bytes; the limit is {limits.max_bytes:,}. "
        "Save it smaller, or raise max_bytes."
    )
