"""How messages name a photo, and what they say where it is too large."""

from __future__ import annotations

from pathlib import Path

from orchestra.core.errors import ImageTooLarge
from orchestra.core.redact import redacted
from orchestra.images.limits import ImageLimits

MOST_READ = 4096  # characters of a source that may hold something to leave out


def shown(source: str | Path, length: int = 120) -> str:
    """The source as an error message names it: quoted, short, without what opens it."""
    text = redacted(str(source)[:MOST_READ])
    return repr(text if len(text) <= length else text[: length - 1] + "…")


def shown_end(source: str, length: int) -> str:
    """The same of a source whose end tells most: the name of a file."""
    if source[:5].lower() == "data:":
        return shown(source, length + 1)
    text = redacted(source[:MOST_READ])
    return repr(text if len(text) <= length else f"…{text[-length:]}")


def too_large(source: str, size: str, limits: ImageLimits) -> ImageTooLarge:
    """The error of a photo of `size` bytes."""
    return ImageTooLarge(
        f"Image {shown(source)} has {size} bytes; the limit is {limits.max_bytes:,}. "
        "Save it smaller, or raise max_bytes."
    )
