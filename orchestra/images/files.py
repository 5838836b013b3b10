"""Says whether a photo's own file may be kept for it: where it holds just the pixels."""

from __future__ import annotations

from typing import NamedTuple

from PIL import Image

SUFFIXES = {"WEBP": ".webp", "JPEG": ".jpg", "PNG": ".png"}  # by format
MODES = ("RGB", "L")
# What a file may tell beside its pixels: how it is coded, and nothing of where it comes from.
PLAIN_INFO = {
    *("adobe", "adobe_transform", "aspect", "background", "compression", "dpi", "duration"),
    *("interlace", "jfif", "jfif_density", "jfif_unit", "jfif_version", "loop", "progression"),
    *("progressive", "srgb", "timestamp"),
}


class PhotoFile(NamedTuple):
    """A photo's own file."""

    content: bytes
    suffix: str


def plain_file(image: Image.Image, data: bytes) -> PhotoFile | None:
    """The file `data` of the loaded `image`, where `Image.open(...).convert("RGB")` gives back
    all that is wanted of it, it is no larger than its pixels, and says nothing beside them.
    """
    suffix = SUFFIXES.get(image.format or "")
    is_small = len(data) <= 3 * image.width * image.height
    is_plain = image.mode in MODES and not image.has_transparency_data
    if suffix is None or not (is_small and is_plain and image.info.keys() <= PLAIN_INFO):
        return None
    try:
        says_more = bool(image.getexif()) or getattr(image, "n_frames", 1) > 1
    except Exception:  # EXIF's parser raises as freely as the decoders
        return None
    return None if says_more else PhotoFile(data, suffix)
