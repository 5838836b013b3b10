"""Opens the header of an image file by what its bytes say it is, whatever its name.

The plugins are called directly because `Image.open` answers a large header with a warning or an
error that hides the size; the limit is ours and is checked by who opens.
"""

from __future__ import annotations

import io
from collections.abc import Callable

import pi_heif
from PIL import Image, ImageFile

from orchestra.core.errors import ImageUnreadable
from orchestra.images.signatures import foreign_format

HEIC = "HEIC"
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "JPEG2000", "ICO")
READ = (*FORMATS, HEIC)
HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
HEAD = 32  # bytes: as many as any of the plugins looks at

Factory = Callable[[io.BytesIO, str], ImageFile.ImageFile]


def open_image(data: bytes, name: str) -> ImageFile.ImageFile:
    """Read the header only.

    Raises `ImageUnreadable` for what is no photo, and whatever a plugin raises on damaged data.
    """
    if not data:
        raise ImageUnreadable(f"Image {name} is empty (0 bytes). Copy or download it again.")
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
    if not found and data[4:8] == b"ftyp" and data[8:12] in HEIC_BRANDS:
        found.append(_open_heic)
    return found


def _open_heic(file: io.BytesIO, name: str) -> ImageFile.ImageFile:
    """What a phone saves; turned upright as it is read, with its orientation taken away."""
    return pi_heif.HeifImageFile(file, name)
