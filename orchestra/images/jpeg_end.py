"""Whether a JPEG that breaks off lacks only its end marker, or pixels as well.

A decoder cannot tell: it fills what is missing with grey, and reports both alike. Here the file is
decoded several times, with nothing and with noise before the end that it is given. Where all pixels
are there, the noise is beyond the last of them and changes nothing.
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
RESTART = 0xDD  # DRI: pixels come in intervals, each but the first behind a marker RSTn
# Bits of every kind: codes of any Huffman table. No 0xFF, which would begin a marker.
NOISES = tuple(
    bytes((at * at * step + at * start + start) % 255 for at in range(256))
    for step, start in ((3, 43), (7, 170), (11, 99), (5, 7), (13, 201))
)


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
        quiet = _pixels(bare + END)
        is_whole = all(_pixels(bare + noise + END) == quiet for noise in _noises(bare))
    except Exception:  # not decoded either way: what is wrong is told by who decodes it first
        return None
    return bare + END if is_whole else None


def _noises(data: bytes) -> Iterator[bytes]:
    """What may not change the picture; in a file of intervals also behind the next one's marker."""
    yield from NOISES
    if any(marker == RESTART for marker, _ in _segments(data)):
        last = max(data.rfind(bytes((0xFF, 0xD0 + number))) for number in range(8))
        number = (data[last + 1] - 0xD0 + 1) % 8 if last > 0 else 0
        yield from (bytes((0xFF, 0xD0 + number)) + noise for noise in NOISES)


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
