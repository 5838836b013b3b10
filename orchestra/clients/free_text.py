"""A free answer as text: out of the JSON object of one key that models put around it.

Models that were trained on objects, and servers that are set to JSON, answer `{"answer":"Apple"}`
to a plain question. Whoever asked for JSON gets it as it is, and so does a call with a schema.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestra.core.call import Call, Client, OnPiece, Reply
from orchestra.core.values import text_of

MOST_CHARS = 2000  # a longer object is what was meant, and is not waited for
FENCE = "```json"


async def complete(
    client: Client, call: Call, *, left_s: float | None = None, on_piece: OnPiece | None = None
) -> Reply:
    """What `client` answers; `on_piece` hears the text of a free answer, not the JSON around it."""
    if not is_free(call):
        return await client.complete(call, left_s=left_s, on_piece=on_piece)
    if on_piece is None:
        return bare(await client.complete(call, left_s=left_s))
    heard = Unwrapped(on_piece)
    reply = await client.complete(call, left_s=left_s, on_piece=heard.feed)
    heard.end()
    return bare(reply)


def is_free(call: Call) -> bool:
    """Whether `call` asks for words: no schema, no tools, and nobody spoke of JSON."""
    if call.schema is not None or call.tools:
        return False
    said = (call.instruction, *(turn.text for turn in call.turns if turn.role != "assistant"))
    return not any("json" in text.casefold() for text in said)


def bare(reply: Reply) -> Reply:
    """`reply` with the text within its object of one key."""
    text = unwrapped(reply.text)
    return reply if text == reply.text else replace(reply, text=text, value=text)


def unwrapped(text: str) -> str:
    """The one value of the JSON object that `text` is; any other text as it is."""
    inner = text.strip()
    if inner.startswith(FENCE) and inner.endswith("```"):
        inner = inner.removeprefix(FENCE).removesuffix("```").strip()
    if not inner.startswith("{") or len(text) > MOST_CHARS:
        return text
    try:
        found = json.loads(inner)
    except ValueError:
        return text
    if not isinstance(found, Mapping) or len(found) != 1:
        return text
    (value,) = found.values()
    return text if isinstance(value, list | Mapping) else text_of(value) or ""


@dataclass(slots=True)
class Unwrapped:
    """Tells an answer piece by piece, but holds back what may yet be an object around it."""

    hear: OnPiece
    _held: str = ""
    _is_open: bool = False

    def feed(self, piece: str) -> None:
        """Hear the next piece."""
        self._held += piece
        if self._is_open or not _may_be_object(self._held):
            self._is_open = True
            self._tell(self._held)

    def end(self) -> None:
        """Tell what is left, once the answer is whole."""
        self._tell(unwrapped(self._held))

    def _tell(self, text: str) -> None:
        self._held = ""
        if text:
            self.hear(text)


def _may_be_object(text: str) -> bool:
    start = text.lstrip()
    return len(text) <= MOST_CHARS and (start.startswith(("{", FENCE)) or FENCE.startswith(start))
