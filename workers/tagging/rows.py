"""A labelled text as a tagger learns from it: tokens, and where each field's values stand."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from workers.tagging.tokens import Token, covering, tokens_of


@dataclass(slots=True)
class TaggedRow:
    """A text of a group (a category, or none) with the values of its fields.

    A field with an empty list is known to have no value; one that is left out is not known.
    `spans` are first and last tokens that cover a value, at its first place with own borders.
    """

    text: str
    group: str = ""
    values: dict[str, list[str]] = field(default_factory=dict)
    tokens: list[Token] = field(default_factory=list)
    spans: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def only(self, fields: Collection[str]) -> TaggedRow:
        """The row as if it had no other fields."""
        values = {name: given for name, given in self.values.items() if name in fields}
        spans = {name: places for name, places in self.spans.items() if name in fields}
        return TaggedRow(self.text, self.group, values, self.tokens, spans)


def tagged_row(
    text: str, group: str = "", values: Mapping[str, Sequence[str]] | None = None
) -> TaggedRow:
    """The row of a text; a value that does not stand in the text has no span."""
    row = TaggedRow(text, group, {k: list(v) for k, v in (values or {}).items()}, tokens_of(text))
    for name, given in row.values.items():
        places = [place for value in given if (place := _place(row, value)) is not None]
        if places:
            row.spans[name] = places
    return row


def occurrences(text: str, value: str) -> list[int]:
    """Where `value` begins in `text`, every time."""
    found, at = [], text.find(value) if value else -1
    while at >= 0:
        found.append(at)
        at = text.find(value, at + 1)
    return found


def _place(row: TaggedRow, value: str) -> tuple[int, int] | None:
    """The tokens of the first occurrence with borders of its own, else of the first."""
    begins = {token.start for token in row.tokens}
    ends = {token.end for token in row.tokens}
    bare = value.strip()
    places = occurrences(row.text, bare)
    if not places:
        return None
    whole = [at for at in places if at in begins and at + len(bare) in ends]
    start = (whole or places)[0]
    return covering(row.tokens, start, start + len(bare))
