"""Checks the models of a fleet: each is loaded, asked one question, and its reply looked over."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from PIL import Image

from orchestra.core.call import ENCODE, Call, Reply, Usage
from orchestra.core.card import Card
from orchestra.core.errors import OrchestraError, OutsideDomain
from orchestra.fleet.opened import OpenFleet

T = TypeVar("T")
FIELD = "answer"
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {FIELD: {"type": ["string", "null"], "maxLength": 80}},
    "required": [FIELD],
}
QUESTION, TEXT = "What colour is it?", "A red apple from Italy, 180 g."
PHOTO_PX = 256
ANSWER_TOKENS = 128
NOT_HOSTED = "for planning only: its card has neither hosting.worker nor hosting.endpoint"


@dataclass(frozen=True, slots=True)
class Check:
    """What came of one model: a problem, or its answer with the seconds that each step took.

    A card for planning only has neither.
    """

    model: str
    problem: str | None = None
    answer: str | None = None
    load_s: float | None = None
    answer_s: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """`ok`, `wrong`, or `not hosted`."""
        if self.problem is not None:
            return "wrong"
        return "not hosted" if self.load_s is None else "ok"


def first_question(card: Card, question: str | None = None) -> Call:
    """A call that makes the model use all its parts once: `question`, or its card's example.

    Any model that fits its card can answer it: the value is a string, and may be null.
    """
    asked = question or card.example
    if card.capabilities == (ENCODE,):
        return Call("", texts=(asked or TEXT,))
    sees = card.sees and not asked
    reads = not asked and (not card.sees or "text" in card.capabilities)
    return Call(
        asked or QUESTION,
        TEXT if reads else None,
        (Image.new("RGB", (PHOTO_PX, PHOTO_PX), "red"),) if sees else (),
        SCHEMA,
        max(1, min(ANSWER_TOKENS, card.limits.context_tokens // 2)),
        thinking_tokens=card.limits.thinking_tokens,
        schema_in_prompt=card.hosting.schema_in_prompt,
    )


async def check(fleet: OpenFleet, card: Card, question: str | None = None) -> Check:
    """Load the model of `card` and ask it; whatever goes wrong stands in the result."""
    if not card.is_hosted:
        return Check(card.name, notes=(NOT_HOSTED,))
    load_s = None
    try:
        client = fleet.client(card.name)
        load_s, _ = await _timed(client.prepare())
        call = first_question(card, question)
        answer_s, reply = await _timed(client.complete(call))
    except OrchestraError as error:
        return Check(card.name, f"{error.kind}: {error}{_cure(error)}", load_s=load_s)
    if call.texts:
        return _check_vectors(card, reply, load_s, answer_s)
    problem = next(_problems(reply), None)
    shown = _value(reply) if problem is None else None
    return Check(card.name, problem, shown, load_s, answer_s, tuple(_notes(reply)))


def _check_vectors(card: Card, reply: Reply, load_s: float, answer_s: float) -> Check:
    rows = reply.vectors
    if rows is None or rows.ndim != 2 or len(rows) != 1:
        problem = (
            f"Its reply's vectors are {rows!r:.60}, not a row of numbers for the one text. Give "
            "Reply(vectors=...) of shape (texts, width) where call.texts is not empty."
        )
        return Check(card.name, problem, None, load_s, answer_s)
    shown = f"a vector of {rows.shape[1]} numbers"
    notes = [note for note in _notes(reply) if "tokens" in note]
    return Check(card.name, None, shown, load_s, answer_s, tuple(notes))


def _cure(error: OrchestraError) -> str:
    if not isinstance(error, OutsideDomain):
        return ""
    return " To check it, write a question that it takes as `example:` on its card, or give one."


async def _timed(work: Awaitable[T]) -> tuple[float, T]:
    """Seconds that `work` took, and what it gave."""
    began = time.monotonic()
    found = await work
    return round(time.monotonic() - began, 3), found


def _value(reply: Reply) -> Any:
    return reply.value.get(FIELD) if isinstance(reply.value, Mapping) else None


def _problems(reply: Reply) -> Iterator[str]:
    """What a graph could not use of a reply, each with what it should be."""
    if not isinstance(reply.value, Mapping):
        yield (
            f"Its reply's value is {reply.value!r:.60}, not the object that the call's schema asks "
            f"for. Give Reply(value={{{FIELD!r}: ...}}, ...) where call.schema is not None."
        )
        return
    if FIELD not in reply.value:
        yield (
            f"Its reply has {list(reply.value)!r}, and the call's schema asks for {FIELD!r}. Take "
            "the names from call.schema['properties']."
        )
        return
    if not isinstance(reply.value[FIELD], str | None):
        yield (
            f"Its reply has {FIELD}={reply.value[FIELD]!r:.60}, and the call's schema takes a "
            "string or null. Keep to the types that the schema names."
        )
    if not isinstance(reply.text, str):
        yield f"Its reply's text is {reply.text!r:.60}, not a string. Give the answer as JSON."
    for name, share in reply.confidence.items():
        if not isinstance(share, float | int) or not 0 <= share <= 1:
            yield (
                f"Its confidence of {name!r} is {share!r}, not a float from 0 to 1. Give the "
                "probability of the value, as in float(p)."
            )
    if not isinstance(reply.usage, Usage):
        yield f"Its reply's usage is {reply.usage!r:.60}. Give a Usage, or leave it out."


def _notes(reply: Reply) -> Iterator[str]:
    """What works, and should be known."""
    if _value(reply) is None:
        why = reply.abstained.get(FIELD)
        yield f"it left the answer open{f': {why}' if why else ''}"
    if FIELD not in reply.confidence:
        yield "it reports no confidence, so reviews and policies have nothing to go by"
    if isinstance(reply.usage, Usage) and not reply.usage.input_tokens + reply.usage.output_tokens:
        yield "it reports no tokens, so budgets count none for it"
