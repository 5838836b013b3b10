"""Opens the header of an image file by what its bytes say it is, whatever its name.

The plugins are called directly because `Image.open` answers a large header with a warning or an
error that hides the size; the limit is ours and is checked by who opens.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pi_heif
from PIL import Image, ImageFile

from orchestra.core.errors import ImageUnreadable
from orchestra.images.signatures import foreign_format

HEIC = "HEIC"
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "ICO")
READ = (*FORMATS, HEIC)
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
UNTURNED = "orchestra_orientation"
TURNS = re.compile(rb"irot|imir")
HEAD = 32  # bytes: as many as any of the plugins looks at

Factory = Callable[[io.BytesIO, str], ImageFile.ImageFile]


def open_image(data: bytes, name: str) -> ImageFile.ImageFile:
    """Read the header only.

    Raises `ImageUnreadable` for what is no photo, and whatever a plugin raises on damaged data.
    """
    if not data:
        raise ImageUnreadable(f"Image {name} is empty (0 bytes). Copy or download it again.")
    if data[:4] == b"II*\0" and data[8:10] == b"CR":  # camera raw that calls itself TIFF
        raise ImageUnreadable(f"Image {name} is not a photo: {foreign_format(data)}.")
    failure: Exception | None = None
    for factory in _factories(data):
        try:
            return factory(io.BytesIO(data), "")
        except Exception as error:  # plugins raise nearly anything: see `intake._translated`
            failure = error
    if failure is not None:
        raise failure
    raise ImageUnreadable(
        f"Image {name} is not a photo that can be read: {foreign_format(data)}. "
        f"Formats read: {', '.join(READ)}."
    )


def _factories(data: bytes) -> list[Factory]:
    """The plugins that take such bytes."""
    Image.preinit()
    if any(format not in Image.OPEN for format in FORMATS):
        Image.init()
    found: list[Factory] = []
    for format in FORMATS:
        factory, accepts = Image.OPEN.get(format, (None, None))
        if factory is not None and (accepts is None or accepts(data[:HEAD]) is True):
            found.append(factory)
    if data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS:  # `mif1` may be AVIF or HEIC
        found.append(_open_heic)
    return found


def _open_heic(file: io.BytesIO, name: str) -> ImageFile.ImageFile:
    """What a phone saves, with `UNTURNED` in its info where EXIF alone says how it was held.

    A phone says it in a property of the picture as well, and there the reader has turned it.
    """
    image = pi_heif.HeifImageFile(file, name)
    told = image.info.get("original_orientation")
    if told and not TURNS.search(_meta(file.getvalue())):
        image.info[UNTURNED] = told
    return image


def _meta(data: bytes) -> bytes:
    """The box of an ISO base media file that says what is in it."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] == b"meta":
            return data[at : at + size] if size else data[at:]
        if size < 8:
            break
        at += size
    return b""
