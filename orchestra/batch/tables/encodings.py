"""Finds the encoding of a text file and its content hash in one pass; it parses nothing.

Byte-order marks are believed, then strict UTF-8 is tried, then GB18030 (a superset of GBK).
Nearly any bytes decode as GB18030, so two look-alikes are refused rather than turned into
Chinese: UTF-8 with a damaged byte, and Latin-1, whose accented letters stand alone.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
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
    for block in blocks(path):
        digest.update(block)
    return digest.hexdigest()


def scan(path: Path) -> Scan:
    """Encoding and hash of a text table.

    Raises InvalidTable with the byte offset where decoding fails, or for a binary file.
    """
    head = next(blocks(path), b"")
    _refuse_binary(path, head)
    marked = _marked(head)
    encodings = [marked] if marked else ["utf-8", "gb18030"]
    failures = _Failures(encodings)
    digest = hashlib.sha256()
    for block in blocks(path):
        digest.update(block)
        failures.feed(block)
    failures.end()
    fitting = [name for name in encodings if name not in failures.offsets]
    if not fitting:
        offset = failures.offsets[encodings[0]]
        raise InvalidTable(
            f"Table {str(path)!r} is not valid {encodings[0]} at byte {offset}"
            f"{'' if marked else ', and not GB18030 (GBK) either'}. {SAVE_AS}"
        )
    if fitting[0] == "gb18030":
        _refuse_look_alikes(path, failures.offsets["utf-8"])
    return Scan(fitting[0], digest.hexdigest())


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


class _Failures:
    """Decodes one stream in several encodings; keeps the first bad byte offset of each."""

    def __init__(self, encodings: list[str]) -> None:
        self.offsets: dict[str, int] = {}
        # "utf-8-sig" counts its offsets after the mark, so plain UTF-8 stands in for it.
        self._decoders = {
            name: codecs.getincrementaldecoder(name.removesuffix("-sig"))() for name in encodings
        }
        self._read = 0

    def feed(self, block: bytes, final: bool = False) -> None:
        for name, decoder in self._decoders.items():
            if name in self.offsets:
                continue
            held = _held(decoder)
            try:
                decoder.decode(block, final)
            except UnicodeDecodeError as error:
                self.offsets[name] = self._read - held + error.start
            except UnicodeError:
                self.offsets[name] = self._read
        self._read += len(block)

    def end(self) -> None:
        self.feed(b"", final=True)


def _held(decoder: codecs.IncrementalDecoder) -> int:
    """How many bytes of an unfinished character the decoder holds back."""
    held = decoder.getstate()[0]
    return len(held) if isinstance(held, bytes) else 0


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
