"""Turns an ask into a model's call, and the reply into fields with their source and evidence.

A call is instruction, data and schema, within the model's context. A value without evidence is
none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from orchestra.clients.tools import as_schema, knows_tools
from orchestra.core.answers.choices import indexed, spellings
from orchestra.core.ask import Ask, prompt_hash
from orchestra.core.call import Call, Client, Reply, Tool, Turn
from orchestra.core.card import Card
from orchestra.core.errors import AnswerInvalid, DeadlineExceeded, OrchestraError
from orchestra.core.job import CallRecord, Evidence, Field, Job
from orchestra.core.labels import choices_of, chosen, named_choices, with_choices
from orchestra.core.placeholders import filled
from orchestra.core.schema import (
    Schema,
    Terms,
    choice_terms,
    listed_choices,
    narrow,
    parsed,
    terms_of,
)
from orchestra.core.state import JobState
from orchestra.core.text import clip, find_span, sanitise
from orchestra.core.text_limits import check_prompt, readable_bytes
from orchestra.core.values import lower
from orchestra.graph.caller import Ticket
from orchestra.graph.nested import is_empty, nested_field
from orchestra.routing.prompt_size import schema_copies, talk_bytes

LOOSE_ENDS = " ,;:-–"  # what a span may drag along from between two words
UNKNOWN = "its confidence is unknown: the model reports none"
SAID = ("title", "description")  # what a schema tells of a field in words
WHOLE_IMAGE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Tools:
    """What a model may ask for instead of answering; see `Call`."""

    offered: tuple[Tool, ...] = ()
    choice: str = "auto"


def call_of(
    ask: Ask,
    job: Job,
    state: JobState,
    images: tuple[Image.Image, ...],
    card: Card,
    turns: tuple[Turn, ...],
    tools: Tools,
) -> Call:
    """The call that asks the model of `card`, not yet held to a schema or to its context."""
    return Call(
        instruction=_instruction(ask, job),
        text=_data(ask, state, job),
        images=images,
        max_tokens=ask.max_tokens,
        turns=turns,
        thinking_tokens=card.limits.thinking_tokens,
        schema_in_prompt=card.hosting.schema_in_prompt,
        regions=ask.regions,
        tools=tools.offered,
        tool_choice=tools.choice,
    )


async def fitted(
    call: Call,
    ask: Ask,
    state: JobState,
    card: Card,
    client: Client,
    left_s: float | None = None,
) -> tuple[Call, tuple[str, ...]]:
    """`call` within the context of `card` and held to the ask's schema, and what was cut of it.

    What a context of that size cannot hold is not shown to the tokenizer. Raises `PromptTooLong`
    where that is the question or the conversation, which are never cut, and `DeadlineExceeded`
    after `left_s`.
    """
    context = card.limits.context_tokens
    check_prompt(len(call.instruction.encode()) + talk_bytes(call.turns, ()), context, card.name)
    counts_schema, room, whole = schema_copies(card) > 0, context - call.written_tokens, call.text
    if whole is not None and (shown := clip(whole, readable_bytes(room))) != whole:
        call = replace(call, text=shown)
    if counts_schema:
        call = _constrained(call, ask, state, card)  # it takes room in the prompt
    try:
        async with asyncio.timeout(left_s):
            call = await _cut(call, room, client, is_counted_whole=counts_schema)
    except TimeoutError:
        raise DeadlineExceeded(
            f"The deadline passed while {card.name} counted the tokens of the text. Raise "
            "latency_ms, or send less text."
        ) from None
    read = len(call.text or "")
    is_cut = whole is not None and read < len(whole)
    notes = (f"the model read the first {read} of {len(whole or '')} characters of the text",)
    call = _constrained(call, ask, state, card)
    return call if knows_tools(card) else as_schema(call), notes if is_cut else ()


def with_beside(call: Call, ask: Ask, card: Card, texts: tuple[str, ...]) -> Call:
    """`call` with the other `texts` of its table, where the model reads its choices by them.

    It then chooses among all names, whichever of them stand in the call's text.
    """
    if not (texts and card.settles and call.text and call.schema and ask.schema_json):
        return call
    choices = named_choices(ask.schema_json)
    if not choices or ask.data is not None or ask.shape is not None:
        return call
    properties = dict(call.schema["properties"])
    for name, names in choices.items():
        said = {key: properties[name][key] for key in SAID if key in properties[name]}
        properties[name] = {**said, "enum": [*names, None]}
    return replace(call, schema={**call.schema, "properties": properties}, beside=texts)


def _instruction(ask: Ask, job: Job) -> str:
    """What the model is told to do; the job's own text where that is the question."""
    if ask.question:
        return job.text or ask.instruction
    return filled(ask.instruction, job.language)


def _data(ask: Ask, state: JobState, job: Job) -> str | None:
    """The text a call is given as data, or None."""
    if ask.data is not None:
        rendered = ask.data(state)
        return None if rendered is None else sanitise(rendered)
    return None if ask.question or ask.reads == "image" else job.text


