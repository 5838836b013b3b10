"""The probability of a span is that of all taggings that have it, and labels keep their order."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from workers.tagging.chain import LOW, span_probabilities, tags


@pytest.mark.parametrize(("fields", "length"), [(1, 5), (2, 4), (1, 1)])
def test_span_probabilities_are_the_sums_over_all_taggings(fields: int, length: int) -> None:
    rng = np.random.default_rng(0)
    count = 2 * fields + 1
    transition, scores = rng.normal(size=(count, count)), rng.normal(size=(length, count))
    for inside in range(2, count, 2):
        others = [at for at in range(count) if at not in (inside - 1, inside)]
        transition[others, inside] = LOW
    found = span_probabilities(scores[None], transition[None])[0]
    expected, whole = np.zeros_like(found), 0.0
    for labels in itertools.product(range(count), repeat=length):
        steps = [transition[a, b] for a, b in itertools.pairwise(labels)]
        if (labels[0] > 0 and labels[0] % 2 == 0) or LOW in steps:
            continue
        weight = float(np.exp(sum(scores[at, y] for at, y in enumerate(labels)) + sum(steps)))
        whole += weight
        for first, label in enumerate(labels):
            if label % 2:
                last = first
                while last + 1 < length and labels[last + 1] == label + 1:
                    last += 1
                expected[label // 2, first, last - first] += weight
    assert found == pytest.approx(expected / whole)


def test_of_spans_that_overlap_the_longer_is_tagged() -> None:
    assert tags(5, [(0, 1, 1), (1, 1, 3)]) == ["O", "B-1", "I-1", "I-1", "O"]
