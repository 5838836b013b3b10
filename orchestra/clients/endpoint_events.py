"""Reads a stream of server-sent events, byte by byte, as the JSON objects that it carries.

After the HTML standard: a line ends with CR, LF or both and nowhere else (models write U+2028 and
its like inside of strings), lines of data join to an event, a line that begins with a colon keeps
the connection alive. Pure.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

DONE = "[DONE]"  # the last event of a stream
LINE_END = re.compile(rb"\r\n|\r(?!$)|\n")  # a CR at the end may be the first half of a CRLF
# Bytes that are no UTF-8 stand in a string as these; a model's token may be half a character.
STRAY_BYTES = re.compile("[\udc80-\udcff]+")
HIGH_HALF, LONE_HALF = re.compile("[\ud800-\udbff]$"), re.compile("[\ud800-\udfff]")


class NoEvent(ValueError):
    """An event that holds no JSON object."""


async def events(chunks: AsyncIterable[bytes]) -> AsyncIterator[Mapping[str, Any] | None]:
    """Each event of a stream, and None for the one that ends it.

    Raises `NoEvent` for data that is no JSON object: a stream that was cut ends so.
    """
    data: list[str] = []
    name = ""
    async for line in _lines(chunks):
        if line.startswith("event:"):
            name = line[6:].strip()
        data += _data(line)
        joined = "\n".join(data).strip()
        if joined == DONE:
            yield None
            return
        event = _object(joined)
        if event is not None:  # some servers leave out the empty line between events
            yield {"error": event} if name == "error" and "error" not in event else event
            data.clear()
            name = ""
        elif not line and joined:
            raise NoEvent(joined)
    if any(data):
        raise NoEvent("\n".join(data))


def _data(line: str) -> list[str]:
    """What a line says, if anything. Errors have been seen as a field of their own, and bare."""
    name, _, value = line.removeprefix("\ufeff").partition(":")
    if name == "data":
        return [value.strip()]
    if name == "error":
        return [f'{{"error": {value}}}']
    return [line] if line.startswith("{") else []


async def _lines(chunks: AsyncIterable[bytes]) -> AsyncIterator[str]:
    held = b""
    async for chunk in chunks:
        *lines, held = LINE_END.split(held + chunk)
        for line in lines:
            yield line.decode(errors="surrogateescape")
    for line in held.splitlines():
        yield line.decode(errors="surrogateescape")


def _object(data: str) -> Mapping[str, Any] | None:
    try:
        event = json.loads(data) if data else None
    except (json.JSONDecodeError, RecursionError):
        return None
    return event if isinstance(event, Mapping) else None


@dataclass(slots=True)
class Characters:
    """Joins pieces of text to whole characters: servers cut them in the middle.

    A half is held back until the other comes, be it a byte of UTF-8 or of a surrogate pair; what
    stays half is U+FFFD, because nothing could be written down that holds it.
    """

    _bytes: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )
    _held: str = ""

    def feed(self, piece: str, *, last: bool = False) -> str:
        """The whole characters that are known with `piece`; with `last` all that is left."""
        text = (self._held + piece).encode("utf-16-le", "surrogatepass")
        text = text.decode("utf-16-le", "surrogatepass")  # two halves in a row are one now
        half = None if last else HIGH_HALF.search(text)
        self._held = half.group() if half else ""
        text = text.removesuffix(self._held)
        parts: list[str] = []
        at = 0
        for stray in STRAY_BYTES.finditer(text):
            parts.append(self._plain(text[at : stray.start()]))
            parts.append(self._bytes.decode(stray.group().encode(errors="surrogateescape")))
            at = stray.end()
        parts.append(self._plain(text[at:]))
        if last:
            parts.append(self._bytes.decode(b"", True))
        return "".join(parts)

    def _plain(self, text: str) -> str:
        """`text` without stray bytes, after what was left of bytes before it."""
        if not text:
            return ""
        left = self._bytes.decode(b"", True)  # another character began: they stay half
        self._bytes.reset()
        return left + LONE_HALF.sub("\ufffd", text)


def whole_characters(text: str) -> str:
    """`text` without halves of characters."""
    return Characters().feed(text, last=True)
