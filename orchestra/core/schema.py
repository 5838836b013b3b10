"""Response schemas: parsed once, resolved, and narrowed to what one text holds.

A value read from text must stand in the text, so a choice is narrowed to the terms that occur, a
sentence to the text's own sentences, and a free string to a span.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from orchestra.core.answers.choices import spellings
from orchestra.core.answers.leaves import ITEM
from orchestra.core.errors import InvalidSchema
from orchestra.core.text import measures, occurrences, sentences
from orchestra.core.values import lower

Schema = Mapping[str, Any]
Terms = tuple[tuple[str, str], ...]


@lru_cache(maxsize=64)
def parsed(schema_json: str) -> dict[str, Any]:
    """A schema parsed once; shared, so it is not to be changed."""
    return json.loads(schema_json)


@lru_cache(maxsize=512)
def choice_terms(schema_json: str, name: str) -> Terms:
    """(lower-case term, value) pairs of the choice `name`, longest term first."""
    return terms_of(parsed(schema_json)["properties"][name])


def terms_of(shape: Schema) -> Terms:
    """The same of the choice that `shape` is."""
    choice: Mapping[str, list[str]] = shape["x-choice"]
    terms = ((term.strip(), value) for value, terms in choice.items() for term in terms)
    pairs = {(lower(term), value) for term, value in terms if term}
    return tuple(sorted(pairs, key=lambda pair: (-len(pair[0]), pair)))


def resolved(schema: Schema, root: Schema, refs: tuple[str, ...]) -> tuple[Schema, tuple[str, ...]]:
    """`schema` with its reference and a lone `allOf` followed, in one form for each thing.

    Values stand in `enum`, options in `anyOf`, each with the `x-span` of the whole.
    """
    while "$ref" in schema or len(schema.get("allOf", ())) == 1:
        if "$ref" not in schema:
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            schema = {**schema["allOf"][0], **rest}
            continue
        ref = str(schema["$ref"])
        target: Any = root
        for part in ref.removeprefix("#/").split("/"):
            target = target.get(part) if isinstance(target, Mapping) else None
        if ref in refs or not ref.startswith("#/") or not isinstance(target, Mapping):
            raise InvalidSchema(
                f"The schema refers to {ref!r}, which is not in it or refers to itself. "
                "Define it under '$defs', without a loop."
            )
        refs = (*refs, ref)
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    if "x-choice" in schema:
        return {"enum": [*schema["x-choice"], None]}, refs
    if "const" in schema and "enum" not in schema:
        schema = {**schema, "enum": [schema["const"]]}
    options = schema.get("anyOf", schema.get("oneOf"))
    if options is not None:
        extra = {"x-span": True} if schema.get("x-span") else {}
        schema = {**schema, "anyOf": [{**extra, **option} for option in options]}
    return schema, refs


def listed_choices(shape: Schema, root: Schema) -> tuple[str, ...]:
    """The words that `shape` lists, as an enumeration or one of its options."""
    shape, _ = resolved(shape, root, ())
    options = (resolved(option, root, ())[0] for option in shape.get("anyOf", (shape,)))
    return tuple(w for option in options for w in option.get("enum", ()) if isinstance(w, str))


@lru_cache(maxsize=512)
def open_choices(schema_json: str) -> frozenset[str]:
    """The properties that are chosen among all their values where the text says no word of one."""
    shapes = parsed(schema_json).get("properties", {})
    return frozenset(name for name, shape in shapes.items() if shape.get("x-open"))


def inner(shape: Schema, root: Schema, step: str) -> Schema:
    """The shape of what lies under the key `step`, or of a list's items; empty where unsaid."""
    shape, _ = resolved(shape, root, ())
    for option in shape.get("anyOf", (shape,)):
        option, _ = resolved(option, root, ())
        if step == ITEM and isinstance(option.get("items"), Mapping):
            return option["items"]
        if step in option.get("properties", {}):
            return option["properties"][step]
    return {}


def narrow(schema_json: str, text: str) -> dict[str, Any]:
    """The schema with each string held to what `text` (sanitised) holds."""
    schema = parsed(schema_json)
    properties = {}
    for name, shape in schema["properties"].items():
        if "x-choice" in shape:
            found = occurrences(choice_terms(schema_json, name), text)
            words = dict.fromkeys(words for words, _ in found)
            listed = shape["x-choice"] if shape.get("x-open") and not words else words
            properties[name] = {"enum": [*listed, None]}
        else:
            properties[name] = _narrow(shape, text, schema, ())
    return {**schema, "properties": properties}


def _narrow(shape: Schema, text: str, root: Schema, refs: tuple[str, ...]) -> dict[str, Any]:
    if "$ref" in shape or "allOf" in shape:
        shape, refs = resolved(shape, root, refs)
    if "x-choice" in shape:
        return {
            "enum": [*dict.fromkeys(words for words, _ in occurrences(terms_of(shape), text)), None]
        }
    if shape.get("x-sentence"):
        return {"enum": [*sentences(text, shape.get("maxLength", 300)), None]}
    if shape.get("x-measure"):
        return {"enum": [*measures(text), None]}
    if "anyOf" in shape:
        return {**shape, "anyOf": [_narrow(option, text, root, refs) for option in shape["anyOf"]]}
    if "properties" in shape:
        parts = shape["properties"].items()
        return {**shape, "properties": {name: _narrow(p, text, root, refs) for name, p in parts}}
    if isinstance(shape.get("items"), Mapping):
        return {**shape, "items": _narrow(shape["items"], text, root, refs)}
    if "enum" in shape:
        return _chosen_in(shape, text)
    if shape.get("type") == "string" and not {"enum", "const", "pattern"} & set(shape):
        return {**shape, "x-span": True}
    return dict(shape)


def _chosen_in(shape: Schema, text: str) -> dict[str, Any]:
    """The choices that stand in `text`, in its words; where none does, all of them, as they are.

    Then what the model says is no value, and the note says what it was.
    """
    if not all(isinstance(value, str | None) for value in shape["enum"]):
        return dict(shape)
    words = dict.fromkeys(word for word, _ in occurrences(_spelt(tuple(shape["enum"])), text))
    return {"enum": [*words, None]} if words else dict(shape)


@lru_cache(maxsize=512)
def _spelt(choices: tuple[str | None, ...]) -> Terms:
    """The terms of plain choices: every spelling of each."""
    pairs = {(lower(word), choice) for choice in choices if choice for word in spellings(choice)}
    return tuple(sorted(pairs, key=lambda pair: (-len(pair[0]), pair)))
