"""Turns token probabilities into one confidence for each key of an answer; knows no model."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from orchestra.core.answers.leaves import ITEM, leaves
from workers.decoding.shape import ValueShape

DECODER = json.JSONDecoder()


def confidences(
    text: str, shape: ValueShape, token_bytes: Sequence[int], probabilities: Sequence[float]
) -> dict[str, float]:
    """Confidence of each key of the compact JSON object `text`, and of each leaf under it.

    `token_bytes` are the lengths in UTF-8 bytes of the tokens that spell `text`, and
    `probabilities` theirs under the constraint (1 for a forced one). A choice, a span, a
    number, a boolean and null have the product over the tokens that touch the value; a free
    string, a list and an object have the geometric mean. Leaves of lists and objects are named by
    their place, as in `maker.country` and `colours[0]`.
    """
    found: dict[str, float] = {}
    at = 1
    for name, options in shape.properties:
        start = at + len(json.dumps(name, ensure_ascii=False)) + 1
        value, end = DECODER.raw_decode(text, start)
        parts = [(name, options, value, start, end)]
        if isinstance(value, dict | list) and value:
            parts += [
                (leaf.place, _options_at(options, leaf.steps), leaf.value, leaf.begin, leaf.end)
                for leaf in leaves(text, start, name)
            ]
        for place, shapes, part, begin, stop in parts:
            span = (len(text[:begin].encode()), len(text[:stop].encode()))
            logs = [math.log(p) for p in _touching(span, token_bytes, probabilities)]
            scale = len(logs) if _is_free(part, shapes) else 1
            found[place] = math.exp(sum(logs) / scale)
        at = end + 1
    return found


def _options_at(options: Sequence[ValueShape], steps: Sequence[str]) -> list[ValueShape]:
    """The ways in which a leaf may look that lies `steps` below a value with these `options`."""
    found = list(options)
    for step in steps:
        inner = (
            [shape.items for shape in found]
            if step == ITEM
            else [shapes for shape in found for name, shapes in shape.properties if name == step]
        )
        found = [shape for shapes in inner for shape in shapes]
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
