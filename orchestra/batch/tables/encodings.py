"""Finds the encoding of a text file and its content hash in one pass; it parses nothing.

Byte-order marks are believed, then strict UTF-8 is tried, then GB18030 (a superset of GBK).
Nearly any bytes decode as GB18030, so two look-alikes are refused rather than turned into
Chinese: UTF-8 with a damaged byte, and Latin-1, whose accented letters stand alone.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from orchestra.core.errors import InvalidTable

BLOCK_BYTES = 1 << 20
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
BINARY = (
    (b"PK\x03\x04", "an Excel workbook or ZIP archive", "Export it as 'CSV UTF-8'."),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Export it as 'CSV UTF-8'."),
    (b"PAR1", "a Parquet file", "Name it .parquet."),
    (b"\x1f\x8b", "a gzip archive", "Unpack it first."),
)
GB_PAIR = re.compile(rb"[\x81-\xfe]([\x40-\x7e])|[\x81-\xfe][\x80-\xfe]")
SAVE_AS = "Save the table as UTF-8 (Excel: 'CSV UTF-8')."


@dataclass(frozen=True, slots=True)
class Scan:
    """A text file's Python codec name and the sha256 hex of its bytes."""

    encoding: str
    fingerprint: str


def blocks(path: Path) -> Iterator[bytes]:
    """The file in blocks of 1 MiB. Raises InvalidTable when it cannot be read."""
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK_BYTES):
                yield block
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidTable(
            f"Table {str(path)!r} cannot be read: {reason}. Check the path and its permissions."
        ) from error


def content_hash(path: Path) -> str:
    """sha256 hex of the file's bytes."""
    digest = hashlib.sha256()
    deque(_hashed(path, digest), maxlen=0)
    return digest.hexdigest()


def scan(path: Path) -> Scan:
    """Encoding and hash of a text table.

    Raises InvalidTable with the byte offset where decoding fails, or for a binary file.
    """
    head = next(blocks(path), b"")
    _refuse_binary(path, head)
    marked = _marked(head)
    encoding, digest = marked or "utf-8", hashlib.sha256()
    stream = _hashed(path, digest)
    offset = _first_bad_byte(stream, encoding)
    deque(stream, maxlen=0)  # the rest counts towards the hash
    if offset is not None:
        if marked or _first_bad_byte(blocks(path), "gb18030") is not None:
            raise InvalidTable(
                f"Table {str(path)!r} is not valid {encoding} at byte {offset}"
                f"{'' if marked else ', and not GB18030 (GBK) either'}. {SAVE_AS}"
            )
        _refuse_look_alikes(path, offset)
        encoding = "gb18030"
    return Scan(encoding, digest.hexdigest())


def _hashed(path: Path, digest: hashlib._Hash) -> Iterator[bytes]:
    """The file's blocks, which `digest` takes in as they are read."""
    for block in blocks(path):
        digest.update(block)
        yield block


def _first_bad_byte(stream: Iterable[bytes], encoding: str) -> int | None:
    """Offset of the first byte that cannot be decoded; None where all can."""
    # "utf-8-sig" counts its offsets after the mark, so plain UTF-8 stands in for it.
    decoder = codecs.getincrementaldecoder(encoding.removesuffix("-sig"))()
    read = 0
    for block in chain(stream, [b""]):
        held = len(decoder.getstate()[0])  # bytes of an unfinished character
        try:
            decoder.decode(block, final=not block)
        except UnicodeDecodeError as error:
            return read - held + error.start
        read += len(block)
    return None


def _refuse_binary(path: Path, head: bytes) -> None:
    for magic, what, cure in BINARY:
        if head.startswith(magic):
            raise InvalidTable(f"Table {str(path)!r} is {what}, not text. {cure}")


def _marked(head: bytes) -> str | None:
    """The codec a byte-order mark names, or UTF-16 without one by where its zeros stand."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    even, odd = head[:4096:2].count(0), head[1:4096:2].count(0)
    half = max(1, len(head[:4096]) // 2)
    few = max(3.0, half * 0.05)  # a stray NUL is a damaged row, not an encoding
    if odd > few and odd > even * 10:
        return "utf-16-le"
    if even > few and even > odd * 10:
        return "utf-16-be"
    return None


def _refuse_look_alikes(path: Path, offset: int) -> None:
    """Raise when a file that decodes as GB18030 is more probably something else."""
    start = max(0, offset - BLOCK_BYTES)
    with path.open("rb") as file:
        file.seek(start)
        sample = file.read(2 * BLOCK_BYTES)
    text = sample.decode("utf-8", "replace")
    bad = text.count("�")
    good = len(text) - len(text.encode("ascii", "ignore")) - bad
    if good > 4 * bad:
        raise InvalidTable(
            f"Table {str(path)!r} is UTF-8 with a damaged byte at {offset} "
            f"({sample[offset - start : offset - start + 4]!r}). Repair that place, or {SAVE_AS}"
        )
    pairs = GB_PAIR.findall(sample)
    if sum(map(bool, pairs)) * 2 > len(pairs):
        raise InvalidTable(
            f"Table {str(path)!r} is neither UTF-8 (byte {offset}) nor GBK; it looks like a "
            f"Western code page (Latin-1, Windows-1252). {SAVE_AS}"
        )
