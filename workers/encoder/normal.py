"""Reads text as the vocabulary spells it (NFKC and plain spaces), and keeps where it came from."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

SPACE = "▁"  # how pieces write the space before a word
WORD = re.compile(r"[^ ]+")
PLAIN = re.compile(r"[ -~]*")
# Jamo that join a syllable begun before them (Unicode 15, chapter 3.12).
JOINING_JAMO = range(0x1160, 0x1200)


@dataclass(frozen=True, slots=True)
class Spelling:
    """A text as it is read. Character i of `text` came from `starts[i]` to `ends[i]` of the
    original; without them, from the same place."""

    text: str
    starts: list[int] | None = None
    ends: list[int] | None = None

    def words(self) -> Iterator[tuple[str, int]]:
        """Words without spaces, and where each begins in `text`."""
        for found in WORD.finditer(self.text):
            yield found.group(), found.start()

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where characters `start` to `end` came from; an empty place where there are none."""
        if self.starts is None or self.ends is None:
            return start, end
        if start == end:
            place = self.starts[start] if start < len(self.starts) else self.ends[-1]
            return place, place
        return self.starts[start], self.ends[end - 1]


def spell(text: str, characters: Mapping[int, str]) -> Spelling:
    """`text` with each character read as `characters` says, and accents joined to their letters."""
    if PLAIN.fullmatch(text):
        return Spelling(text)
    read: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    for start, end in _clusters(text):
        part = "".join(characters.get(ord(c), c) for c in text[start:end])
        if end - start > 1:
            part = unicodedata.normalize("NFC", part)
        read.append(part)
        starts += [start] * len(part)
        ends += [end] * len(part)
    return Spelling("".join(read), starts, ends)


def _clusters(text: str) -> Iterator[tuple[int, int]]:
    """Places of characters, each with the marks that may join it."""
    start = 0
    for at in range(1, len(text)):
        if not _joins(text[at]):
            yield start, at
            start = at
    if text:
        yield start, len(text)


def _joins(character: str) -> bool:
    if character < "\u0300":
        return False
    return unicodedata.combining(character) > 0 or ord(character) in JOINING_JAMO