async def _cut(call: Call, room: int, client: Client, *, is_counted_whole: bool = False) -> Call:
    """`call` with data that fits the context; the instruction is never cut.

    A prompt that is short in bytes is not counted at all, unless more than instruction and data
    is in it (`is_counted_whole`).
    """
    text = call.text
    bound = len(call.instruction.encode()) + len((text or "").encode())
    if text is None or (bound < room - 64 and not is_counted_whole):
        return call
    cut = call
    while cut.text and (tokens := await client.count_tokens(cut)) > room:
        keep = int(len(cut.text) * min(0.95, room / tokens))
        cut = replace(cut, text=clip(cut.text, keep))
    return cut


def _constrained(call: Call, ask: Ask, state: JobState, card: Card) -> Call:
    """`call` with the ask's schema, narrowed to the call's text where it is read off."""
    if ask.schema_json is None:
        return call
    if ask.shape is not None:
        return replace(call, schema=ask.shape(state))
    if card.classifies and not ask.derived:
        return replace(call, schema=with_choices(ask.schema_json))
    read_off = not ask.derived and ask.reads != "image"
    schema = narrow(ask.schema_json, call.text or "") if read_off else parsed(ask.schema_json)
    return replace(call, schema=schema)


def read_fields(
    ask: Ask,
    reply: Reply,
    *,
    model: str,
    text: str | None,
    images: tuple[str, ...],
    classifies: bool = False,
) -> dict[str, Field]:
    """Fields of one reply. `text` is what the model was shown, `images` the content hashes.

    Of a model that `classifies`, and where a reply says so, a choice is a label of the whole text
    and need not stand in it.
    Raises `AnswerInvalid` when a schema was asked for and the reply is not an object.
    """
    if ask.schema_json is None:
        return {}
    if not isinstance(reply.value, Mapping):
        raise AnswerInvalid(
            f"The model {model!r} answered {reply.text[:80]!r}, not the object its schema asks "
            "for. Use a model that can be held to a schema."
        )
    root = parsed(ask.schema_json)
    base = {"model": model, "prompt_hash": prompt_hash(ask)}
    fields: dict[str, Field] = {}
    for name, shape in root["properties"].items():
        value = reply.value.get(name)
        read = _Leaves(ask, reply, name, base, text or "", images)
        is_label = (classifies or name in reply.judged) and ask.reads != "image"
        choices = choices_of(ask.schema_json, name) if is_label else None
        is_left = ask.derived or name in reply.abstained
        if choices is not None and not is_left:
            sure = {**base, "confidence": reply.confidence.get(name)}
            fields[name] = _labelled(value, choices, sure)
        elif isinstance(value, Mapping | list) and not is_left:
            fields[name] = nested_field(value, shape, root, read, read(None, shape, ""))
        else:
            fields[name] = read(value, shape, "")
    if reply.cached:
        fields = {name: _from_cache(field) for name, field in fields.items()}
    return {name: _flagged(field) for name, field in fields.items()}


def with_said(record: CallRecord, fields: Mapping[str, Field]) -> CallRecord:
    """The call's record with what was read in its reply."""
    if not fields:
        return record
    said = {name: field.value for name, field in fields.items() if field.answered}
    return record.model_copy(update={"said": said})


@dataclass(frozen=True, slots=True)
class _Leaves:
    """Reads the leaves of one property of a reply; a property that is none has the place ""."""

    ask: Ask
    reply: Reply
    name: str
    base: Mapping[str, str]
    text: str
    images: tuple[str, ...]

    def __call__(self, value: Any, shape: Schema, place: str) -> Field:
        """The field of one leaf."""
        reply, name = self.reply, self.name
        dot = "." * bool(place and not place.startswith("["))
        whole = f"{name}{dot}{place}"
        base: dict[str, Any] = {**self.base, "confidence": reply.confidence.get(whole)}
        if whole in reply.shares:
            base["shares"] = reply.shares[whole]
        if whole in reply.abstained:
            return Field(note=reply.abstained[whole], **base)
        if self.ask.derived:
            return _derived(value, base)
        if self.ask.reads == "image":
            box = reply.regions.get(name, WHOLE_IMAGE)
            found = {"box": box, "heat": reply.heat.get(name), "text": reply.words.get(name)}
            seen = _seen(value, self.images, found, base)
            note = reply.notes.get(whole) if seen.answered else None
            return seen if note is None else seen.model_copy(update={"note": note})
        meaning: Terms = ()
        if "x-choice" in shape:
            known = self.ask.schema_json
            meaning = terms_of(shape) if place or known is None else choice_terms(known, name)
        choice = None if meaning else self._choice(value, shape)
        span = _told(reply.read_off.get(whole), self.text)
        return _read(value, dict(meaning), choice, self.text, base, span)

    def _choice(self, value: Any, shape: Schema) -> str | None:
        """The choice of the schema that a value is, in whatever form; None where it lists none."""
        root = parsed(self.ask.schema_json or "{}")
        choices = listed_choices(shape, root) if isinstance(value, str) else ()
        return indexed(choices).find(value) if choices else None


