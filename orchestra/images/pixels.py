"""Converts any Pillow mode to 8-bit RGB without clipping; it knows no files and no sizes."""

from __future__ import annotations

import math
from typing import cast

from PIL import Image, ImageChops, ImageStat

from orchestra.core.errors import ImageUnreadable

SIXTEEN_BITS = 65535
WHITE, GREY = (255, 255, 255, 255), (128, 128, 128, 255)
FAINT = 2  # of 255: alpha that nobody sees
PALE = 240  # the darkest channel of what white swallows
LOST_SHARE = 0.8  # of what is there


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Any loaded image as RGB, or as RGBA when parts of it are transparent."""
    if image.mode.startswith("I") or image.mode == "F":
        return _scaled(image).convert("RGB")
    if image.has_transparency_data:
        return image.convert("RGBA")
    return image if image.mode == "RGB" else image.convert("RGB")


def on_white(image: Image.Image) -> Image.Image:
    """RGBA laid on white; RGB as it is."""
    return image if image.mode != "RGBA" else _laid_on(image, WHITE)


def flatten(image: Image.Image) -> tuple[Image.Image, str | None]:
    """RGBA laid on white, or on grey where most of what it shows is white, and that is told.

    RGB comes back as it is.
    """
    if image.mode != "RGBA":
        return image, None
    if _is_lost_on_white(image):
        return _laid_on(image, GREY), "it is white on a transparent ground, and was laid on grey"
    return _laid_on(image, WHITE), None


def is_clear(image: Image.Image) -> bool:
    """Whether nothing of an image of 8 bits is there to be seen: it is wholly transparent."""
    if image.mode != "RGBA":
        return False
    return cast("tuple[int, int]", image.getchannel("A").getextrema())[1] <= FAINT


def _laid_on(image: Image.Image, ground: tuple[int, int, int, int]) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", image.size, ground), image).convert("RGB")


def _is_lost_on_white(image: Image.Image) -> bool:
    """Whether most of what is there, beside a transparent ground, is as white as the ground.

    A pixel counts as much as it is there, so that a soft shadow is little.
    """
    red, green, blue, alpha = image.split()
    if cast("tuple[int, int]", alpha.getextrema())[0] > FAINT:
        return False
    darkest = ImageChops.darker(ImageChops.darker(red, green), blue)
    pale = darkest.point([0] * PALE + [255] * (256 - PALE))
    shown, lost = ImageStat.Stat(alpha), ImageStat.Stat(ImageChops.multiply(alpha, pale))
    return bool(shown.sum[0]) and lost.sum[0] >= LOST_SHARE * shown.sum[0]


def _scaled(image: Image.Image) -> Image.Image:
    """A greyscale of 16 or 32 bits as mode L, scaled where Pillow's own convert clips.

    The integer modes are read as 16 bits unless their values say otherwise; floats are read as
    0..1 or 0..255, and anything else is stretched from its least to its greatest value.
    """
    transparent = image.info.get("transparency")
    deep = image.convert("F")
    low, high = cast("tuple[float, float]", deep.getextrema())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ImageUnreadable(
            f"The image of mode {image.mode!r} holds values that are not numbers "
            f"({low}..{high}). Save it as 8-bit JPEG or PNG."
        )
    floor, ceiling = _range(image.mode, low, high)
    factor = 255 / (ceiling - floor)
    # Rounded by hand: convert("L") cuts the fraction off.
    grey = deep.point(lambda value: value * factor + (0.5 - floor * factor)).convert("L")
    if isinstance(transparent, int):
        grey.paste(255, mask=_equals(deep, transparent))
    return grey


def _range(mode: str, low: float, high: float) -> tuple[float, float]:
    if mode.startswith("I;16"):
        return 0.0, float(SIXTEEN_BITS)
    ceilings = (1.0, 255.0) if mode == "F" else (255.0, float(SIXTEEN_BITS))
    if low >= 0:
        for ceiling in ceilings:
            if high <= ceiling:
                return 0.0, ceiling
    return low, max(high, low + 1)


def _equals(deep: Image.Image, value: int) -> Image.Image:
    """A mask of the 16-bit pixels that equal `value`, which a PNG names as transparent."""
    table = [0] * (SIXTEEN_BITS + 1)
    table[min(max(value, 0), SIXTEEN_BITS)] = 255
    return deep.convert("I").point(table, "L")
