"""Scores of spans, whatever the network behind them."""

from __future__ import annotations

import numpy as np

from workers.extraction.fields import query
from workers.extraction.head import WIDEST, Scores, span_scores


def test_a_span_has_its_start_its_end_and_what_is_inside() -> None:
    parts = np.zeros((1, 3, 4), np.float32)
    parts[0, 0] = [1, 0, 0, 0]
    parts[0, 1] = [0, 0, 5, 0]
    parts[0, 2] = [0.1, 0.2, 0.3, 0.4]
    scores = span_scores(parts)
    assert scores.shape == (1, 4, WIDEST)
    assert np.isclose(scores[0, 0, 2], 1 + 5 + 0.6)
    assert np.isclose(scores[0, 2, 0], 5 + 0.3)


def test_a_span_beyond_the_text_has_no_probability() -> None:
    scores = Scores(span_scores(np.zeros((2, 3, 3), np.float32)), np.zeros(2, np.float32))
    spans, absent = scores.probabilities()
    assert np.allclose(spans.sum((1, 2)) + absent, 1)
    assert np.allclose(spans[:, 2, 1:], 0)
    assert np.isclose(absent[0], 1 / 7)


def test_a_higher_temperature_is_less_sure() -> None:
    scores = Scores(span_scores(np.ones((1, 3, 3), np.float32)), np.zeros(1, np.float32))
    assert scores.probabilities(2.0)[0].max() < scores.probabilities(1.0)[0].max()


def test_a_field_is_asked_by_the_words_of_its_name_and_meaning() -> None:
    assert query("sleeve_length") == "sleeve length"
    assert query("packSize", "how many\n units") == "pack size: how many units"
    assert query("Colour", "colour") == "colour"
