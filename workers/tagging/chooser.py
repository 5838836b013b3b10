"""Chooses one of a few labels for a whole text, by its words and the encoder's vector, with a
multinomial logistic regression.

It serves fields whose values need not stand in the text, and tells of which group a text is.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workers.tagging.encoded import encoded, encoded_all
from workers.tagging.optimizer import Adam
from workers.tagging.tokens import tokens_of

EPOCHS, RATE, DECAY = 150, 0.05, 3e-4
SCALE = 8.0  # of the encoder's vectors, which differ little from their mean
MOST_WORDS = 20_000


@dataclass(slots=True)
class LabelChooser:
    """Words with their weights [word, label], and the encoder's vector less its `middle` with
    `slopes` [W, label]; W is 0 where the encoder is not installed. `shift` [label].
    """

    labels: list[str]
    words: dict[str, int]
    rarity: np.ndarray
    weights: np.ndarray
    middle: np.ndarray
    slopes: np.ndarray
    shift: np.ndarray

    def probabilities(self, text: str) -> dict[str, float]:
        """The probability of each label, together 1."""
        scores = self.shift.copy()
        for at, value in _vector(text, self.words, self.rarity).items():
            scores = scores + value * self.weights[at]
        if len(self.middle):
            scores = scores + SCALE * (encoded(text).vector - self.middle) @ self.slopes
        chosen = np.exp(scores - scores.max())
        return dict(zip(self.labels, (chosen / chosen.sum()).tolist(), strict=True))


def train_chooser(texts: Sequence[str], labels: Sequence[str]) -> LabelChooser:
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
    told = encoded_all(texts)
    read = np.stack([one.vector for one in told]) if told else np.zeros((len(texts), 0))
    middle = read.mean(0)
    read = SCALE * (read - middle)
    weights, shift = np.zeros((len(words), len(names))), np.log(truth.mean(0) + 1e-3)
    slopes = np.zeros((read.shape[1], len(names)))
    optimizer = Adam([weights, slopes, shift])
    for step in range(EPOCHS):
        scores = read @ slopes + shift
        np.add.at(scores, row, value[:, None] * weights[column])
        chosen = np.exp(scores - scores.max(1, keepdims=True))
        error = (chosen / chosen.sum(1, keepdims=True) - truth) / len(texts)
        slope = DECAY * weights
        np.add.at(slope, column, value[:, None] * error[row])
        optimizer.step(
            [slope, read.T @ error + DECAY * slopes, error.sum(0)], RATE * (1 - step / EPOCHS)
        )
    return LabelChooser(names, words, rarity, weights, middle, slopes, shift)


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
