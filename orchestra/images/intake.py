"""Turns any photo a user can name into one upright RGB image; it knows no model and no store.

A photo may be a path, an http(s) address, a `data:` URI, raw bytes or a PIL image. Its size is
bounded before anything is decoded, and whatever is wrong with it becomes a typed `ImageError`
for that photo alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from orchestra.core.errors import (
    ImageBlank,
    ImageError,
    ImageTooLarge,
    ImageTruncated,
    ImageUnreadable,
)
from orchestra.images.colour import to_srgb
from orchestra.images.download import Downloads
from orchestra.images.fetch import read_source
from orchestra.images.files import PhotoFile, plain_file
from orchestra.images.formats import UNTURNED, open_image
from orchestra.images.frames import blank_of, show_frame
from orchestra.images.jpeg_end import ended
from orchestra.images.limits import ImageLimits
from orchestra.images.naming import shown
from orchestra.images.pixels import flatten, is_clear, to_eight_bits
from orchestra.images.signatures import ends_early, has_end, without_prefix

DEFAULT_LIMITS = ImageLimits()
MOST_SIDE_PX = 16_383  # of a file that the store writes
MOST_ASPECT = 100  # the long side of a photo over its short one
TRACKER_PX = 2  # a side: as large as what counts visits
PROFILED = ("RGB", "L", "CMYK", "LAB")  # modes that a colour profile can be of
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class ReadPhoto:
    """A photo as models see it, and what is to be told of its file: what was mended or left out.

    `file` holds just these pixels, and may be kept instead of them.
    """

    image: Image.Image
    notes: tuple[str, ...] = ()
    file: PhotoFile | None = None


def normalise(
    source: str | bytes | Path | Image.Image,
    *,
    base: Path | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
    fine: bool = False,
) -> Image.Image:
    """The photo as mode RGB, 8 bits, sRGB, upright, its longest side at most `limits.side_px`.

    See `read_photo`, which also tells what was mended.
    """
    return read_photo(source, base=base, limits=limits, fine=fine).image


def read_photo(
    source: str | bytes | Path | Image.Image,
    *,
    base: Path | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
    fine: bool = False,
    downloads: Downloads | None = None,
) -> ReadPhoto:
    """The photo as mode RGB, 8 bits, sRGB, upright, its longest side at most `limits.side_px`.

    One that is to be `fine`, so that small print can be read, keeps its own size up to
    `limits.fine_pixels` in all and 16,383 a side. A relative path is read from `base` (the working
    directory without it); an address may be answered from `downloads`. Alpha lies on white, or on
    grey where white would hide it; an animation gives its first frame that shows something, deeper
    pixels are scaled to 8 bits. Raises ImageNotFound, ImageTruncated, ImageTooLarge,
    ImageUnreadable, ImageForbidden, ImageUnavailable, or ImageBlank for a file of one white, black
    or no pixel.
    """
    if isinstance(source, Image.Image):
        return _from_pil(source, limits, fine)
    data = source if isinstance(source, bytes) else read_source(source, base, limits, downloads)
    name = f"<{len(data)} bytes>" if isinstance(source, bytes) else shown(source)
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(
            f"Image {name} has {len(data):,} bytes; the limit is {limits.max_bytes:,}. "
            "Save it smaller, or raise max_bytes."
        )
    bare = without_prefix(data)
    if bare is not data:
        found = _of_bytes(bare, name, limits, fine)
        return replace(
            found, notes=(f"{len(data) - len(bare)} bytes before it were left out", *found.notes)
        )
    return _of_bytes(data, name, limits, fine)


def _of_bytes(data: bytes, name: str, limits: ImageLimits, fine: bool) -> ReadPhoto:
    """The photo of a file's bytes; one that lacks only its end is read, and that is told."""
    try:
        found = _translated(data, name, lambda: _decode(data, name, limits, fine))
        if has_end(data):  # some decoders stop at the last pixel
            return found
    except ImageTruncated:
        mended = ended(data)
        if mended is None:
            raise
        found = _translated(mended, name, lambda: _decode(mended, name, limits, fine))
    return replace(found, notes=("it lacks its end marker; all its pixels are there", *found.notes))


def _from_pil(source: Image.Image, limits: ImageLimits, fine: bool) -> ReadPhoto:
    """Normalise a PIL image without changing the caller's object beyond loading it."""
    name = f"<PIL {source.mode} image>"
    _check_size(source, name, limits)

    def decode() -> ReadPhoto:
        source.load()
        return _finish(source, fitting(source.size, limits, fine=fine))

    return _translated(None, name, decode)


