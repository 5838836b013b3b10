"""Reads the JSON schemas that an answer can be held to; knows no grammar and no model.

`ValueShape` is a schema with references, nullability and annotations resolved. Everything that
has no bound gets one, so that a weak model always comes to an end. A keyword that could not
be held is an error, never ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestra.core.errors import InvalidSchema

MAX_STRING_CHARS = 200
MAX_ITEMS = 8
MAX_INTEGER_DIGITS = 15
MAX_FRACTION_DIGITS = 6
MAX_DEPTH = 8

ANNOTATIONS = frozenset(
    {"$schema", "$id", "$defs", "definitions", "$comment", "title", "description", "default"}
    | {"examples", "deprecated", "readOnly", "writeOnly", "required", "additionalProperties"}
)
KEYWORDS = {
    "string": frozenset({"maxLength", "minLength", "pattern"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "boolean": frozenset(),
    "null": frozenset(),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "object": frozenset({"properties"}),
}
CHOICES = ("anyOf", "oneOf")


@dataclass(frozen=True, slots=True)
class ValueShape:
    """One way a value may look.

    `kind` is a JSON type, or "enum" (`values`) or "span" (a verbatim run of words of the
    text). `options` of a property are alternatives, each a Shape. Lengths count characters.
    """

    kind: str
    values: tuple[Any, ...] = ()
    least: float | None = None
    most: float | None = None
    open_least: bool = False
    open_most: bool = False
    pattern: str | None = None
    items: tuple[ValueShape, ...] = ()
    properties: tuple[tuple[str, tuple[ValueShape, ...]], ...] = ()

    def is_within(self, size: float) -> bool:
        """Whether a number, or the length of a string, is within the bounds."""
        least, most = self.least, self.most
        above = least is None or size > least or (size == least and not self.open_least)
        below = most is None or size < most or (size == most and not self.open_most)
        return above and below


def read_schema(schema: Mapping[str, Any]) -> ValueShape:
    """Resolve `schema` to the Shape of one object. Raises InvalidSchema naming the place."""
    options = _Reader(schema).options(schema, "$", ())
    if len(options) != 1 or options[0].kind != "object":
        raise InvalidSchema(
            f"The schema's top level is {schema.get('type')!r}, not an object. "
            "Wrap it: {'type': 'object', 'properties': {...}}."
        )
    return options[0]


@dataclass(frozen=True, slots=True)
class _Reader:
    root: Mapping[str, Any]

    def options(
        self, schema: Mapping[str, Any], place: str, refs: tuple[str, ...]
    ) -> tuple[ValueShape, ...]:
        """All the ways a value under `schema` may look, in the schema's order."""
        if not isinstance(schema, Mapping):
            raise InvalidSchema(f"{place} is {schema!r}, not a schema. Write an object there.")
        if place.count(".") + place.count("[") > MAX_DEPTH:
            raise InvalidSchema(f"{place} is nested deeper than {MAX_DEPTH}. Flatten the schema.")
        if "$ref" in schema:
            return self._reference(schema, place, refs)
        if len(schema.get("allOf", ())) == 1:
            rest = {key: value for key, value in schema.items() if key != "allOf"}
            return self.options({**schema["allOf"][0], **rest}, place, refs)
        for choice in CHOICES:
            if choice in schema:
                return self._alternatives(choice, schema, place, refs)
        if "enum" in schema or "const" in schema:
            return (self._enumeration(schema, place),)
        kinds = schema.get("type")
        listed = [kinds] if isinstance(kinds, str) else list(kinds or ())
        if not listed:
            raise InvalidSchema(
                f"{place} has no 'type', 'enum' or 'anyOf': {dict(schema)!r}. "
                "Name a type; anything at all cannot be bounded."
            )
        self._check(schema, self._known(listed, place), place)
        return tuple(self._typed(kind, schema, place, refs) for kind in listed)

    def _alternatives(
        self, choice: str, schema: Mapping[str, Any], place: str, refs: tuple[str, ...]
    ) -> tuple[ValueShape, ...]:
        self._check(schema, frozenset({choice}), place)
        # pydantic puts a field's extra keywords beside its anyOf
        extra = {"x-span": True} if schema.get("x-span") else {}
        return tuple(
            shape
            for option in schema[choice]
            for shape in self.options({**extra, **option}, place, refs)
        )

    def _reference(
        self, schema: Mapping[str, Any], place: str, refs: tuple[str, ...]
    ) -> tuple[ValueShape, ...]:
        ref = schema["$ref"]
        if ref in refs:
            raise InvalidSchema(f"{place} refers to itself through {ref!r}. Flatten the schema.")
        target: Any = self.root
        for part in str(ref).removeprefix("#/").split("/"):
            target = target.get(part) if isinstance(target, Mapping) else None
        if not str(ref).startswith("#/") or target is None:
            raise InvalidSchema(f"{place} refers to {ref!r}, which is not in '$defs'. Define it.")
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return self.options({**target, **rest}, place, (*refs, ref))

    def _known(self, kinds: list[Any], place: str) -> frozenset[str]:
        unknown = [kind for kind in kinds if kind not in KEYWORDS]
        if unknown:
            raise InvalidSchema(
                f"{place} has type {unknown[0]!r}; known are {sorted(KEYWORDS)!r}. Use one."
            )
        return frozenset({"type"}).union(*(KEYWORDS[kind] for kind in kinds))

    def _check(self, schema: Mapping[str, Any], allowed: frozenset[str], place: str) -> None:
        for key in schema:
            if key not in allowed and key not in ANNOTATIONS and not key.startswith("x-"):
                raise InvalidSchema(
                    f"{place} uses {key!r}, which an answer cannot be held to here. Remove it, "
                    f"or use one of {sorted(allowed)!r}."
                )

    def _enumeration(self, schema: Mapping[str, Any], place: str) -> ValueShape:
        self._check(schema, frozenset({"enum", "const", "type"}), place)
        values = tuple(schema["enum"]) if "enum" in schema else (schema["const"],)
        if not values:
            raise InvalidSchema(f"{place} has an empty 'enum'. Give it at least one value.")
        return ValueShape("enum", values=values)

    def _typed(
        self, kind: str, schema: Mapping[str, Any], place: str, refs: tuple[str, ...]
    ) -> ValueShape:
        if kind == "string":
            return self._string(schema, place)
        if kind in ("integer", "number"):
            return self._number(kind, schema, place)
        if kind == "array":
            return self._array(schema, place, refs)
        if kind == "object":
            return self._object(schema, place, refs)
        return ValueShape(kind)

    def _string(self, schema: Mapping[str, Any], place: str) -> ValueShape:
        least, most = schema.get("minLength", 0), schema.get("maxLength", MAX_STRING_CHARS)
        if not 0 <= least <= most:
            raise InvalidSchema(
                f"{place} wants {least!r} to {most!r} characters. Set minLength <= maxLength "
                f"(the default maxLength is {MAX_STRING_CHARS})."
            )
        if schema.get("x-span"):
            return ValueShape("span", least=least, most=most)
        return ValueShape("string", least=least, most=most, pattern=schema.get("pattern"))

    def _number(self, kind: str, schema: Mapping[str, Any], place: str) -> ValueShape:
        open_least, open_most = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        least = schema.get("minimum") if open_least is None else open_least
        most = schema.get("maximum") if open_most is None else open_most
        if least is not None and most is not None and least > most:
            raise InvalidSchema(f"{place} wants {least!r} to {most!r}. Set minimum <= maximum.")
        return ValueShape(
            kind,
            least=least,
            most=most,
            open_least=open_least is not None,
            open_most=open_most is not None,
        )

    def _array(self, schema: Mapping[str, Any], place: str, refs: tuple[str, ...]) -> ValueShape:
        least, most = schema.get("minItems", 0), schema.get("maxItems", MAX_ITEMS)
        if "items" not in schema or not 0 <= least <= most:
            raise InvalidSchema(
                f"{place} is a list without 'items' or wants {least!r} to {most!r} of them. "
                f"Say what it holds, with minItems <= maxItems (default {MAX_ITEMS})."
            )
        items = self.options(schema["items"], f"{place}[]", refs)
        return ValueShape("array", least=least, most=most, items=items)

    def _object(self, schema: Mapping[str, Any], place: str, refs: tuple[str, ...]) -> ValueShape:
        properties = schema.get("properties")
        if not properties:
            raise InvalidSchema(f"{place} is an object without 'properties'. Name its keys.")
        read = ((name, self.options(s, f"{place}.{name}", refs)) for name, s in properties.items())
        return ValueShape("object", properties=tuple(read))
