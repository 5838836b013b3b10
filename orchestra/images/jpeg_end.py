"""Whether a JPEG that breaks off lacks only its end marker, or pixels as well.

A decoder cannot tell: it fills what is missing with grey, and reports both alike. Here the file is
decoded twice, once with nothing and once with noise before the end that it is given. Where all
pixels are there, the noise is beyond the last of them and changes nothing.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import Image

END = b"\xff\xd9"
SOI, EOI, SOS, PROGRESSIVE = 0xD8, 0xD9, 0xDA, 0xC2
SEQUENTIAL = (0xC0, 0xC1)
PLAIN_MARKERS = (0x01, *range(0xD0, 0xD8))  # TEM and RSTn: no length follows
COEFFICIENTS = 64
PADDING = 32  # zero bytes at the end of a file: room that a download never filled
# Bits of every kind: codes of any Huffman table. No 0xFF, which would begin a marker.
NOISE = bytes((at * 151 + 43) % 255 for at in range(512))


def ended(data: bytes) -> bytes | None:
    """`data` with its end marker put back; None where more than that is missing."""
    if not data.startswith(b"\xff\xd8"):
        return None
    bare = data.rstrip(b"\0")
    if len(data) - len(bare) >= PADDING:  # zeros decode as pixels of one grey
        return None
    bare = data[:-1] if data.endswith(b"\xff") else data
    if not _has_all_scans(bare):
        return None
    try:
        quiet, noisy = _pixels(bare + END), _pixels(bare + NOISE + END)
    except Exception:  # not decoded either way: what is wrong is told by who decodes it first
        return None
    return bare + END if quiet == noisy else None


def _pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return image.tobytes()


def _has_all_scans(data: bytes) -> bool:
    """Whether every coefficient of every component is in some scan, down to its last bit.

    A progressive file that lost its last scans shows the whole picture, but coarsely.
    """
    missing: dict[int, list[int]] = {}
    for marker, body in _segments(data):
        if marker == PROGRESSIVE:
            missing = {body[6 + 3 * at]: [1] * COEFFICIENTS for at in range(body[5])}
        elif marker in SEQUENTIAL:
            missing = {body[6 + 3 * at]: [1] for at in range(body[5])}
        elif marker == SOS:
            first, last, bits = body[-3], body[-2], body[-1] & 15
            for at in range(body[0]):
                left = missing.get(body[1 + 2 * at], [])
                left[first : last + 1] = [bits] * len(left[first : last + 1])
    return bool(missing) and not any(any(left) for left in missing.values())


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The marker segments, as far as whole ones go; pixels between them are passed over."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            at = data.find(b"\xff", at)
            if at < 0:
                return
            continue
        marker = data[at + 1]
        if marker in (0x00, 0xFF) or marker in PLAIN_MARKERS:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == EOI:
            return
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        if len(body) < size - 2 or size < 3:
            return
        yield marker, body
        at += 2 + size
