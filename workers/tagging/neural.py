"""A view of the spans from the encoder's token states: one hidden layer, trained in numpy.

It gives each token a distribution over O, B and I of its group's fields, and knows words that no
labelled row had. The encoder itself stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workers.encoder.content import Encoded
from workers.tagging.chain import LOW, span_probabilities
from workers.tagging.inputs import LabelledWords
from workers.tagging.optimizer import Adam
from workers.tagging.rows import TaggedRow

HIDDEN, RATE, DECAY, BATCH, DROPPED = 256, 2e-3, 3e-4, 256, 0.5
STEPS, FEWEST, MOST = 1000, 10, 40  # of the optimizer, and passes over the tokens
LAYER = 10  # of the encoder, whose states tell most


@dataclass(slots=True)
class StateTagger:
    """The inputs' mean and spread, and the weights of both layers."""

    known: LabelledWords
    mean: np.ndarray
    spread: np.ndarray
    layer: np.ndarray
    bias: np.ndarray
    output: np.ndarray
    shift: np.ndarray

    def probabilities(self, row: TaggedRow, encoded: Encoded) -> dict[str, np.ndarray]:
        """For each field of the group the probability [first token, tokens - 1] of spans."""
        columns = self.known.columns(row.group)
        x = (self.known.inputs(row, encoded, known=False) - self.mean) / self.spread
        hidden = np.maximum(x @ self.layer + self.bias, 0)
        scores = hidden @ self.output[:, columns] + self.shift[columns]
        transition = np.zeros((len(columns), len(columns)))
        for inside in range(2, len(columns), 2):
            others = [at for at in range(len(columns)) if at not in (inside - 1, inside)]
            transition[others, inside] = LOW
        found = span_probabilities(scores[None].astype(float), transition[None])[0]
        names = self.known.groups.get(row.group) or self.known.fields
        return dict(zip(names, found, strict=True))


def train_states(
    rows: Sequence[TaggedRow], encoded: Sequence[Encoded], *, seed: int = 0
) -> StateTagger:
    """Train on labelled rows, each with what the encoder made of its text."""
    known = LabelledWords.of(rows)
    own = [(row, one) for row, one in zip(rows, encoded, strict=True) if row.tokens]
    x = np.concatenate([known.inputs(row, one, known=True) for row, one in own])
    y = np.array([label for row, _ in own for label in known.labels_in(row)])
    mask = np.concatenate([_masked(known, row) for row, _ in own])
    mean, spread = x.mean(0), x.std(0) + 1e-2
    x -= mean
    x /= spread
    rng = np.random.default_rng(seed)
    scale = np.sqrt(2 / x.shape[1])
    layer = (rng.normal(size=(x.shape[1], HIDDEN)) * scale).astype(np.float32)
    bias, shift = np.zeros(HIDDEN, np.float32), np.zeros(known.labels, np.float32)
    output = np.zeros((HIDDEN, known.labels), np.float32)
    tagger = StateTagger(known, mean, spread, layer, bias, output, shift)
    optimizer = Adam([layer, bias, output, shift])
    batches = -(-len(x) // BATCH)
    passes = int(np.clip(STEPS / batches, FEWEST, MOST))
    order = rng.permutation(len(x))
    for step in range(passes * batches):
        if step and step % batches == 0:
            order = rng.permutation(len(x))
        at = order[step % batches * BATCH :][:BATCH]
        slopes = _slopes(tagger, x[at], y[at], mask[at], rng)
        optimizer.step(slopes, RATE * (1 - step / (passes * batches)))
    return tagger


def _masked(known: LabelledWords, row: TaggedRow) -> np.ndarray:
    """0 for labels that the row's tokens may have, else a great negative number."""
    found = np.full((len(row.tokens), known.labels), LOW, np.float32)
    found[:, known.columns(row.group)] = 0
    return found


def _slopes(tagger: StateTagger, x: np.ndarray, y: np.ndarray, mask: np.ndarray,
            rng: np.random.Generator) -> list[np.ndarray]:  # fmt: skip
    kept = (rng.random((len(x), HIDDEN)) > DROPPED).astype(np.float32) / (1 - DROPPED)
    hidden = np.maximum(x @ tagger.layer + tagger.bias, 0) * kept
    scores = hidden @ tagger.output + tagger.shift + mask
    chosen = np.exp(scores - scores.max(1, keepdims=True))
    error = chosen / chosen.sum(1, keepdims=True)
    error[np.arange(len(y)), y] -= 1
    error /= len(y)
    below = (error @ tagger.output.T) * kept * (hidden > 0)
    return [x.T @ below + DECAY * tagger.layer, below.sum(0),
            hidden.T @ error + DECAY * tagger.output, error.sum(0)]  # fmt: skip
