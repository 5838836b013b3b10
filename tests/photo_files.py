"""Photo files as phones, shops and stores make them, written by code for tests."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pillow_heif
from PIL import Image, ImageCms

RED, GREEN, WHITE, BLACK = (220, 30, 30), (40, 160, 60), (255, 255, 255), (0, 0, 0)
Pixel = tuple[int, int, int]


def marked(width: int = 64, height: int = 48) -> Image.Image:
    """A green picture with a red corner at the top left, so that every turn of it can be told."""
    image = Image.new("RGB", (width, height), GREEN)
    image.paste(RED, (0, 0, width // 4, height // 4))
    return image


def noisy(width: int = 320, height: int = 240) -> Image.Image:
    """A picture with detail everywhere, so that cutting its file loses pixels."""
    noise = Image.effect_noise((width, height), 80)
    return Image.merge("RGB", (noise, noise.transpose(Image.Transpose.ROTATE_180), noise))


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    """A file of that format."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def heic(image: Image.Image, **options: Any) -> bytes:
    """A HEIC file, as an iPhone writes it: an orientation is EXIF's and a property of its own."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, **options)
    return buffer.getvalue()


def heic_of_exif(image: Image.Image, exif: Image.Exif) -> bytes:
    """A HEIC file whose orientation EXIF alone says."""
    pillow_heif.register_heif_opener()
    return encoded(image, "HEIF", exif=exif)


def turned(orientation: int) -> Image.Exif:
    """EXIF that names an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def png(rows: bytes, width: int, height: int, kind: int, depth: int, *chunks: bytes) -> bytes:
    """A PNG of raw samples, each row without its filter byte; `chunks` stand before the pixels."""
    size = len(rows) // height
    lines = b"".join(b"\0" + rows[at * size : (at + 1) * size] for at in range(height))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(lines))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + body + chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def without_adobe(data: bytes) -> bytes:
    """A CMYK JPEG as Pillow writes it, without the marker that says its inks are inverted."""
    at = data.index(b"\xff\xee")
    size = int.from_bytes(data[at + 2 : at + 4], "big")
    return data[:at] + data[at + 2 + size :]


def wide_profile() -> bytes:
    """An RGB profile whose red and green are swapped: what it holds cannot be taken for sRGB."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = int.from_bytes(profile[128:132], "big")
    places = {}
    for at in range(count):
        start = 132 + 12 * at
        places[bytes(profile[start : start + 4])] = start
    for one, other in ((b"rXYZ", b"gXYZ"),):
        a, b = places[one] + 4, places[other] + 4
        profile[a : a + 8], profile[b : b + 8] = profile[b : b + 8], profile[a : a + 8]
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "Wide".encode("utf-16-be"))


def pixel(image: Image.Image, x: float, y: float) -> Pixel:
    """The colour at a place, given as parts of the width and the height."""
    value = image.getpixel((int(image.width * x), int(image.height * y)))
    assert isinstance(value, tuple)
    return int(value[0]), int(value[1]), int(value[2])


def near(found: Pixel, wanted: Pixel, tolerance: int = 14) -> bool:
    """Whether two colours look alike."""
    return all(abs(a - b) <= tolerance for a, b in zip(found, wanted, strict=True))