def _translated(data: bytes | None, name: str, decode: Callable[[], ReadPhoto]) -> ReadPhoto:
    """Run `decode`; what Pillow's decoders raise becomes a typed error.

    They raise nearly anything on damaged data (OSError, SyntaxError, struct.error, ValueError,
    IndexError, zlib.error), so this is the one place that catches them all.
    """
    try:
        return decode()
    except (ImageError, MemoryError):
        raise
    except Exception as error:
        if (data is not None and ends_early(data)) or "truncated" in str(error).lower():
            raise ImageTruncated(
                f"Image {name} ends before its pixels do ({error}). "
                "Copy or download the file again."
            ) from error
        raise ImageUnreadable(
            f"Image {name} is damaged ({type(error).__name__}: {error}). Save it again as JPEG "
            "or PNG."
        ) from error


def _decode(data: bytes, name: str, limits: ImageLimits, fine: bool) -> ReadPhoto:
    image = open_image(data, name)
    _check_size(image, name, limits)
    _check_shape(image, name)
    whole, size = image.size, fitting(image.size, limits, fine=fine)
    if image.format == "JPEG":
        image.draft(None, size)  # decodes at 1/2, 1/4 or 1/8, never below that size
    told = show_frame(image, limits.max_pixels)
    if image.size != size:
        size = fitting(image.size, limits, fine=fine)  # a page has a size of its own
    found = _finish(image, size, told, name)
    is_as_it_was = image.size == size == whole and not found.notes
    return replace(found, file=plain_file(image, data)) if is_as_it_was else found


def _check_shape(image: Image.Image, name: str) -> None:
    """Raise `ImageBlank` for a pixel that counts visits, or a strip that no model can look at."""
    width, height = image.size
    if max(width, height) <= TRACKER_PX:
        raise ImageBlank(
            f"Image {name} is {width}x{height} pixels: it marks a place, and shows nothing. Give "
            "the photo of the product."
        )
    if max(width, height) > MOST_ASPECT * min(width, height):
        raise ImageUnreadable(
            f"Image {name} is {width}x{height} pixels, a strip: at most {MOST_ASPECT} times as "
            "long as it is wide can be looked at. Cut the product out of it."
        )


def _blank(name: str, colour: str) -> ImageBlank:
    return ImageBlank(
        f"Image {name} is {colour} all over, as a placeholder is, and shows nothing. Give a photo "
        "of the product."
    )


def _check_size(image: Image.Image, name: str, limits: ImageLimits) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise ImageUnreadable(f"Image {name} is {width}x{height} pixels and so holds nothing.")
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"Image {name} is {width}x{height} = {width * height / 1e6:.1f} megapixels; the limit "
            f"is {limits.max_pixels / 1e6:.1f}. Save it smaller, or raise max_pixels."
        )


def fitting(size: tuple[int, int], limits: ImageLimits, *, fine: bool = False) -> tuple[int, int]:
    """The size that a photo of `size` pixels comes out with: no larger, its sides in proportion."""
    wide, high = size
    scale = limits.side_px / max(size)
    if fine:
        scale = min(MOST_SIDE_PX / max(size), math.sqrt(limits.fine_pixels / (wide * high)))
    if scale >= 1:
        return size
    return max(1, round(wide * scale)), max(1, round(high * scale))


def _finish(
    image: Image.Image, size: tuple[int, int], told: str | None = None, file: str | None = None
) -> ReadPhoto:
    """Scale, flatten and turn a loaded image; what comes out carries no metadata.

    Orientation is read first and applied last, on fewer pixels. Metadata must not survive:
    a second pass over the result would turn it once more. A `file` has to show something; an
    image that a program made is as it was meant.
    """
    turn, info = UPRIGHT.get(_orientation(image)), dict(image.info)
    keeps = image.mode in PROFILED and not image.has_transparency_data
    pixels = image if keeps else to_eight_bits(image)
    if pixels.size != size:
        pixels = pixels.resize(size, Image.Resampling.LANCZOS)
    pixels, colours = to_srgb(pixels, info)
    pixels = to_eight_bits(pixels)
    if file is not None and is_clear(pixels):
        raise _blank(file, "transparent")
    pixels, ground = flatten(pixels)
    if file is not None and (colour := blank_of(pixels)) is not None:
        raise _blank(file, colour)
    if turn is not None:
        pixels = pixels.transpose(turn)
    clean = Image.new("RGB", pixels.size)
    clean.paste(pixels)
    return ReadPhoto(clean, tuple(note for note in (told, colours, ground) if note))


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1-8; a damaged EXIF block counts as upright."""
    try:
        value: Any = image.getexif().get(ExifTags.Base.Orientation, 1)
        return int(image.info.get(UNTURNED, value))
    except Exception:  # EXIF is optional, and its parser raises as freely as the decoders
        return 1
