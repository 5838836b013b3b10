"""Reads XML feeds (Google Merchant's RSS and Atom, and their kin), an item at a time.

Items are cut out of the text and parsed one by one, so a damaged one costs itself only. An element
that stands twice in an item is a JSON list, one with elements inside a JSON object.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from xml.etree import ElementTree  # nosec B405 # expat bounds what entities grow to

from orchestra.batch.tables.encodings import Scan, scan
from orchestra.batch.tables.objects import ObjectTable, Parsed
from orchestra.batch.tables.reading import AS_FOUND, ReadAs
from orchestra.batch.tables.records import MAX_RECORD_CHARS
from orchestra.batch.tables.source import Source
from orchestra.core.errors import InvalidTable
from orchestra.core.values import compact

CHUNK_CHARS = 1 << 18
ITEMS = "item entry product offer shopitem article produkt"
BEGIN = re.compile(rf"<({'|'.join(ITEMS.split())})(?=[\s>])", re.IGNORECASE)
DECLARED = re.compile(rb"""<\?xml[^>]*encoding\s*=\s*["']([\w.:-]+)["']""")
PREFIX = re.compile(r"(?<=[</\s])([A-Za-z_][\w.-]*):(?=[\w.-]+)")
ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
CDATA = re.compile(r"(<!\[CDATA\[.*?\]\]>)", re.DOTALL)
OF_XML = frozenset(("amp", "lt", "gt", "quot", "apos"))
BARE_AMPERSAND = re.compile(r"&(?!#\d+;|#x[0-9a-fA-F]+;|[A-Za-z][A-Za-z0-9]*;)")


class FeedTable(ObjectTable):
    """An XML feed. Raises InvalidTable when it holds no item."""

    KIND = "feed item (<item>, <entry>, <product> or <offer>)"
    CURE = "Give a product feed, or export the table as CSV."

    def __init__(self, source: Source, read_as: ReadAs = AS_FOUND) -> None:
        self._source = source
        declared = DECLARED.search(source.head()[:1024])
        named = read_as.encoding or (declared[1].decode() if declared else None)
        self._scan = found = _scanned(source, named, is_given=bool(read_as.encoding))
        self.encoding, self.fingerprint = found.encoding, found.fingerprint
        self.told = (f"an XML feed, {found.told[0]}", *found.told[1:])
        self._open(source)

    def _parsed(self) -> Iterator[Parsed]:
        with self._source.open() as raw:
            file = io.TextIOWrapper(raw, self.encoding, errors="surrogateescape", newline="")
            for item in _items(file):
                yield _values((self._scan.read(item) or item).encode("utf-8", "replace").decode())


def _scanned(source: Source, named: str | None, *, is_given: bool) -> Scan:
    """The encoding that is named, or the one that the file has where it only declares another."""
    try:
        found = scan(source, named)
    except InvalidTable:
        if is_given:
            raise
        return scan(source)
    return found if is_given or not found.has_strays else scan(source)


def _items(file: io.TextIOWrapper) -> Iterator[str]:
    """The text of each item; of one that is never closed what stands before the next."""
    text, name = "", None
    while more := file.read(CHUNK_CHARS):
        text += more
        at = 0
        while (begin := BEGIN.search(text, at)) is not None:
            name = name or begin[1]
            if begin[1] != name:
                at = begin.end()
                continue
            end = _item_end(text, begin.end(), name, is_last=False)
            if end < 0:
                break
            yield text[begin.start() : end]
            at = end
        text = text[at:] if begin is None else text[begin.start() :]
    if name is not None and (begin := BEGIN.search(text)) is not None and begin[1] == name:
        yield text[begin.start() :]


def _item_end(text: str, at: int, name: str, *, is_last: bool) -> int:
    """Where an item ends; -1 where that is not read yet."""
    closing, following = text.find(f"</{name}>", at), text.find(f"<{name}>", at)
    if 0 <= following < closing or (closing < 0 <= following):
        return following
    if closing >= 0:
        return closing + len(name) + 3
    return len(text) if len(text) - at > MAX_RECORD_CHARS else -1


def _values(item: str) -> Parsed:
    prefixes = sorted(set(PREFIX.findall(item)) - {"xml", "xmlns", "http", "https"})
    declared = "".join(f' xmlns:{one}="urn:{one}"' for one in prefixes)
    parts = CDATA.split(item)  # those of odd places are as they stand
    parts[::2] = [ENTITY.sub(_entity, BARE_AMPERSAND.sub("&amp;", part)) for part in parts[::2]]
    text = "".join(parts)
    try:
        root = ElementTree.fromstring(f"<x{declared}>{text}</x>")  # nosec B314 # as said above
    except ElementTree.ParseError as error:
        return {}, f"is no whole XML item ({error}): {item[:60]!r}. Close its elements."
    return _fields(root[0]), None


def _entity(found: re.Match[str]) -> str:
    """Names that HTML has and XML has not."""
    name = found[1]
    if name in OF_XML:
        return found[0]
    return html.escape(html.unescape(found[0]))


def _fields(element: ElementTree.Element) -> dict[str, str]:
    found: dict[str, list[object]] = {}
    for name, value in element.attrib.items():
        found.setdefault(_local(name), []).append(value)
    for child in element:
        found.setdefault(_local(child.tag), []).append(_content(child))
    return {name: _joined(values) for name, values in found.items()}


def _content(element: ElementTree.Element) -> object:
    """An element's text; a link's address; what has elements inside, as an object."""
    if len(element):
        return _fields(element)
    text = (element.text or "").strip()
    return text or element.get("href", "")


def _joined(values: list[object]) -> str:
    only = values[0]
    if len(values) == 1:
        return only if isinstance(only, str) else compact(only)
    return compact(values)


def _local(tag: str) -> str:
    return tag.rsplit("}", 1)[-1]
