"""Finds the encoding of a text file and its content hash in one pass; it parses nothing.

Byte-order marks are believed. Otherwise UTF-8 wins where the lines beyond ASCII are UTF-8, else the
code page that makes the most plausible text of them. Lines of a UTF-8 file that are not UTF-8 are
read in the code page that makes text of those.
"""

from __future__ import annotations

import codecs
import hashlib
import re
from dataclasses import dataclass

from orchestra.batch.tables.plausible import best_guess, guesses, plausibility
from orchestra.batch.tables.source import BLOCK_BYTES, Source
from orchestra.core.errors import InvalidTable

MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LINE = re.compile(rb"[^\r\n]*[\x80-\xff\x1b][^\r\n]*")
MOST_LINES, MOST_LINE_BYTES = 200, 2000  # of each kind, for telling the encoding
SWITCH_NATS = 4.0  # what it costs to assume that a line is in another encoding than its table
SAVE_AS = "Save the table as UTF-8 (Excel: 'CSV UTF-8'), or name the encoding with --encoding."
NAMES = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "cp1252": "Windows-1252 (Western Europe)",
    "cp1250": "Windows-1250 (Central Europe)",
    "cp1251": "Windows-1251 (Cyrillic)",
    "gb18030": "GB18030 (Chinese)",
    "cp950": "Big5 (Chinese)",
    "big5hkscs": "Big5 (Chinese)",
    "cp932": "Shift-JIS (Japanese)",
    "cp949": "EUC-KR (Korean)",
}
ESCAPED = re.compile(
    "[\udc80-\udcff]"
)  # bytes that are no character, as surrogateescape keeps them


@dataclass(frozen=True, slots=True)
class Scan:
    """A text file's Python codec and the sha256 hex of its content.

    `mended` is the code page of lines that are in another encoding, "" where there are none that
    can be read. `told` says for a person what was found; `has_strays` whether bytes are left that
    the codec cannot read.
    """

    encoding: str
    fingerprint: str
    mended: str = ""
    has_strays: bool = False
    told: tuple[str, ...] = ()

    def read(self, text: str) -> str | None:
        """`text` with lines of another encoding read in theirs; None where they make no text.

        It was decoded with `surrogateescape`, which keeps bytes that are no character.
        """
        if not self.has_strays or not ESCAPED.search(text):
            return text
        try:
            raw = text.encode(_plain(self.encoding), "surrogateescape")
            return raw.decode(self.mended) if self.mended else None
        except UnicodeError:
            return None


def scan(source: Source, encoding: str | None = None) -> Scan:
    """Encoding and hash of a text table; `encoding` is taken as given.

    Raises InvalidTable with the byte offset where decoding fails, and for an unknown encoding.
    """
    head = source.head()
    given = None if encoding is None else _known(encoding, head)
    named = given or _marked(head)
    lines = _OddLines()
    digest, decoder = hashlib.sha256(), codecs.getincrementaldecoder(_plain(named or "utf-8"))()
    offset, read = None, 0
    for block in source.blocks():
        digest.update(block)
        if offset is None:
            offset = _bad_byte(decoder, block, read)
        lines.add(block)
        read += len(block)
    if offset is None:
        offset = _bad_byte(decoder, b"", read)
    lines.finish()
    return _judged(source, named, digest.hexdigest(), offset, lines, is_given=given is not None)


def _judged(
    source: Source,
    named: str | None,
    digest: str,
    offset: int | None,
    lines: _OddLines,
    *,
    is_given: bool,
) -> Scan:
    if named is None and offset is None and not lines.escaped:
        return Scan("utf-8", digest, told=("UTF-8",))
    if named is not None and offset is None:
        return Scan(named, digest, told=(NAMES.get(named, named),))
    if named is not None and _plain(named) != "utf-8":
        if is_given and not named.startswith(("utf-16", "utf-32")):
            return Scan(named, digest, has_strays=True, told=(NAMES.get(named, named),))
        raise InvalidTable(
            f"Table {source.name!r} is not valid {named} at byte {offset}. {SAVE_AS}"
        )
    if named is None:
        found = _code_page(lines)
        if found is not None:
            encoding, other = found
            return Scan(encoding, digest, has_strays=True, told=_guessed(encoding, other))
    mended, _ = best_guess(lines.strange) if lines.strange else (None, "")
    return Scan(
        named or "utf-8",
        digest,
        mended=mended.encoding if mended else "",
        has_strays=True,
        told=("UTF-8", _mixed(lines, mended.encoding if mended else "", offset)),
    )