def _from_cache(field: Field) -> Field:
    marked = tuple(proof.model_copy(update={"cached": True}) for proof in field.evidence)
    return field.model_copy(update={"evidence": marked})


def _flagged(field: Field) -> Field:
    """`field`, with a note where nothing is known of how sure the model was."""
    if not field.answered or field.confidence is not None:
        return field
    note = UNKNOWN if field.note is None else f"{field.note}; {UNKNOWN}"
    return field.model_copy(update={"note": note})


def _derived(value: Any, base: dict[str, Any]) -> Field:
    if is_empty(value):
        return Field(note="nothing was written", **base)
    return Field(value=value, source="derived", **base)


def _seen(
    value: Any, images: tuple[str, ...], found: Mapping[str, Any], base: dict[str, Any]
) -> Field:
    if is_empty(value) or not images:
        return Field(note="the photo does not show it", **base)
    evidence = tuple(Evidence(kind="image", image=key, **found) for key in images)
    return Field(value=value, source="photo", evidence=evidence, **base)


def _labelled(value: Any, choices: tuple[Any, ...], base: dict[str, Any]) -> Field:
    """A label, or several, that the whole text was given; its evidence has no span."""
    labels = [chosen(label, choices) for label in (value if isinstance(value, list) else [value])]
    if value in (None, "", []):
        return Field(note="the model gave no label", **base)
    if None in labels:
        return Field(note=f"the model said {value!r}, which is none of {list(choices)!r}", **base)
    value = labels if isinstance(value, list) else labels[0]
    return Field(value=value, source="text", evidence=(Evidence(kind="text"),), **base)


def _told(span: tuple[int, int] | None, text: str) -> Evidence | None:
    """What of `text` a model says that it read a value off, without loose ends."""
    if span is None or not 0 <= span[0] < span[1] <= len(text):
        return None
    words = text[slice(*span)].rstrip(LOOSE_ENDS)
    return Evidence(kind="text", text=words, start=span[0], end=span[0] + len(words))


def _read(
    value: Any,
    meaning: Mapping[str, str],
    choice: str | None,
    text: str,
    base: dict[str, Any],
    span: Evidence | None,
) -> Field:
    """A value of the text; `meaning` is by term, `choice` the one of the schema that it is.

    Where the model does not say which `span` it was read off, it is looked for.
    """
    if isinstance(value, str):
        value = value.rstrip(LOOSE_ENDS)
    if value is None or value == "":
        return Field(note="the text does not say", **base)
    words = [*_numerals(value), *(spellings(choice) if choice else ())]
    if span is None:
        span = next(filter(None, (find_span(word, text) for word in words)), None)
    if span is None:
        return Field(note=f"the model said {value!r}, which the text does not", **base)
    if isinstance(value, str):
        value = choice or meaning.get(lower(value.strip()), span.text)
    return Field(value=value, source="text", evidence=(span,), **base)


def _numerals(value: Any) -> tuple[str, ...]:
    """How a text may write a value: a number without a last zero, or with a comma."""
    if not isinstance(value, float):
        return (str(value),)
    points = dict.fromkeys((str(value), f"{value:g}"))
    return (*points, *(point.replace(".", ",") for point in points if "." in point))


def usage_notes(
    answer: Reply | OrchestraError, ticket: Ticket, record: CallRecord
) -> tuple[str, ...]:
    """What makes the cost of a call less than certain; a price must not be wrong in silence."""
    if record.reused:
        return ()
    model, most = ticket.card.name, ticket.ceiling
    used = answer.usage if isinstance(answer, Reply) else answer.used
    notes = [f"{model} {doubt}" for doubt in (used.doubts if used else ())]
    if record.presumed and not notes:
        notes.append(
            f"{model} reports no usage, so the most that the call can have used is counted"
        )
    if record.input_tokens > most.input_tokens:
        notes.append(
            f"{model} counted {record.input_tokens} prompt tokens, and the plan "
            f"{most.input_tokens} at most: raise limits.image_tokens on its card, or budgets will "
            "not hold"
        )
    if record.output_tokens > most.output_tokens:
        notes.append(
            f"{model} counted {record.output_tokens} written tokens, and was asked for "
            f"{most.output_tokens} at most: its server ignores max_tokens, or "
            "limits.thinking_tokens on its card is too low"
        )
    if ticket.card.price.unknown:
        notes.append(f"the price of {model} is unknown, so its call is booked at $0")
    if record.overrun_usd:
        notes.append(
            f"the call of {model} cost ${record.cost_usd:f}, ${record.overrun_usd:f} above its "
            "bound"
        )
    return tuple(notes)
