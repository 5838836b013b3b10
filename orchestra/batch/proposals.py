"""Rules that corrections speak for, to be put into the recipe by a person; never put there unasked.

A word in whose place people wrote another value, time and again, may be a synonym of that value; a
field in which they take the photo's side is better seen than read; a value that they give and the
recipe lacks may belong into it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from orchestra.batch.decided import Standing
from orchestra.batch.folder import Folder
from orchestra.batch.recipe import FieldRule, Recipe
from orchestra.core.answers.choices import Choices
from orchestra.core.job import Field, Result
from orchestra.core.values import folded, text_of

LEAST = 2  # rows that have to speak for a word or a value
LEAST_CLASHES = 5  # contradictions that have to be decided before a side is preferred
CLEARLY = 0.9
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Proposal:
    """A rule for the recipe: `change` as its YAML has it, and the rows that speak for it.

    `against` are rows in which people decided otherwise; `note` says what else to do.
    """

    kind: Literal["synonym", "value", "prefer"]
    field: str
    change: dict[str, Any]
    rows: tuple[str, ...]
    against: tuple[str, ...] = ()
    note: str = ""

    def public(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "kind": self.kind,
            "field": self.field,
            "change": self.change,
            "rows": list(self.rows),
            "against": list(self.against),
            "note": self.note,
        }

    def __str__(self) -> str:
        named = ", ".join(self.rows[:MOST_NAMED])
        more = len(self.rows) - MOST_NAMED
        against = f", {len(self.against)} against" if self.against else ""
        note = f"; {self.note}" if self.note else ""
        others = f" and {more} more" if more > 0 else ""
        return (
            f"{self.kind} in {self.field!r}: {len(self.rows)} rows ({named}{others}){against}{note}"
        )


@dataclass(slots=True)
class _Votes:
    """Rows by what they speak for."""

    words: dict[tuple[str, str], dict[str, list[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    values: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    sides: dict[str, dict[str, list[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )


def proposals(folder: Folder) -> list[Proposal]:
    """What the decisions that stand speak for; nothing for a batch without a recipe."""
    recipe = folder.spec.recipe
    if recipe is None:
        return []
    votes, standing = _Votes(), Standing.of(folder.book)
    for row_id, decided in standing.rows():
        row = folder.book.row_by_id(row_id)
        if row is None or decided.is_rejected:
            continue
        said = Result.model_validate_json(row.record_json)
        now = standing.applied(row, said)
        for name in recipe.fields:
            held = decided.held(name)
            if held is not None and held.said.action != "reject" and name in said.fields:
                _count(
                    votes, recipe.fields[name], name, row_id, said.fields[name], now.fields[name]
                )
    return [*_synonyms(votes, recipe), *_values(votes), *_sides(votes, recipe)]


def _count(votes: _Votes, rule: FieldRule, name: str, row_id: str, said: Field, now: Field) -> None:
    value = text_of(now.value)
    if value is None:
        return
    if rule.type == "choice":
        known = Choices(rule.values).find(value)
        if known is None:
            votes.values[name, value].append(row_id)
            return
        for word in _words(said):
            votes.words[name, word][known].append(row_id)
    if said.contradiction:
        for side in (said, *said.alternatives):
            if folded(text_of(side.value) or "") == folded(value):
                votes.sides[name][side.source].append(row_id)
                break


def _words(said: Field) -> set[str]:
    """The words of the text that the reading of it rests on."""
    readings = [one for one in (said, *said.alternatives) if one.source in ("text", "both")]
    found = {proof.text or "" for one in readings for proof in one.evidence if proof.kind == "text"}
    return {" ".join(word.casefold().split()) for word in found if word.strip()}


def _synonyms(votes: _Votes, recipe: Recipe) -> Iterator[Proposal]:
    for (name, word), by_value in votes.words.items():
        rule = recipe.fields[name]
        value, rows = max(by_value.items(), key=lambda pair: len(pair[1]))
        against = [row for other, ids in by_value.items() if other != value for row in ids]
        meant = next(
            (v for v, terms in rule.terms.items() if word in map(str.casefold, terms)), None
        )
        if meant == value or len(rows) < LEAST or len(rows) < CLEARLY * (len(rows) + len(against)):
            continue
        listed = [*rule.values[value].synonyms, word]
        note = "" if meant is None else f"take {word!r} out of {meant!r} first"
        change = {"fields": {name: {"values": {value: {"synonyms": listed}}}}}
        yield Proposal("synonym", name, change, tuple(rows), tuple(against), note)


def _values(votes: _Votes) -> Iterator[Proposal]:
    for (name, value), rows in votes.values.items():
        if len(rows) >= LEAST:
            change = {"fields": {name: {"values": {value: {}}}}}
            yield Proposal("value", name, change, tuple(rows))


def _sides(votes: _Votes, recipe: Recipe) -> Iterator[Proposal]:
    for name, sides in votes.sides.items():
        photo, text = sides.get("photo", []), sides.get("text", [])
        total, rule = len(photo) + len(text), recipe.fields[name]
        if total < LEAST_CLASHES or rule.prefer == "image" or len(photo) < CLEARLY * total:
            continue
        note = "people took the photo's side where photo and text disagreed"
        change = {"fields": {name: {"prefer": "image"}}}
        yield Proposal("prefer", name, change, tuple(photo), tuple(text), note)
