"""Titles with the values of their attributes: read, asked by the schema of their category, split.

A row of the file is `input`, `category` and `target_scores` (attribute to its values; `n/a` is
none). What is asked of a title is every attribute that stands in a row of its category.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workers.extraction.fields import query

ABSENT = "n/a"


@dataclass(frozen=True, slots=True)
class Title:
    """A text, what is asked of it by name (with what the names mean), and the values it states.

    An asked name without values is not stated.
    """

    text: str
    category: str
    asked: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]
    meanings: Mapping[str, str] = field(default_factory=dict)

    def asking(self, name: str) -> str:
        """The words that the encoder is given for `name`."""
        return query(name, self.meanings.get(name, ""))


def read_titles(path: Path) -> list[Title]:
    """The titles of a file of JSON lines."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    asked: dict[str, dict[str, None]] = {}
    for row in rows:
        asked.setdefault(row["category"], {}).update(dict.fromkeys(row["target_scores"]))
    return [
        Title(row["input"], row["category"], tuple(asked[row["category"]]), _stated(row))
        for row in rows
    ]


def _stated(row: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, tuple[str, ...]]:
    stated = {
        name: tuple(value for value in values if value != ABSENT)
        for name, values in row["target_scores"].items()
    }
    return {name: values for name, values in stated.items() if values}


def without(titles: Iterable[Title], categories: Sequence[str]) -> list[Title]:
    """The titles of other categories."""
    return [title for title in titles if title.category not in categories]


def only(titles: Iterable[Title], categories: Sequence[str]) -> list[Title]:
    """The titles of these categories."""
    return [title for title in titles if title.category in categories]


@dataclass(frozen=True, slots=True)
class TitleScore:
    """Micro scores over attribute values; right is only what equals the gold string."""

    right: int
    answered: int
    stated: int

    @property
    def precision(self) -> float:
        """Right of the values answered, in percent."""
        return 100 * self.right / max(1, self.answered)

    @property
    def recall(self) -> float:
        """Right of the values that the titles state, in percent."""
        return 100 * self.right / max(1, self.stated)

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall, in percent."""
        return 200 * self.right / max(1, self.answered + self.stated)

    def __str__(self) -> str:
        return f"F1 {self.f1:.1f} P {self.precision:.1f} R {self.recall:.1f}"


def score(titles: Sequence[Title], read: Sequence[Mapping[str, Sequence[str]]]) -> TitleScore:
    """TitleScore what was `read` of each title, by name."""
    right = answered = stated = 0
    for title, values in zip(titles, read, strict=True):
        pairs = {(name, value) for name, found in values.items() for value in found}
        gold = {(name, value) for name, found in title.values.items() for value in found}
        right += len(pairs & gold)
        answered += len(pairs)
        stated += len(gold)
    return TitleScore(right, answered, stated)
