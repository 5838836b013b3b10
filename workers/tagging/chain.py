"""Linear-chain CRFs over O, B and I of some fields, with the probability of every span.

Trained by python-crfsuite (Okazaki 2007, L-BFGS with L1 and L2) and read back as plain arrays:
what a span needs is not the probability of its tags but of itself, which forward and backward
sums give (Lafferty, McCallum and Pereira 2001). It knows no text.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pycrfsuite import ItemSequence, Tagger, Trainer  # pyright: ignore[reportAttributeAccessIssue]

LONGEST = 14  # tokens of a span
OUT = "O"
LOW = -1e4  # the log weight of what cannot be
L1, L2 = 0.05, 0.01


@dataclass(slots=True)
class Chain:
    """A trained chain: label 0 is O, then come B and I of each field.

    `weights` are of features by label; `transition` is [before, after].
    """

    fields: list[str]
    weights: Mapping[tuple[str, int], float]
    transition: np.ndarray


def labels_of(fields: Sequence[str]) -> list[str]:
    """O, then B and I of each field."""
    return [OUT, *(f"{part}-{place}" for place in range(len(fields)) for part in "BI")]


def tags(length: int, spans: Sequence[tuple[int, int, int]]) -> list[str]:
    """The labels of a text of `length` tokens; `spans` are (field, first, last).

    Of spans that overlap the longer stands.
    """
    given = [OUT] * length
    for field, first, last in sorted(spans, key=lambda span: (span[1] - span[2], span)):
        if all(label == OUT for label in given[first : last + 1]):
            given[first : last + 1] = [f"I-{field}"] * (last - first + 1)
            given[first] = f"B-{field}"
    return given


def train(
    fields: Sequence[str],
    rows: Sequence[ItemSequence],
    labels: Sequence[Sequence[str]],
    *,
    iterations: int,
) -> Chain:
    """Train on texts, whose tokens have a row of features and a label each."""
    trainer = Trainer(verbose=False)
    for row, given in zip(rows, labels, strict=True):
        trainer.append(row, list(given))
    trainer.set_params({"c1": L1, "c2": L2, "max_iterations": iterations})
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "crf")
        trainer.train(path)
        tagger = Tagger()
        tagger.open(path)
        info = tagger.info()
        tagger.close()
    places = {label: at for at, label in enumerate(labels_of(fields))}
    weights = {(name, places[label]): w for (name, label), w in info.state_features.items() if w}
    transition = np.zeros((len(places), len(places)))
    for (before, after), weight in info.transitions.items():
        transition[places[before], places[after]] = weight
    for inside in range(2, len(places), 2):  # only what begins a field goes on with it
        others = [at for at in range(len(places)) if at not in (inside - 1, inside)]
        transition[others, inside] = LOW
    return Chain(list(fields), weights, transition)


def span_probabilities(scores: np.ndarray, transition: np.ndarray) -> np.ndarray:
    """The probability [chain, field, first token, tokens - 1] of every span up to `LONGEST`.

    `scores` are [chain, token, label], `transition` [chain, label, label], in logs.
    """
    chains, length, count = scores.shape
    begin, inside = np.arange(1, count, 2), np.arange(2, count, 2)
    scores = scores.copy()
    scores[:, 0, inside] = LOW  # nothing goes on at the first token
    peak = transition.max((1, 2))[:, None]
    steps = np.exp(transition - peak[:, :, None])
    ahead, back = np.empty_like(scores), np.zeros_like(scores)
    ahead[:, 0] = scores[:, 0]
    for at in range(1, length):
        ahead[:, at] = scores[:, at] + peak + _log_sum(ahead[:, at - 1], steps)
    for at in range(length - 2, -1, -1):
        follow = scores[:, at + 1] + back[:, at + 1]
        back[:, at] = peak + _log_sum(follow, steps.transpose(0, 2, 1))
    last = ahead[:, -1]
    whole = last.max(1) + np.log(np.exp(last - last.max(1, keepdims=True)).sum(1))
    ends = [_ends(scores, back, transition, labels, inside) for labels in (begin, inside)]
    reached = np.concatenate(
        [np.zeros((chains, 1, len(inside))), scores[:, :, inside].cumsum(1)], 1
    )
    enter, stay = transition[:, begin, inside], transition[:, inside, inside]
    result = np.zeros((chains, len(inside), length, LONGEST))
    for tokens in range(1, min(LONGEST, length) + 1):
        starts = length - tokens + 1
        value = ahead[:, :starts, begin] + ends[int(tokens > 1)][:, tokens - 1 :]
        if tokens > 1:
            value += reached[:, tokens : tokens + starts] - reached[:, 1 : 1 + starts]
            value += (enter + (tokens - 2) * stay)[:, None]
        value -= whole[:, None, None]
        result[:, :, :starts, tokens - 1] = np.exp(np.minimum(value, 0)).transpose(0, 2, 1)
    return result


def _log_sum(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    top = values.max(1, keepdims=True)
    sums = np.matmul(np.exp(values - top)[:, None], steps)[:, 0]
    return top + np.log(sums + 1e-300)


def _ends(scores: np.ndarray, back: np.ndarray, transition: np.ndarray, labels: np.ndarray,
          inside: np.ndarray) -> np.ndarray:  # fmt: skip
    """The log weight [chain, token, field] of all that follows a span which ends there."""
    chains, length, _ = scores.shape
    found = np.zeros((chains, length, len(labels)))
    if length == 1:
        return found
    follow = (scores + back)[:, 1:, None] + transition[:, None, labels]  # [.., label, after]
    follow[:, :, np.arange(len(labels)), inside] = LOW
    top = follow.max(3, keepdims=True)
    found[:, :-1] = top[..., 0] + np.log(np.exp(follow - top).sum(3))
    return found
