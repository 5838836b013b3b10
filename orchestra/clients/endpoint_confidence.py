"""Confidence of each key of a JSON answer, from the log-probabilities a server reports.

Pure; it knows no HTTP. The tokens that touch a value decide: their product for choices, spans,
numbers and null, their geometric mean for free strings, lists and objects, as the bundled
engines do. A server's probabilities are those of its own sampling, not renormalised over what
a schema allows, so they are at most as high.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from orchestra.clients.endpoint_schema import resolved

DECODER = json.JSONDecoder()
LEAST_LOGPROB = -69.0  # 1e-30: a server writes -9999 for a token that it would never choose
Token = tuple[bytes, float]


def tokens_of(content: Any) -> list[Token]:
    """(bytes, log-probability) of each token of `choices[0].logprobs.content`; [] without it."""
    found: list[Token] = []
    for entry in content or ():
        raw, token = entry.get("bytes"), entry.get("token", "")
        spelt = bytes(raw) if raw is not None else str(token).encode()
        found.append((spelt, max(float(entry["logprob"]), LEAST_LOGPROB)))
    return found


def confidences(schema: Mapping[str, Any], tokens: Sequence[Token]) -> dict[str, float]:
    """Confidence of each top-level property that stands in the tokens' JSON object.

    The object may follow a thought or a fence. Without tokens, or without an object in them,
    nothing is known and the mapping is empty.
    """
    raw = b"".join(spelt for spelt, _ in tokens)
    text = raw.decode(errors="replace")
    if len(text.encode()) != len(raw):
        return {}  # a character was cut between tokens: places cannot be told
    after = max(text.rfind("</think>"), 0)
    start = text.find("{", after)
    found: dict[str, float] = {}
    asked = schema.get("properties", {})
    for name, value, begin, end in _values(text, start):
        if name not in asked:
            continue
        span = (len(text[:begin].encode()), len(text[:end].encode()))
        logs = _touching(span, tokens)
        if logs:
            shape = resolved(asked[name], schema, ())[0]
            scale = len(logs) if _is_free(value, shape) else 1
            found[name] = math.exp(min(0.0, sum(logs) / scale))
    return found


def _values(text: str, start: int) -> list[tuple[str, Any, int, int]]:
    """(key, value, begin, end) of each member of the object that begins at `start`."""
    members: list[tuple[str, Any, int, int]] = []
    try:
        at = _past_space(text, start + 1)
        while start >= 0 and text[at] == '"':
            name, at = DECODER.raw_decode(text, at)
            begin = _past_space(text, _past_space(text, at) + 1)
            value, end = DECODER.raw_decode(text, begin)
            members.append((name, value, begin, end))
            at = _past_space(text, end)
            at = _past_space(text, at + 1) if text[at] == "," else at
    except (json.JSONDecodeError, IndexError):
        return []
    return members


def _past_space(text: str, at: int) -> int:
    while text[at].isspace():
        at += 1
    return at


def _touching(span: tuple[int, int], tokens: Sequence[Token]) -> list[float]:
    touching: list[float] = []
    at = 0
    for spelt, logprob in tokens:
        if at < span[1] and at + len(spelt) > span[0]:
            touching.append(logprob)
        at += len(spelt)
    return touching


def _is_free(value: Any, shape: Mapping[str, Any]) -> bool:
    """Whether a value is written rather than chosen: its length must not lower its confidence."""
    if isinstance(value, list | dict):
        return True
    return isinstance(value, str) and not {"enum", "const", "x-choice", "x-span"} & _words(shape)


def _words(shape: Mapping[str, Any]) -> set[str]:
    nested = [*shape.get("anyOf", ()), *shape.get("oneOf", ())]
    return set(shape).union(*(set(option) for option in nested))