def _guessed(encoding: str, other: str) -> tuple[str, ...]:
    name = NAMES.get(encoding, encoding)
    doubt = f"WARNING: its letters may also be {NAMES.get(other, other)}: --encoding {other}"
    return (f"{name}, by its letters", *([doubt] if other else []))


def _mixed(lines: _OddLines, mended: str, offset: int | None) -> str:
    many = f"{lines.strange_count:,} line{'s' * (lines.strange_count != 1)}"
    if mended:
        return (
            f"WARNING: {many} (the first at byte {offset}) in another encoding, read as "
            f"{NAMES.get(mended, mended)}"
        )
    return f"WARNING: {many} damaged (the first at byte {offset}): errors of their rows"


def _code_page(lines: _OddLines) -> tuple[str, str] | None:
    """The code page of all lines, and another that may as well be it; None where UTF-8 with some
    lines of another encoding is more plausible, or nothing is."""
    every = lines.strange + lines.valid
    best, other = best_guess(every)
    if best is None:
        return None
    if lines.valid and not lines.escaped:
        of_strange = guesses(lines.strange)[0].log if lines.strange else 0.0
        of_valid, _ = plausibility(line.decode("utf-8", "replace") for line in lines.valid)
        if of_strange + of_valid - SWITCH_NATS * len(lines.strange) >= best.log:
            return None
    return best.encoding, other


class _OddLines:
    """Gathers lines beyond ASCII: those that are UTF-8, and those that are not."""

    def __init__(self) -> None:
        self.valid: list[bytes] = []
        self.strange: list[bytes] = []
        self.strange_count = 0
        self.escaped = False
        self._tail = b""

    def add(self, block: bytes) -> None:
        """Take in a block; its last line goes on in the next."""
        self.escaped = self.escaped or b"\x1b$" in block
        text = self._tail + block
        end = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        self._tail = text[end:][-BLOCK_BYTES:]
        self._add(text[:end])

    def finish(self) -> None:
        """Take in the last line."""
        self._add(self._tail)

    def _add(self, text: bytes) -> None:
        if text.isascii() and not self.escaped:
            return
        if len(self.valid) >= MOST_LINES and _is_utf8(text):
            return
        for found in LINE.finditer(text):
            self._sort(found[0][:MOST_LINE_BYTES])

    def _sort(self, line: bytes) -> None:
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.end < len(line) or len(line) < MOST_LINE_BYTES:
                self.strange_count += 1
                if len(self.strange) < MOST_LINES:
                    self.strange.append(line)
                return
        if len(self.valid) < MOST_LINES:
            self.valid.append(line)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _bad_byte(decoder: codecs.IncrementalDecoder, block: bytes, read: int) -> int | None:
    """Offset of the first byte that cannot be decoded; None where all can."""
    held = len(decoder.getstate()[0])  # bytes of an unfinished character
    try:
        decoder.decode(block, final=not block)
    except UnicodeDecodeError as error:
        return read - held + error.start
    return None


def _plain(encoding: str) -> str:
    # "utf-8-sig" counts its offsets after the mark, so plain UTF-8 stands in for it.
    return encoding.removesuffix("-sig")


def _known(encoding: str, head: bytes) -> str:
    try:
        found = codecs.lookup(encoding)
        "".encode(found.name)
    except (LookupError, ValueError):
        raise InvalidTable(
            f"There is no encoding {encoding!r}. Name one such as utf-8, cp1252, gb18030, "
            "shift_jis, euc_kr, big5, utf-16."
        ) from None
    if found.name == "utf-8":
        return "utf-8-sig" if head.startswith(codecs.BOM_UTF8) else "utf-8"
    return found.name


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
