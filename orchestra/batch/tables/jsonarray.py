"""Reads a JSON array of objects, also one inside an object, or objects alone, in bounded memory.

Objects are cut out by their braces and parsed one by one, so a damaged one costs itself only.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from orchestra.batch.tables.encodings import scan
from orchestra.batch.tables.jsonvalues import values_of
from orchestra.batch.tables.objects import ObjectTable, Parsed
from orchestra.batch.tables.reading import AS_FOUND, ReadAs
from orchestra.batch.tables.records import MAX_RECORD_CHARS
from orchestra.batch.tables.source import Source

CHUNK_CHARS = 1 << 18
PART = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]|"', re.DOTALL)
NAMES = "articles catalog data entries feed items list nodes offers products records results rows"
CONTAINERS = frozenset(NAMES.split())
KEY = re.compile(r'"([^"]*)"\s*:\s*$')
LIST = re.compile(r"\[\s*\{")
START = re.compile(r"[{\]]")
NEXT_OBJECT = re.compile(r"[\r\n]\s*\{")


class JsonArrayTable(ObjectTable):
    """A JSON file with a list of objects, also as `products` of an object, or objects alone."""

    KIND = "JSON object with keys"
    CURE = 'Write a list of objects, such as [{"id":"1","name":"Apple"}].'

    def __init__(self, source: Source, read_as: ReadAs = AS_FOUND) -> None:
        self._source = source
        self._scan = found = scan(source, read_as.encoding)
        self.encoding, self.fingerprint = found.encoding, found.fingerprint
        self.told = (f"a JSON list, {found.told[0]}", *found.told[1:])
        self._open(source)

    def _parsed(self) -> Iterator[Parsed]:
        with self._source.open() as raw:
            file = io.TextIOWrapper(raw, self.encoding, errors="surrogateescape", newline="")
            for text, problem in objects(file):
                yield ({}, problem) if problem else values_of(self._scan.read(text) or text)


def objects(file: io.TextIOWrapper) -> Iterator[tuple[str, str | None]]:
    """The text of each object of the first list of objects, or what is wrong with it."""
    text = file.read(CHUNK_CHARS)
    at = _list_start(text)
    while True:
        start = _start(text, at)
        while start < 0 and (more := file.read(CHUNK_CHARS)):
            text, at = text[at:] + more, 0
            start = _start(text, at)
        if start < 0 or text[start] == "]":
            return
        end = _end(text, start)
        while end < 0 and len(text) - start < MAX_RECORD_CHARS:
            more = file.read(CHUNK_CHARS)
            if not more:
                break
            text, start = text[start:] + more, 0
            end = _end(text, start)
        if end >= 0:
            yield text[start:end], None
            at = end
            continue
        yield "", _unclosed(text[start:])
        following = NEXT_OBJECT.search(text, start + 1)
        if following is None:
            return
        at = following.start()


def _unclosed(text: str) -> str:
    return (
        f"is an object that is never closed: {text[:40]!r}. Close its quotes and braces, or export "
        "the file again."
    )


def _list_start(text: str) -> int:
    """Where the list of objects begins in the first text of a file; 0 where there is none.

    A list inside an object is the file's where its name says so, or nothing else stands before it.
    """
    begin = LIST.search(text)
    if begin is None:
        return 0
    before = text[: begin.start()].strip("\ufeff \t\r\n")
    key = KEY.search(before)
    is_list = not before or (
        key is not None and (key[1].lower() in CONTAINERS or before[1:].strip() == key[0].strip())
    )
    return begin.start() + 1 if is_list else 0


def _start(text: str, at: int) -> int:
    """Where the next object begins, or the list ends; -1 where neither is there."""
    found = START.search(text, at)
    return -1 if found is None else found.start()


def _end(text: str, start: int) -> int:
    """Where the object at `start` ends; -1 where it goes on."""
    depth = 0
    for part in PART.finditer(text, start):
        sign = part[0]
        if sign in "{[":
            depth += 1
        elif sign in "}]":
            depth -= 1
            if depth == 0:
                return part.end()
        elif sign == '"':
            return -1  # a text that goes on
    return -1
