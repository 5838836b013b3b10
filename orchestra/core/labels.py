"""The values that a schema lets one property choose among, and which of them a model gave."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from orchestra.core.answers.choices import indexed
from orchestra.core.schema import parsed, resolved

DEEPEST = 8  # an engine refuses schemas that are nested deeper
BOTH = (True, False)


@lru_cache(maxsize=512)
def choices_of(schema_json: str, name: str) -> tuple[Any, ...] | None:
    """What the property `name` may be, null left out; None where that is no closed choice.

    Of a list of choices, what each of its items may be.
    """
    root = parsed(schema_json)
    return _choices(root["properties"][name], root, DEEPEST)


@lru_cache(maxsize=512)
def named_choices(schema_json: str) -> Mapping[str, tuple[str, ...]]:
    """The properties whose value is one of several names, with these; lists are none of them."""
    root = parsed(schema_json)
    found = {name: choices_of(schema_json, name) for name in root["properties"]}
    return {
        name: choices
        for name, choices in found.items()
        if choices is not None
        and len(choices) > 1
        and all(isinstance(choice, str) for choice in choices)
        and not _is_list(root["properties"][name], root)
    }


def with_choices(schema_json: str) -> dict[str, Any]:
    """The schema with each `x-choice` as an enumeration of its values, whatever a text holds."""
    schema = parsed(schema_json)
    shapes = {
        name: {"enum": [*shape["x-choice"], None]} if "x-choice" in shape else shape
        for name, shape in schema["properties"].items()
    }
    return {**schema, "properties": shapes}


def chosen(value: Any, choices: tuple[Any, ...]) -> Any:
    """The one of `choices` that `value` is, in whatever form; None where it is none of them."""
    if isinstance(value, str):
        return indexed(tuple(choice for choice in choices if isinstance(choice, str))).find(value)
    return next((c for c in choices if type(c) is type(value) and c == value), None)


def _is_list(shape: Mapping[str, Any], root: Mapping[str, Any]) -> bool:
    whole, _ = resolved(shape, root, ())
    options = [resolved(option, root, ())[0] for option in whole.get("anyOf", (whole,))]
    return any("items" in option or option.get("type") == "array" for option in options)


def _choices(
    shape: Mapping[str, Any], root: Mapping[str, Any], left: int
) -> tuple[Any, ...] | None:
    if not left:
        return None
    if "$ref" in shape:
        name = str(shape["$ref"]).rpartition("/")[2]
        target = root.get("$defs", root.get("definitions", {})).get(name, {})
        return _choices(target, root, left - 1)
    if "x-choice" in shape:
        return tuple(shape["x-choice"])
    if "enum" in shape:
        return tuple(value for value in shape["enum"] if value is not None)
    if "const" in shape:
        return (shape["const"],)
    options = shape.get("anyOf") or shape.get("oneOf") or shape.get("allOf")
    if options:
        found = [_choices(o, root, left - 1) for o in options if o.get("type") != "null"]
        return None if None in found else tuple(v for values in found for v in values or ())
    kinds = shape.get("type")
    if kinds == "array":
        return _choices(shape.get("items", {}), root, left - 1)
    return BOTH if kinds == "boolean" or kinds == ["boolean", "null"] else None
