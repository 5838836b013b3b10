"""Turns token probabilities into one confidence for each key of an answer; knows no model."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from workers.decoding.shape import ValueShape

DECODER = json.JSONDecoder()


def confidences(
    text: str, shape: ValueShape, token_bytes: Sequence[int], probabilities: Sequence[float]
) -> dict[str, float]:
    """Confidence of each top-level key of the compact JSON object `text`.

    `token_bytes` are the lengths in UTF-8 bytes of the tokens that spell `text`, and
    `probabilities` theirs under the constraint (1 for a forced one). A choice, a span, a
    number, a boolean and null have the product over the tokens that touch the value; a free
    string, a list and an object have the geometric mean.
    """
    found: dict[str, float] = {}
    at = 1
    for name, options in shape.properties:
        start = at + len(json.dumps(name, ensure_ascii=False)) + 1
        value, end = DECODER.raw_decode(text, start)
        span = (len(text[:start].encode()), len(text[:end].encode()))
        logs = [math.log(p) for p in _touching(span, token_bytes, probabilities)]
        scale = len(logs) if _is_free(value, options) else 1
        found[name] = math.exp(sum(logs) / scale)
        at = end + 1
    return found


def _touching(
    span: tuple[int, int], token_bytes: Sequence[int], probabilities: Sequence[float]
) -> list[float]:
    touching: list[float] = []
    start = 0
    for length, probability in zip(token_bytes, probabilities, strict=True):
        if start < span[1] and start + length > span[0]:
            touching.append(max(probability, 1e-30))
        start += length
    return touching


def _is_free(value: Any, options: Sequence[ValueShape]) -> bool:
    if isinstance(value, list | dict):
        return True
    if not isinstance(value, str):
        return False
    listed = any(value in option.values for option in options)
    return not listed and not any(option.kind == "span" for option in options)
