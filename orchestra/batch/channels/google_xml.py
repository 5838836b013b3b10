"""Writes Google's feed as XML: RSS 2.0 with the namespace g.

The form: support.google.com/merchants/answer/160589. Text is data: it is escaped, and what XML 1.0
cannot hold is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import IO
from urllib.parse import urlsplit
from xml.sax.saxutils import escape  # nosec B406 # it writes

from orchestra.batch.channels.channel import Line, Writer
from orchestra.batch.tables.structured import AI

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0">\n<channel>\n'
    "<title>Products</title>\n<link>{shop}</link>\n<description>Products</description>\n"
)
FOOT = "</channel>\n</rss>\n"
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def from_json(cell: str) -> object:
    """What a cell holds in which an XML feed's elements were kept; another cell is itself."""
    if cell[:1] not in ("[", "{"):
        return cell
    try:
        found: object = json.loads(cell)
    except ValueError:
        return cell
    return found if isinstance(found, list | dict) else cell


class XmlWriter(Writer):
    """Writes items one at a time."""

    def __init__(self, file: IO[bytes], names: Sequence[str]) -> None:
        self._file, self._names = file, tuple(names)
        self._is_begun = False

    def add(self, lines: Sequence[Line]) -> None:
        """Write the items of one product."""
        for line in lines:
            self._begin(str(line.get("link", "")))
            parts = "".join(self._element(name, line[name]) for name in self._names if name in line)
            self._write(f"<item>\n{parts}</item>\n")

    def end(self) -> None:
        """Close what was opened."""
        self._begin("")
        self._write(FOOT)

    def _begin(self, link: str) -> None:
        """Write the head; the feed's own link is the shop of its first item."""
        if not self._is_begun:
            shop = urlsplit(link)
            address = f"{shop.scheme}://{shop.netloc}/" if shop.netloc else ""
            self._write(HEAD.replace("{shop}", escape(address)))
        self._is_begun = True

    def _element(self, name: str, value: object) -> str:
        value = from_json(value) if isinstance(value, str) else value
        if isinstance(value, list | tuple):
            return "".join(self._element(name, part) for part in value)
        if isinstance(value, Mapping):
            inner = "".join(self._element(part, own).strip() for part, own in value.items())
            return f"<g:{name}>{inner}</g:{name}>\n"
        text = escape(ILLEGAL.sub("", str(value)))
        if name.startswith("structured_"):
            text = (
                f"<g:digital_source_type>{AI}</g:digital_source_type><g:content>{text}</g:content>"
            )
        return f"<g:{name}>{text}</g:{name}>\n"

    def _write(self, text: str) -> None:
        self._file.write(text.encode("utf-8"))
