"""Brings a photo's colours into sRGB by the profile or the gamma that its file names; no sizes."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from PIL import Image, ImageCms

SRGB_GAMMA = 0.45455
GAMMA_CLOSE = 0.05  # a gamma this near is sRGB's
INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION
SPACES = {"RGB": "RGB", "CMYK": "CMYK", "GRAY": "L", "Lab": "LAB"}  # of a profile: Pillow's mode


def to_srgb(image: Image.Image, info: Mapping[Any, Any]) -> tuple[Image.Image, str | None]:
    """An image of 8 bits in sRGB by the `info` of its file, and what is to be told of that.

    Without a profile, or with one of sRGB, it comes back as it is. A profile that is damaged or of
    another kind of image is not used, and that is told.
    """
    profile = info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        return _by_gamma(image, info), None
    told = profile[16:20].decode("latin-1").strip()
    space = SPACES.get(told)
    if space == "RGB" and image.mode == "L":
        image = image.convert("RGB")
    alpha = image.getchannel("A") if image.mode == "RGBA" else None
    plain = image if alpha is None else image.convert("RGB")
    if space == "L" and image.mode != "L" and _is_grey(plain):
        plain = plain.convert("L")
    if space is None or space != plain.mode:
        return image, _unused(f"it is of {told!r}, the photo {plain.mode}")
    try:
        transform = _transform(profile, space)
        if transform is None:
            return image, None
        changed = ImageCms.applyTransform(plain, transform)
    except (ImageCms.PyCMSError, ValueError, OSError) as error:
        return image, _unused(str(error).strip() or "it is damaged")
    if changed is None:
        return image, None
    if alpha is not None:
        changed.putalpha(alpha)
    return changed, None


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = image.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()


def _unused(why: str) -> str:
    return f"its colour profile was not used ({why[:80]}); colours may differ"


@lru_cache(maxsize=32)
def _transform(profile: bytes, space: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None where that is the same."""
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    told = ImageCms.getProfileDescription(opened)
    if space == "RGB" and re.match(r"s ?RGB\b|sRGB|IEC ?61966-?2", told.strip(), re.IGNORECASE):
        return None
    return ImageCms.buildTransform(opened, _srgb(), space, "RGB", INTENT, FLAGS)


@lru_cache(maxsize=1)
def _srgb() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _by_gamma(image: Image.Image, info: Mapping[Any, Any]) -> Image.Image:
    """An image whose PNG names another gamma than sRGB's, as a browser shows it."""
    gamma = info.get("gamma")
    if not isinstance(gamma, float) or gamma <= 0 or "srgb" in info:
        return image
    if abs(gamma - SRGB_GAMMA) < GAMMA_CLOSE or image.mode not in ("RGB", "RGBA", "L", "LA"):
        return image
    power = SRGB_GAMMA / gamma
    curve = [round(255 * (level / 255) ** power) for level in range(256)]
    straight = list(range(256))
    bands = [straight if band == "A" else curve for band in image.getbands()]
    return image.point([level for band in bands for level in band])
