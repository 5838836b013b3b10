"""Turns any photo a user can name into one upright RGB image; it knows no model and no store.

A photo may be a path, an http(s) address, a `data:` URI, raw bytes or a PIL image. Its size is
bounded before anything is decoded, and whatever is wrong with it becomes a typed `ImageError`
for that photo alone.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from PIL import ExifTags, Image, ImageFile

from orchestra.core.errors import ImageError, ImageTooLarge, ImageTruncated, ImageUnreadable
from orchestra.images.fetch import read_source, shown
from orchestra.images.limits import ImageLimits
from orchestra.images.pixels import flatten, to_eight_bits
from orchestra.images.signatures import ends_early, foreign_format

T = TypeVar("T")
DEFAULT_LIMITS = ImageLimits()
# What a file may tell beside its pixels and still be kept as it is: how it is coded, and no more.
PLAIN_INFO = {
    *("adobe", "adobe_transform", "aspect", "background", "compression", "dpi", "duration"),
    *("gamma", "icc_profile", "interlace", "jfif", "jfif_density", "jfif_unit", "jfif_version"),
    *("loop", "progression", "progressive", "srgb", "timestamp", "transparency", "version"),
}
MOST_SIDE_PX = 16_383  # of a file that the store writes
SUFFIXES = {  # of the formats that are read
    "JPEG": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "GIF": ".gif",
    "BMP": ".bmp",
    "TIFF": ".tif",
    "AVIF": ".avif",
}
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def normalise(
    source: str | bytes | Path | Image.Image,
    *,
    base: Path | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
    fine: bool = False,
) -> Image.Image:
    """The photo as mode RGB, 8 bits, upright, its longest side at most `limits.side_px`.

    One that is to be `fine`, so that small print can be read, keeps its own size up to
    `limits.fine_pixels` in all and 16,383 a side. A relative path is read from `base` (the working
    directory without it). Alpha lies on white, an animation gives its first frame, deeper pixels
    are scaled to 8 bits. Raises ImageNotFound, ImageTruncated, ImageTooLarge, ImageUnreadable or
    ImageForbidden.
    """
    if isinstance(source, Image.Image):
        return _from_pil(source, limits, fine)
    return taken(source, base=base, limits=limits, fine=fine).pixels


class PhotoFile(NamedTuple):
    """A photo's own file: it holds the photo's pixels, and no more."""

    content: bytes
    suffix: str


class Taken(NamedTuple):
    """A photo as it was taken in, and its file where that may be kept instead."""

    pixels: Image.Image
    file: PhotoFile | None


def taken(
    source: str | bytes | Path,
    *,
    base: Path | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
    fine: bool = False,
) -> Taken:
    """As `normalise`, with the file that the photo may be kept in. Raises as that does."""
    data = source if isinstance(source, bytes) else read_source(source, base, limits)
    name = f"<{len(data)} bytes>" if isinstance(source, bytes) else shown(source)
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(
            f"Image {name} has {len(data):,} bytes; the limit is {limits.max_bytes:,}. "
            "Save it smaller, or raise max_bytes."
        )
    return _translated(data, name, lambda: _decode(data, name, limits, fine))


def _from_pil(source: Image.Image, limits: ImageLimits, fine: bool) -> Image.Image:
    """Normalise a PIL image without changing the caller's object beyond loading it."""
    name = f"<PIL {source.mode} image>"
    _check_size(source, name, limits)

    def decode() -> Image.Image:
        source.load()
        return _finish(source, fitting(source.size, limits, fine=fine))

    return _translated(None, name, decode)


def _translated(data: bytes | None, name: str, decode: Callable[[], T]) -> T:
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


def _decode(data: bytes, name: str, limits: ImageLimits, fine: bool) -> Taken:
    image = _open(data, name)
    _check_size(image, name, limits)
    size = fitting(image.size, limits, fine=fine)
    is_whole = size == image.size
    if image.format == "JPEG":
        image.draft(None, size)  # decodes at 1/2, 1/4 or 1/8, never below that size
    image.load()
    pixels = _finish(image, size)
    suffix = SUFFIXES.get(image.format or "")
    if suffix is None or not is_whole or not _is_plain(image, len(data)):
        return Taken(pixels, None)
    return Taken(pixels, PhotoFile(data, suffix))


def _is_plain(image: Image.Image, file_bytes: int) -> bool:
    """Whether a loaded image's file is no larger than its pixels, and says nothing beside them."""
    if file_bytes > 3 * image.width * image.height or not image.info.keys() <= PLAIN_INFO:
        return False
    try:
        return not image.getexif()
    except Exception:  # EXIF's parser raises as freely as the decoders
        return False


def _open(data: bytes, name: str) -> ImageFile.ImageFile:
    """Read the header only.

    The plugins are called directly because `Image.open` answers a large header with a warning
    or an error that hides the size; the limit is ours and is checked by the caller.
    """
    if not data:
        raise ImageUnreadable(f"Image {name} is empty (0 bytes). Copy or download it again.")
    Image.preinit()
    if any(format not in Image.OPEN for format in SUFFIXES):
        Image.init()
    failure: Exception | None = None
    for format in SUFFIXES:
        if format not in Image.OPEN:
            continue
        factory, accepts = Image.OPEN[format]
        if accepts is not None and accepts(data[:16]) is not True:
            continue
        try:
            return factory(io.BytesIO(data), "")
        except Exception as error:  # any plugin error: see _translated
            failure = error
    if failure is not None:
        raise failure
    raise ImageUnreadable(
        f"Image {name} is not a photo that can be read: {foreign_format(data)}. "
        f"Formats read: {', '.join(SUFFIXES)}."
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


def _finish(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Scale, flatten and turn a loaded image; what comes out carries no metadata.

    Orientation is read first and applied last, on fewer pixels. Metadata must not survive:
    a second pass over the result would turn it once more.
    """
    turn = UPRIGHT.get(_orientation(image))
    pixels = to_eight_bits(image)
    if pixels.size != size:
        pixels = pixels.resize(size, Image.Resampling.LANCZOS)
    pixels = flatten(pixels)
    if turn is not None:
        pixels = pixels.transpose(turn)
    clean = Image.new("RGB", pixels.size)
    clean.paste(pixels)
    return clean


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1-8; a damaged EXIF block counts as upright."""
    try:
        value: Any = image.getexif().get(ExifTags.Base.Orientation, 1)
        return int(value)
    except Exception:  # EXIF is optional, and its parser raises as freely as the decoders
        return 1
