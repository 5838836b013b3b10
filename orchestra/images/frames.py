"""The frame of a file that shows something: animations and pages may begin with an empty one."""

from __future__ import annotations

from typing import Any, cast

from PIL import Image

from orchestra.images.pixels import on_white, to_eight_bits

MOST_FRAMES = 64  # that are looked at
MOST_PIXELS = 256_000_000  # decoded while looking
SPREAD = 6  # levels: an image whose channels all vary less has one colour
PALE, DARK = 247, 8
REDUCED = 254  # TIFF's NewSubfileType
REDUCED_BIT = 1  # of it: a thumbnail of another page


def show_frame(image: Image.Image, max_pixels: int) -> str | None:
    """Have `image` stand at, and load, its first frame that shows something.

    What is to be told where that is not all there is: an animation, or further pages. One that
    shows nothing at all stands at its first; a page of more than `max_pixels` is passed over.
    """
    count = int(getattr(image, "n_frames", 1))
    if count < 2 or image.format in ("MPO", "ICO"):
        image.load()
        return None
    is_paged = image.format == "TIFF"
    what = "page" if is_paged else "frame"
    most = max(1, min(count, MOST_FRAMES, MOST_PIXELS // max(1, image.width * image.height)))
    for at in range(most):
        image.seek(at)
        if image.width * image.height > max_pixels:
            continue
        image.load()
        if not _is_reduced(image) and not is_empty(image):
            return f"{what} {at + 1} of {count} is used" if at or is_paged else None
    image.seek(0)
    image.load()
    return None


def is_empty(image: Image.Image) -> bool:
    """Whether a loaded image has one colour all over, or is wholly transparent."""
    return _is_one_colour(on_white(to_eight_bits(image)))


def blank_of(image: Image.Image) -> str | None:
    """`white` or `black` where an RGB image is that all over, and so shows no product.

    Another single colour may be a swatch.
    """
    if not _is_one_colour(image):
        return None
    extrema = cast("tuple[tuple[int, int], ...]", image.getextrema())
    if all(low >= PALE for low, _ in extrema):
        return "white"
    return "black" if all(high <= DARK for _, high in extrema) else None


def _is_one_colour(image: Image.Image) -> bool:
    extrema = cast("tuple[tuple[int, int], ...]", image.getextrema())
    return all(high - low <= SPREAD for low, high in extrema)


def _is_reduced(image: Image.Image) -> bool:
    """Whether a page of a TIFF is a thumbnail of another."""
    tags: Any = getattr(image, "tag_v2", None)
    return bool(tags) and bool(int(tags.get(REDUCED, 0)) & REDUCED_BIT)
