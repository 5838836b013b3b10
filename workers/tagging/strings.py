"""What the labelled rows say of strings: as values of fields, and in texts at all.

A row that is asked about is left out by its place, as if it were new.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from workers.tagging.rows import TaggedRow


class Strings:
    """Counts over labelled rows; rows are named by their place."""

    def __init__(self, rows: Sequence[TaggedRow]) -> None:
        self.rows = list(rows)
        self._members: dict[str, list[int]] = defaultdict(list)
        self._values: dict[str, Counter[str]] = defaultdict(Counter)
        self._own: list[dict[str, set[str]]] = []
        self._folded: list[dict[str, set[str]]] = []
        for at, row in enumerate(self.rows):
            self._members[row.group].append(at)
            self._own.append({name: set(given) for name, given in row.values.items()})
            self._folded.append({n: {v.lower() for v in given} for n, given in row.values.items()})
            for name, given in self._own[-1].items():
                self._values[name].update(given)
        self._with: dict[tuple[str, str], list[int]] = {}
        words = [_words(row) for row in self.rows]
        documents = Counter(word for own in words for word in own)
        self._weights = {w: math.log((1 + len(words)) / n) for w, n in documents.items()}
        self._vectors = [self._vector(own) for own in words]

    def within(self, group: str, own: int | None) -> list[int]:
        """The rows of a group (all, of one never seen), without `own`."""
        return [at for at in self._group(group) if at != own]

    def near(self, row: TaggedRow, within: Sequence[int]) -> dict[int, float]:
        """How like each row of `within` is: the cosine of rare words, squared; 0 for others."""
        own = self._vector(_words(row))
        found: dict[int, float] = defaultdict(float)
        for at in within:
            other = self._vectors[at]
            found[at] = sum(v * other[w] for w, v in own.items() if w in other) ** 2
        return found

    def known(self, name: str, own: int | None) -> list[str]:
        """All values that the field had."""
        values = self._values.get(name, Counter())
        mine = self._own[own].get(name, set()) if own is not None else set()
        return [value for value, count in values.items() if count > (value in mine)]

    def count(self, name: str, value: str, own: int | None) -> int:
        """In how many rows the field had exactly this value."""
        mine = own is not None and self.has(own, name, value)
        return self._values.get(name, Counter())[value] - mine

    def repeated(self, name: str) -> float:
        """The share of the field's values that stand in several rows."""
        counts = self._values.get(name, Counter()).values()
        return (sum(n for n in counts if n > 1) + 1) / (sum(counts) + 2)

    def rows_with(self, group: str, value: str) -> list[int]:
        """Rows of the group in whose text `value` stands."""
        key = group, value
        if key not in self._with:
            self._with[key] = [at for at in self._group(group) if value in self.rows[at].text]
        return self._with[key]

    def asked(self, at: int, name: str) -> bool:
        """Whether it is known what the row's field is, if only that it is nothing."""
        return name in self._own[at]

    def filled(self, at: int, name: str) -> bool:
        """Whether the row's field has a value."""
        return bool(self._own[at].get(name))

    def has(self, at: int, name: str, value: str) -> bool:
        """Whether the row's field has exactly this value."""
        return value in self._own[at].get(name, ())

    def has_folded(self, at: int, name: str, value: str) -> bool:
        """Whether the row's field has this value in any case."""
        return value.lower() in self._folded[at].get(name, ())

    def elsewhere(self, at: int, name: str, value: str) -> bool:
        """Whether another field of the row has this value."""
        return any(value in given for other, given in self._own[at].items() if other != name)

    def _group(self, group: str) -> Sequence[int]:
        return self._members.get(group) or range(len(self.rows))

    def _vector(self, words: set[str]) -> dict[str, float]:
        found = {word: self._weights[word] for word in words if word in self._weights}
        norm = math.sqrt(sum(v * v for v in found.values())) or 1.0
        return {word: v / norm for word, v in found.items()}


def _words(row: TaggedRow) -> set[str]:
    return {token.text.lower() for token in row.tokens}
