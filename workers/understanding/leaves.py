"""The leaves of a response schema, each with the words that ask for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from orchestra.core.answers.leaves import ITEM
from orchestra.core.schema import Schema, resolved
from workers.decoding.shape import ValueShape, read_schema
from workers.extraction.fields import query

NOTHING = ValueShape("null")


@dataclass(frozen=True, slots=True)
class SchemaPart:
    """One value of a schema: a leaf, an object of `parts`, or a list of its one part.

    `asked` are the words for a leaf; `place` is where it stands, as in `parts[].name`.
    """

    name: str
    place: str
    shape: ValueShape
    asked: str = ""
    parts: tuple[SchemaPart, ...] = ()

    def leaves(self) -> Iterator[SchemaPart]:
        """The leaves under it, in order; it is one itself where it has no parts."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()


def parts_of(schema: Schema) -> tuple[SchemaPart, ...]:
    """The properties of an object's schema. Raises InvalidSchema naming the place."""
    whole = read_schema(schema)
    properties = schema["properties"]
    return tuple(
        _part(name, name, options, properties[name], schema, ())
        for name, options in whole.properties
    )


def _part(
    name: str,
    place: str,
    options: tuple[ValueShape, ...],
    shape: Schema,
    root: Schema,
    above: tuple[str, ...],
) -> SchemaPart:
    """The part under `place`; `above` are the names of what holds it."""
    value = next((option for option in options if option.kind != "null"), NOTHING)
    own = _own(shape, root, value.kind)
    said = str(shape.get("description") or own.get("description") or "")
    if value.kind == "object":
        inner = own.get("properties", {})
        parts = tuple(
            _part(key, f"{place}.{key}", kinds, inner.get(key, {}), root, (*above, name))
            for key, kinds in value.properties
        )
        return SchemaPart(name, place, value, parts=parts)
    if value.kind == "array":
        item = _part(name, place + ITEM, value.items, own.get("items", {}), root, above)
        return SchemaPart(name, place, value, parts=(item,))
    return SchemaPart(name, place, value, asked=query(" ".join((*above[-1:], name)), said))


def _own(shape: Schema, root: Schema, kind: str) -> Mapping[str, Any]:
    """The one of a shape's options that is of `kind`, with references followed."""
    shape, _ = resolved(shape, root, ())
    options = [resolved(option, root, ())[0] for option in shape.get("anyOf", (shape,))]
    key = {"object": "properties", "array": "items"}.get(kind, "")
    return next((option for option in options if key in option), options[0])
