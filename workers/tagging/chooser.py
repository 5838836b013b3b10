"""Chooses one of a few labels for a whole text, by its words: a multinomial logistic regression.

It serves fields whose values need not stand in the text, and tells of which group a text is.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from workers.tagging.optimizer import Adam
from workers.tagging.tokens import tokens_of

EPOCHS, RATE, DECAY = 120, 0.05, 1e-4
SEEN = 1  # rows a word must stand in
MOST_WORDS = 20_000


@dataclass(slots=True)
class Chooser:
    """Words with their weights [word, label]; `shift` [label]."""

    labels: list[str]
    words: dict[str, int]
    rarity: np.ndarray
    weights: np.ndarray
    shift: np.ndarray

    def probabilities(self, text: str, among: Collection[str] = ()) -> dict[str, float]:
        """The probability of each label, or only of those `among`, together 1."""
        scores = self.shift.copy()
        for at, value in _vector(text, self.words, self.rarity).items():
            scores = scores + value * self.weights[at]
        kept = [at for at, label in enumerate(self.labels) if not among or label in among]
        chosen = np.exp(scores[kept] - scores[kept].max())
        return {
            self.labels[at]: float(p) for at, p in zip(kept, chosen / chosen.sum(), strict=True)
        }


def train_chooser(texts: Sequence[str], labels: Sequence[str]) -> Chooser:
    """Fit to texts with a label each."""
    counts = Counter(word for text in texts for word in set(_words(text)))
    common = counts.most_common(MOST_WORDS)
    words = {word: at for at, (word, _) in enumerate(common)}
    rarity = np.array([math.log((1 + len(texts)) / n) for _, n in common])
    names = sorted(set(labels))
    places = {name: at for at, name in enumerate(names)}
    truth = np.eye(len(names))[[places[label] for label in labels]]
    vectors = [_vector(text, words, rarity) for text in texts]
    row = np.repeat(np.arange(len(vectors)), [len(vector) for vector in vectors])
    column = np.array([at for vector in vectors for at in vector], dtype=int)
    value = np.array([v for vector in vectors for v in vector.values()])
    weights, shift = np.zeros((len(words), len(names))), np.log(truth.mean(0) + 1e-3)
    optimizer = Adam([weights, shift])
    for step in range(EPOCHS):
        scores = np.zeros((len(texts), len(names))) + shift
        np.add.at(scores, row, value[:, None] * weights[column])
        chosen = np.exp(scores - scores.max(1, keepdims=True))
        error = (chosen / chosen.sum(1, keepdims=True) - truth) / len(texts)
        slope = DECAY * weights
        np.add.at(slope, column, value[:, None] * error[row])
        optimizer.step([slope, error.sum(0)], RATE * (1 - step / EPOCHS))
    return Chooser(names, words, rarity, weights, shift)


def _vector(text: str, words: dict[str, int], rarity: np.ndarray) -> dict[int, float]:
    """The text's known words by place, weighted by rarity, to length 1."""
    found = {words[word]: 0.0 for word in _words(text) if word in words}
    for at in found:
        found[at] = float(rarity[at])
    norm = math.sqrt(sum(v * v for v in found.values())) or 1.0
    return {at: v / norm for at, v in found.items()}


def _words(text: str) -> list[str]:
    """Tokens and pairs of them."""
    alone = [token.text.lower() for token in tokens_of(text)]
    return [*alone, *(f"{a} {b}" for a, b in itertools.pairwise(alone))]
