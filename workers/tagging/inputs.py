"""What the state tagger is told of each token: the encoder's states, known words, form and group.

Shapes: T tokens of a text, W the encoder's width, L labels.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workers.encoder.content import Encoded
from workers.tagging.chain import labels_of, tags
from workers.tagging.rows import TaggedRow

FORMS = 10
PRIOR = 0.5  # of a row, against which a word's labels are counted


@dataclass(slots=True)
class LabelledWords:
    """How often each word of the labelled rows had each label of all `fields`, O included."""

    fields: list[str]
    groups: dict[str, list[str]]
    words: dict[str, int]
    counts: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[TaggedRow]) -> LabelledWords:
        """Counted over labelled rows."""
        groups: dict[str, set[str]] = {}
        for row in rows:
            groups.setdefault(row.group, set()).update(row.spans)
        fields = sorted({name for names in groups.values() for name in names})
        known = cls(fields, {g: sorted(n) for g, n in groups.items() if n}, {}, np.zeros((0, 0)))
        counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(known.labels, np.float32))
        for row in rows:
            for token, label in zip(row.tokens, known.labels_in(row), strict=True):
                counts[token.text.lower()][label] += 1
        known.words = {word: at for at, word in enumerate(counts)}
        known.counts = np.stack([*counts.values()]) if counts else np.zeros((0, known.labels))
        return known

    @property
    def labels(self) -> int:
        """O, and B and I of each field."""
        return 1 + 2 * len(self.fields)

    def labels_in(self, row: TaggedRow) -> list[int]:
        """The label of each token of a labelled row."""
        places = {name: at for at, name in enumerate(self.fields)}
        spans = [(places[n], first, last) for n, own in row.spans.items() for first, last in own]
        names = {label: at for at, label in enumerate(labels_of(self.fields))}
        return [names[label] for label in tags(len(row.tokens), spans)]

    def columns(self, group: str) -> list[int]:
        """The labels that a text of `group` may have; all, of one never seen."""
        places = {name: at for at, name in enumerate(self.fields)}
        own = [places[name] for name in self.groups.get(group) or self.fields]
        return [0, *(column for at in own for column in (1 + 2 * at, 2 + 2 * at))]

    def shares(self, row: TaggedRow, *, known: bool) -> np.ndarray:
        """The labels' shares and two counts of each token's word [T, L + 2]; `known` leaves the
        row's own out.
        """
        words = [token.text.lower() for token in row.tokens]
        found = np.zeros((len(words), self.labels), np.float32)
        for at, word in enumerate(words):
            if word in self.words:
                found[at] = self.counts[self.words[word]]
        if known:
            own: dict[str, np.ndarray] = {}
            for word, label in zip(words, self.labels_in(row), strict=True):
                own.setdefault(word, np.zeros(self.labels, np.float32))[label] += 1
            found -= np.stack([own[word] for word in words])
        total = found.sum(1, keepdims=True)
        return np.concatenate([found / (total + PRIOR), np.log1p(total), total > 0], 1)

    def inputs(self, row: TaggedRow, encoded: Encoded, *, known: bool) -> np.ndarray:
        """All that is told of each token, in one row of numbers each."""
        states = _beside(_token_states(row, encoded))
        shares = _beside(self.shares(row, known=known))
        group = np.zeros((len(row.tokens), len(self.groups)), np.float32)
        if row.group in self.groups:
            group[:, list(self.groups).index(row.group)] = 1
        return np.concatenate([states, shares, group, _forms(row)], 1, dtype=np.float32)


def _token_states(row: TaggedRow, encoded: Encoded) -> np.ndarray:
    """The mean state [T, W] of the pieces that each token touches."""
    starts, ends = encoded.offsets[:, 0], encoded.offsets[:, 1]
    found = np.zeros((len(row.tokens), encoded.states.shape[1]), np.float32)
    for at, token in enumerate(row.tokens):
        touched = (starts < token.end) & (ends > token.start)
        if touched.any():
            found[at] = encoded.states[touched].mean(0)
    return found


def _beside(own: np.ndarray) -> np.ndarray:
    """Each token's numbers, those of the token before, and of the one after."""
    edge = np.zeros((1, own.shape[1]), own.dtype)
    return np.concatenate([own, np.vstack([edge, own[:-1]]), np.vstack([own[1:], edge])], 1)


def _forms(row: TaggedRow) -> np.ndarray:
    found = np.zeros((len(row.tokens), FORMS), np.float32)
    count = len(row.tokens)
    for at, token in enumerate(row.tokens):
        opened, closed = (row.text.rfind(mark, 0, token.start) for mark in "()")
        found[at] = (
            at / 10, (count - 1 - at) / 10, at / count, at == 0, at == count - 1,
            token.text[0].isdigit(), token.text[0].isupper(), token.text.isupper(),
            at > 0 and row.tokens[at - 1].end == token.start, opened > closed,
        )  # fmt: skip
    return found
