"""How much longer a prompt is than instruction and data: the rules and the schema it holds.

A bundled model is held to a schema without reading it. Others read it, and a server may count
once more the one it is sent as a constraint, so a ceiling that is to hold counts each. Pure;
everything is in bytes, of which a token has at least one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from orchestra.clients.endpoint_request import DATA_RULE, TEMPLATE_TOKENS
from orchestra.clients.endpoint_schema import JSON_RULE, public_schema
from orchestra.clients.tools import TOOLS_BYTES
from orchestra.core.call import Call, Tool, Turn
from orchestra.core.card import Card
from orchestra.core.schema import parsed
from orchestra.core.text import MOST_MEASURES

# The rules around the data, its marks, and the blank lines between the parts.
RULES_BYTES = len(DATA_RULE) + len(JSON_RULE) + TEMPLATE_TOKENS + 64
QUOTES_BYTES = 4  # two quotes, comma and space around a listed value
ENUM_BYTES = 64  # "type" and "enum" of a list
TURN_BYTES = 8  # marks of a role


def schema_copies(card: Card) -> int:
    """How often a schema counts as prompt: where the model reads it, and where a server is told."""
    endpoint = card.hosting.endpoint
    if endpoint is None:
        return int(card.hosting.schema_in_prompt)
    if endpoint.structured != "json_schema":
        return 1  # the prompt is the only place for it
    return 1 + card.hosting.schema_in_prompt


def added_bytes(card: Card, schema_json: str | None, text_bytes: int) -> int:
    """Most bytes that a prompt to `card` holds beside instruction and data.

    Choices, sentences and measures are narrowed to what a text of `text_bytes` holds, so they
    list parts of it that do not overlap; 0 bytes is a call without data, whose schema stays whole.
    """
    copies = schema_copies(card)
    if schema_json is None or not copies:
        return 0 if card.hosting.endpoint is None else RULES_BYTES
    fixed, listed = _parts(schema_json, text_bytes > 0)
    most = sum(text_bytes + QUOTES_BYTES * min(count, text_bytes) + ENUM_BYTES for count in listed)
    return RULES_BYTES + copies * (fixed + most)


def call_bytes(call: Call, card: Card) -> int:
    """Most bytes of a call that is made, images left out: a token has one byte or more."""
    size = len((call.instruction + (call.text or "")).encode())
    size += talk_bytes(call.turns, call.tools)
    copies = 0 if call.schema is None else schema_copies(card)
    if card.hosting.endpoint is None and not copies:
        return size
    return size + RULES_BYTES + (copies * _bytes(call.schema) if call.schema else 0)


def talk_bytes(turns: Sequence[Turn], tools: Sequence[Tool]) -> int:
    """Most bytes of a conversation and of the tools it may use, however they are rendered.

    Tools are counted twice: a model that is offered them by a schema reads them as well.
    """
    turn_bytes = sum(len(turn.role + turn.text) + TURN_BYTES for turn in turns)
    turn_bytes += sum(len(turn.text.encode()) - len(turn.text) for turn in turns)
    calls = [asdict(call) for turn in turns for call in turn.calls]
    calls_bytes = len(json.dumps(calls, ensure_ascii=False).encode()) if calls else 0
    if not tools:
        return turn_bytes + calls_bytes
    offered = len(json.dumps([asdict(tool) for tool in tools], ensure_ascii=False).encode())
    return turn_bytes + calls_bytes + 2 * offered + TOOLS_BYTES


@lru_cache(maxsize=256)
def _parts(schema_json: str, is_narrowed: bool) -> tuple[int, tuple[int, ...]]:
    """Bytes of the schema that no text changes, and the most values of each list that it does."""
    schema = parsed(schema_json)
    if not is_narrowed:
        return _bytes(schema), ()
    properties: dict[str, Any] = {}
    listed: list[int] = []
    for name, shape in schema["properties"].items():
        if shape.get("x-open"):  # all its values may be listed, whatever the text holds
            properties[name] = {"enum": [*shape["x-choice"], None]}
            continue
        count = _most_listed(shape)
        listed += [] if count is None else [count]
        properties[name] = {"enum": [None]} if count is not None else {**shape, "x-span": True}
    return _bytes({**schema, "properties": properties}), tuple(listed)


def _most_listed(shape: Mapping[str, Any]) -> int | None:
    if "x-choice" in shape:
        return sum(len(terms) for terms in shape["x-choice"].values()) + 1
    options = [shape, *shape.get("anyOf", ())]
    if any("x-sentence" in option or "x-measure" in option for option in options):
        return MOST_MEASURES + 1
    return None


def _bytes(schema: Mapping[str, Any]) -> int:
    return len(json.dumps(public_schema(schema), ensure_ascii=False).encode())
