"""Names of things and what each is a kind of, and how near they are to a user's categories.

A category is found by its words where it is a name or what a name is a kind of ("Guitars" has the
acoustic guitar), else by the encoder's vectors. Knows no photo.

Shapes: N names, of which the first L are leaves, W numbers of a vector, C choices.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from orchestra.core.answers.choices import forms_of
from orchestra.core.errors import MissingExtra

Array = NDArray[np.float32]
# Of a leaf's own name and what it is a kind of, how far up names are compared, and what that costs.
DEPTH, STEP = 4, 0.08
WIDTH = 0.03  # of a difference in cosine that tells two categories apart
NEAR, EDGE = 0.5, 0.05  # the centred cosine at which a name is as likely in a category as in none
MOST_ENCODED = 600  # choices: of more, only words that agree are found
KEPT = 8  # sets of choices whose weights are kept
PARTS = re.compile(r"\s*(?:[,;/&|>、，]|\band\b|\bor\b|和|与)\s*", re.IGNORECASE)


@dataclass(eq=False, slots=True)
class Names:
    """Leaves first, then what they are kinds of. `words` are the names of each, `parents` the
    number of what it is a kind of, or -1; `vectors` (N, W) of length 1 about their mean, `middle`.
    """

    words: Sequence[Sequence[str]]
    parents: Sequence[int]
    leaves: int
    vectors: Array
    middle: Array
    encode: Callable[[Sequence[str]], Array]
    _index: dict[str, set[int]] = field(default_factory=dict)
    _weights: dict[tuple[str, ...], Array] = field(default_factory=dict)

    def weights(self, choices: Sequence[str]) -> Array:
        """How likely a thing of each leaf's name belongs to each choice, (L, C)."""
        key = tuple(choices)
        if key not in self._weights:
            while len(self._weights) >= KEPT:
                self._weights.pop(next(iter(self._weights)))
            self._weights[key] = self._weighed(key)
        return self._weights[key]

    def _weighed(self, choices: tuple[str, ...]) -> Array:
        found = self._by_words(choices)
        lines = [self._line(leaf) for leaf in range(self.leaves)]
        weight_LC = self._by_vectors(choices, lines)
        for leaf, line in enumerate(lines):
            hit = next((found[name] for name in line if name in found), None)
            if hit is not None:
                weight_LC[leaf] = 0
                weight_LC[leaf, hit] = 1
        return weight_LC

    def _by_words(self, choices: Sequence[str]) -> dict[int, int]:
        """The choice that names each name; the first of several."""
        if not self._index:
            for name, words in enumerate(self.words):
                for word in words:
                    for form in set().union(*forms_of(word)):
                        self._index.setdefault(form, set()).add(name)
        found: dict[int, int] = {}
        for at, choice in enumerate(choices):
            for part in {choice, *PARTS.split(choice)}:
                forms = forms_of(part) if part else ()
                named = (self._index.get(form) for stage in forms for form in stage)
                for name in next((names for names in named if names), ()):
                    found.setdefault(name, at)
        return found

    def _by_vectors(self, choices: Sequence[str], lines: Sequence[Sequence[int]]) -> Array:
        nothing = np.zeros((self.leaves, len(choices)), np.float32)
        if len(choices) > MOST_ENCODED:
            return nothing
        try:
            asked_CW = centred(self.encode(list(choices)), self.middle)
        except MissingExtra:
            return nothing
        near_NC = self.vectors @ asked_CW.T
        near_LC = np.stack(
            [
                np.max([near_NC[name] - STEP * at for at, name in enumerate(line[:DEPTH])], axis=0)
                for line in lines
            ]
        )
        most_L1 = near_LC.max(axis=1, keepdims=True)
        share_LC = np.exp((near_LC - most_L1) / WIDTH)
        share_LC /= share_LC.sum(axis=1, keepdims=True)
        return (share_LC / (1 + np.exp(-(most_L1 - NEAR) / EDGE))).astype(np.float32)

    def _line(self, leaf: int) -> list[int]:
        """A leaf and all that it is a kind of, nearest first."""
        line = [leaf]
        while self.parents[line[-1]] >= 0:
            line.append(self.parents[line[-1]])
        return line


def centred(vectors: Array, middle: Array) -> Array:
    """Vectors as seen from `middle`, at length 1."""
    apart = vectors - middle
    return apart / np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-9)
