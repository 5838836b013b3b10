"""Makes one field of an object or a list: each leaf is read by itself.

A leaf without evidence is None in an object and left out of a list, and the note says why. The
value has the evidence of its leaves, and the confidence of the least sure. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestra.core.answers.leaves import ITEM
from orchestra.core.job import Evidence, Field
from orchestra.core.schema import Schema, inner, resolved

# Reads one leaf: its value, its shape, and its place under the field.
ReadLeaf = Callable[[Any, Schema, str], Field]
MOST_NOTES = 6


def nested_field(value: Any, shape: Schema, root: Schema, read: ReadLeaf, nothing: Field) -> Field:
    """The field of an object or list; `nothing` where none of its leaves has a value.

    `root` holds the definitions that `shape` refers to.
    """
    reader = _Reader(root, read)
    kept = reader.part(value, shape, "")
    answered = [leaf for leaf in reader.found if leaf.answered]
    if not answered:
        why = [note for note in reader.notes if not note.endswith(f": {nothing.note}")]
        return nothing.model_copy(update={"note": _joined(why) or nothing.note})
    known = [leaf.confidence for leaf in answered if leaf.confidence is not None]
    return answered[0].model_copy(
        update={
            "value": kept,
            "evidence": tuple(dict.fromkeys(e for leaf in answered for e in leaf.evidence)),
            "confidence": min(known, default=nothing.confidence),
            "note": _joined(reader.notes),
        }
    )


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: none, an empty text, or only such parts."""
    if isinstance(value, Mapping):
        return all(map(is_empty, value.values()))
    if isinstance(value, list):
        return all(map(is_empty, value))
    return value is None or value == ""


class _Reader:
    """Walks one value along its schema, and keeps what its leaves came to."""

    def __init__(self, root: Schema, read: ReadLeaf) -> None:
        self._root, self._read = root, read
        self.found: list[Field] = []
        self.notes: list[str] = []

    def part(self, value: Any, shape: Schema, place: str) -> Any:
        """What stands of `value`."""
        if isinstance(value, Mapping):
            return dict(self._object(value, shape, place))
        if not isinstance(value, list):
            return self._leaf(value, shape, place)
        items = inner(shape, self._root, ITEM)
        kept: list[Any] = []
        for number, item in enumerate(value):
            said = self.part(item, items, f"{place}[{number}]")
            is_again = isinstance(said, str) and said in kept  # weak models repeat themselves
            kept += [] if is_empty(said) or is_again else [said]
        return kept

    def _object(self, value: Mapping[str, Any], shape: Schema, place: str) -> Iterator[Any]:
        """Every key that the schema names; where it names none, those that are there."""
        for name in self._keys(shape, value):
            at = f"{place}.{name}" if place else name
            yield name, self.part(value.get(name), inner(shape, self._root, name), at)

    def _keys(self, shape: Schema, value: Mapping[str, Any]) -> list[str]:
        shape, _ = resolved(shape, self._root, ())
        options = [resolved(one, self._root, ())[0] for one in shape.get("anyOf", (shape,))]
        named = [list(option["properties"]) for option in options if "properties" in option]
        fits = (names for names in named if set(value) <= set(names))
        return next(fits, named[0] if named else list(value))

    def _leaf(self, value: Any, shape: Schema, place: str) -> Any:
        leaf = self._read(value, shape, place)
        if leaf.answered:
            proofs = tuple(_of_leaf(proof, place) for proof in leaf.evidence)
            self.found.append(leaf.model_copy(update={"evidence": proofs}))
            return leaf.value
        self.notes.append(f"{place}: {leaf.note}")
        return None


def _of_leaf(proof: Evidence, place: str) -> Evidence:
    """Evidence of one leaf; a photo is evidence of the whole."""
    return proof if proof.kind == "image" else proof.model_copy(update={"leaf": place})


def _joined(notes: list[str]) -> str | None:
    more = [f"and {len(notes) - MOST_NOTES} more"] if len(notes) > MOST_NOTES else []
    return "; ".join([*notes[:MOST_NOTES], *more]) or None
