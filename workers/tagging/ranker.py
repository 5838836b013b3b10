"""Chooses among the candidates of a field, or none: a small network under a softmax, in numpy.

The score of a candidate begins at what the chains say and is corrected by one hidden layer; "none"
scores 0 (a conditional logit, McFadden 1974). Adam (Kingma and Ba 2015) fits it to all questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workers.tagging.optimizer import Adam

BASE = 0  # the feature that the score begins with
HIDDEN, EPOCHS, RATE = 24, 200, 0.01
DECAY = 24.0  # over the number of questions
CLIP = 30.0


@dataclass(slots=True)
class Ranker:
    """The features' mean and spread, and the weights of layer, output and shortcut."""

    mean: np.ndarray
    spread: np.ndarray
    layer: np.ndarray
    bias: np.ndarray
    output: np.ndarray
    shortcut: np.ndarray
    shift: np.ndarray

    @property
    def weights(self) -> list[np.ndarray]:
        """What is learnt."""
        return [self.layer, self.bias, self.output, self.shortcut, self.shift]

    def probabilities(self, features: np.ndarray) -> np.ndarray:
        """The probability of each candidate [candidate, feature]; what is left is none's."""
        known = (features - self.mean) / self.spread
        hidden = np.tanh(known @ self.layer + self.bias)
        scores = features[:, BASE] + hidden @ self.output + known @ self.shortcut + self.shift
        odds = np.exp(np.clip(scores, -CLIP, CLIP))
        return odds / (1 + odds.sum())


def fit(questions: Sequence[np.ndarray], right: Sequence[np.ndarray], *, seed: int = 0) -> Ranker:
    """Fit to questions [candidate, feature] and which of their candidates are right."""
    x = np.concatenate(questions)
    question = np.repeat(np.arange(len(questions)), [len(one) for one in questions])
    truth = np.concatenate(right).astype(float)
    truth /= np.maximum(np.bincount(question, truth), 1)[question]
    base, mean, spread = x[:, BASE], x.mean(0), x.std(0) + 1e-6
    x = (x - mean) / spread
    rng = np.random.default_rng(seed)
    count = x.shape[1]
    ranker = Ranker(mean, spread, rng.normal(size=(count, HIDDEN)) / np.sqrt(count),
                    np.zeros(HIDDEN), 0.1 * rng.normal(size=HIDDEN), np.zeros(count),
                    np.zeros(1))  # fmt: skip
    optimizer = Adam(ranker.weights)
    decay = DECAY / len(questions)
    for step in range(EPOCHS):
        hidden = np.tanh(x @ ranker.layer + ranker.bias)
        scores = base + hidden @ ranker.output + x @ ranker.shortcut + ranker.shift
        odds = np.exp(np.clip(scores, -CLIP, CLIP))
        error = (odds / (1 + np.bincount(question, odds))[question] - truth) / len(questions)
        below = np.outer(error, ranker.output) * (1 - hidden * hidden)
        slopes = [
            x.T @ below + decay * ranker.layer,
            below.sum(0),
            hidden.T @ error + decay * ranker.output,
            x.T @ error + decay * ranker.shortcut,
            error.sum(keepdims=True),
        ]
        optimizer.step(slopes, RATE * min(1.0, 3 * (1 - step / EPOCHS)))
    return ranker
