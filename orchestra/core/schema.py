"""Response schemas: parsed once, and narrowed to what one text holds.

A value read from text must stand in the text, so a choice is narrowed to the terms that occur, a
sentence to the text's own sentences, and a free string to a span.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from orchestra.core.text import measures, occurrences, sentences
from orchestra.core.values import lower

Terms = tuple[tuple[str, str], ...]


@lru_cache(maxsize=64)
def parsed(schema_json: str) -> dict[str, Any]:
    """A schema parsed once; shared, so it is not to be changed."""
    return json.loads(schema_json)


@lru_cache(maxsize=512)
def choice_terms(schema_json: str, name: str) -> Terms:
    """(lower-case term, value) pairs of the choice `name`, longest term first."""
    choice: dict[str, list[str]] = parsed(schema_json)["properties"][name]["x-choice"]
    terms = ((term.strip(), value) for value, terms in choice.items() for term in terms)
    pairs = {(lower(term), value) for term, value in terms if term}
    return tuple(sorted(pairs, key=lambda pair: (-len(pair[0]), pair)))


def narrow(schema_json: str, text: str) -> dict[str, Any]:
    """The schema with each string held to what `text` (sanitised) holds."""
    schema = parsed(schema_json)
    properties = {}
    for name, shape in schema["properties"].items():
        if "x-choice" in shape:
            found = occurrences(choice_terms(schema_json, name), text)
            properties[name] = {"enum": [*dict.fromkeys(words for words, _ in found), None]}
        else:
            properties[name] = _narrow(shape, text)
    return {**schema, "properties": properties}


def _narrow(shape: Mapping[str, Any], text: str) -> dict[str, Any]:
    if shape.get("x-sentence"):
        return {"enum": [*sentences(text, shape.get("maxLength", 300)), None]}
    if shape.get("x-measure"):
        return {"enum": [*measures(text), None]}
    if "anyOf" in shape:
        return {**shape, "anyOf": [_narrow(option, text) for option in shape["anyOf"]]}
    if shape.get("type") == "string" and not {"enum", "const", "pattern"} & set(shape):
        return {**shape, "x-span": True}
    return dict(shape)
