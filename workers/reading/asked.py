"""Fields that no rule of packs knows, read off the print by the reader of texts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

from orchestra.core.call import Box, Call, Reply
from orchestra.core.schema import Schema
from workers.reading.fields import PackAnswer, around, joined
from workers.reading.lines import PrintedLine
from workers.reading.reader import Page
from workers.understanding.engine import UnderstandingEngine

INSTRUCTION = "Read what the pack says."
BREAK = " "  # a line of print often goes on in the next


@dataclass(eq=False)
class PrintAsker:
    """Asks the engine that `load` makes, at the first page that needs it."""

    load: Callable[[], UnderstandingEngine]
    _engine: UnderstandingEngine | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, page: Page, schema: Schema, names: Collection[str]) -> PackAnswer:
        """The values of these properties that stand in the believed lines of a page.

        A value is as sure as the reader is of it, times how surely its lines were read. Raises
        what loading raises, and `InvalidSchema`.
        """
        lines = page.believed
        text = BREAK.join(line.text for line in lines)
        (reply,) = self._loaded().generate([Call(INSTRUCTION, text, schema=_only(schema, names))])
        if not isinstance(reply, Reply):
            raise reply
        found = PackAnswer()
        for name in names:
            spans = [span for place, span in reply.read_off.items() if _is_of(place, name)]
            said = [line for span in spans for line in _under(lines, span)]
            if said:
                found.add(name, reply.value[name], *_evidence(said, page, reply, name))
        return found

    def _loaded(self) -> UnderstandingEngine:
        with self._turn:
            if self._engine is None:
                self._engine = self.load()
            return self._engine


def _evidence(
    said: Sequence[PrintedLine], page: Page, reply: Reply, name: str
) -> tuple[float, Box, str]:
    lines = tuple(dict.fromkeys(said))
    read = sum(line.score for line in lines) / len(lines)
    sure = reply.confidence.get(name, 0.0) * read
    return sure, around(lines, page.size), joined(lines)


def _only(schema: Schema, names: Collection[str]) -> Schema:
    """`schema` with these properties alone; what they refer to stays."""
    properties = {name: schema["properties"][name] for name in names}
    return {**schema, "properties": properties, "required": list(names)}


def _is_of(place: str, name: str) -> bool:
    return place == name or place.startswith((f"{name}[", f"{name}."))


def _under(lines: Sequence[PrintedLine], span: tuple[int, int]) -> Iterator[PrintedLine]:
    """The lines that hold a part of the characters `span` of all of them."""
    start = 0
    for line in lines:
        end = start + len(line.text)
        if span[0] < end and start < span[1]:
            yield line
        start = end + len(BREAK)
