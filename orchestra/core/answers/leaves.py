"""Where each leaf of a nested JSON value stands in its text: place, first and last character.

A place is written as in `maker.country` and `parts[0].name`; it knows no schema.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

DECODER = json.JSONDecoder()
ITEM = "[]"  # the step into a list, whichever its item


@dataclass(frozen=True, slots=True)
class Leaf:
    """A value that holds no other; `steps` are keys, and `ITEM` for each list on the way."""

    place: str
    steps: tuple[str, ...]
    value: Any
    begin: int
    end: int


def leaves(text: str, start: int, place: str = "") -> list[Leaf]:
    """The leaves of the JSON value at `start`, in order; an empty object or list is one itself.

    Raises `ValueError` where no JSON value is.
    """
    found: list[Leaf] = []
    _walk(text, _past_space(text, start), place, (), found)
    return found


def _walk(text: str, at: int, place: str, steps: tuple[str, ...], found: list[Leaf]) -> int:
    """Add the leaves of the value at `at`; returns where it ends."""
    value, end = DECODER.raw_decode(text, at)
    if not isinstance(value, dict | list) or not value:
        found.append(Leaf(place, steps, value, at, end))
        return end
    at = _past_space(text, at + 1)
    for number in range(len(value)):
        inner, step = f"{place}[{number}]", ITEM
        if isinstance(value, dict):
            step, at = DECODER.raw_decode(text, at)
            at = _past_space(text, _past_space(text, at) + 1)
            inner = f"{place}.{step}" if place else step
        at = _past_space(text, _walk(text, at, inner, (*steps, step), found))
        at = _past_space(text, at + 1)
    return end


def _past_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
