"""The routing curve: APGR and CPT of rankings whose score can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.parts.routing_curve import apgr, cpt, curve, difference, lift, routing_score

# Ten questions of which the strong model alone gets the last five right: the gap is 0.5.
WEAK = np.zeros(10)
STRONG = np.array([0.0] * 5 + [1.0] * 5)


def test_the_best_ranking_recovers_the_gap_with_half_the_calls() -> None:
    score = np.arange(10.0)
    assert apgr(score, WEAK, STRONG) == pytest.approx(0.75)
    assert cpt(score, WEAK, STRONG, 0.8) == pytest.approx(40.0)
    assert lift(score, WEAK, STRONG) == pytest.approx(0.125)


def test_the_worst_ranking_is_the_best_one_upside_down() -> None:
    assert apgr(-np.arange(10.0), WEAK, STRONG) == pytest.approx(0.25)
    assert cpt(-np.arange(10.0), WEAK, STRONG, 0.5) == pytest.approx(75.0)


def test_one_score_for_all_routes_like_chance() -> None:
    share, accuracy = curve(np.ones(10), WEAK, STRONG)
    assert set(share) == {0.0, 1.0}
    assert accuracy[-1] == 0.5
    assert apgr(np.ones(10), WEAK, STRONG) == pytest.approx(0.5)


def test_models_that_are_equally_good_leave_no_gap_and_no_warning() -> None:
    score = routing_score(np.arange(10.0), STRONG, STRONG)
    assert score.apgr.value == 0.5
    assert (score.lift.low, score.lift.high) == (0.0, 0.0)


def test_a_random_ranking_scores_a_half_within_its_interval() -> None:
    draw = np.random.default_rng(1)
    weak, strong = (draw.random((2, 2000)) < np.array([[0.6], [0.8]])).astype(float)
    score = routing_score(draw.random(2000), weak, strong)
    assert score.apgr.low < 0.5 < score.apgr.high
    assert score.lift.low < 0 < score.lift.high


def test_intervals_over_groups_are_wider_where_a_group_is_alike() -> None:
    draw = np.random.default_rng(2)
    groups = np.repeat(np.arange(20), 50)
    effect = draw.normal(size=20)[groups]
    strong = (draw.random(1000) < 0.5 + 0.3 * np.tanh(effect)).astype(float)
    weak = np.zeros(1000)
    by_row = routing_score(effect, weak, strong).apgr
    by_group = routing_score(effect, weak, strong, groups).apgr
    assert by_group.high - by_group.low > 1.5 * (by_row.high - by_row.low)


def test_the_difference_of_a_ranking_to_itself_is_nothing() -> None:
    same = difference(np.arange(10.0), np.arange(10.0), WEAK, STRONG)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
