"""Fits of how long calls take find the law that drew the calls; wild ones move them little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.core.latency import AnswerLength, Latency
from orchestra.refit.fit import TimedJob, fit_latency, fit_overhead, predicted_ms
from orchestra.refit.robust import fit_shares, high, nonnegative
from tests.unit.refit.drawn_calls import LOCAL, TRUTH, drawn_calls


@pytest.mark.parametrize("wild", [0.0, 0.15])
def test_a_fit_predicts_calls_of_the_same_law_whatever_some_wild_ones_took(wild: float) -> None:
    fitted = fit_latency(drawn_calls(300, wild=wild), None, LOCAL)
    errors = [
        abs(predicted_ms(fitted, call, LOCAL) - call.ms) / call.ms
        for call in drawn_calls(200, seed=1)
    ]
    assert np.median(errors) < 0.08
    assert fitted.slowdown_per_call == pytest.approx(TRUTH.slowdown_per_call, rel=0.2)
    assert fitted.slowdown_per_neighbour == pytest.approx(TRUTH.slowdown_per_neighbour, rel=0.25)


def test_the_bound_holds_for_99_of_100_new_calls() -> None:
    fitted = fit_latency(drawn_calls(600, noise=0.3), None, LOCAL)
    new = drawn_calls(2000, seed=2, noise=0.3)
    kept = [call.ms <= predicted_ms(fitted, call, LOCAL) * fitted.p99_ratio for call in new]
    assert sum(kept) / len(kept) > 0.98
    assert fitted.p99_ratio < 3.5


def test_answers_of_an_ask_are_expected_as_long_as_they_were() -> None:
    fitted = fit_latency(drawn_calls(200), None, LOCAL)
    known = fitted.answer_of("asked")
    assert known is not None
    assert known.tokens(600) == pytest.approx((210, 41), rel=0.05)


def test_what_the_calls_do_not_tell_stays_as_it_was() -> None:
    other = AnswerLength(ask="other", calls=9, output_tokens=4)
    old = Latency(cold_start_ms=900, slowdown_per_call=0.7, answers=(other,))
    fitted = fit_latency(drawn_calls(100, busy=False), old, LOCAL)
    assert (fitted.cold_start_ms, fitted.slowdown_per_call) == (900, 0.7)
    assert [entry.ask for entry in fitted.answers] == ["asked", "other"]


def test_photos_that_every_call_has_are_part_of_what_is_fixed() -> None:
    calls = drawn_calls(100, busy=False)
    seeing = [replace(call, images=1) for call in calls]
    assert fit_latency(seeing, None, LOCAL).ms_per_image == 0


def test_a_server_elsewhere_has_no_neighbours() -> None:
    calls = drawn_calls(200)
    fitted = fit_latency(calls, None, frozenset({"b"}))
    assert fitted.slowdown_per_neighbour == 0


def test_overhead_is_told_by_jobs_of_several_kinds() -> None:
    jobs = [
        TimedJob(2 + 1.5 * calls + 4 * images, calls, images)
        for calls in (1, 2, 3)
        for images in (0, 1)
        for _ in range(10)
    ]
    fitted = fit_overhead(jobs)
    assert fitted.milliseconds(2, 1) == pytest.approx(9, rel=0.01)
    assert fitted.p99_ratio == pytest.approx(1, abs=0.01)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(0, 9), min_size=2, max_size=3),
    st.integers(0, 2**16),
)
def test_parts_are_never_negative_and_exact_ones_are_found(parts: list[float], seed: int) -> None:
    features = np.random.default_rng(seed).uniform(0.5, 4, (40, len(parts)))
    values = features @ np.array(parts) + 0.5
    whole = np.column_stack([np.ones(40), features])
    found = fit_shares(whole, values)
    assert (found >= 0).all()
    assert whole @ found == pytest.approx(values, rel=1e-3)


def test_a_part_that_would_be_negative_is_left_out() -> None:
    features = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    assert nonnegative(features, np.array([3.0, 2.0, 1.0])) == pytest.approx([2.0, 0.0])


@pytest.mark.parametrize(("count", "rank"), [(10, 10), (98, 98), (99, 99), (199, 198)])
def test_the_high_value_is_the_order_statistic_that_new_ones_keep(count: int, rank: int) -> None:
    assert high(np.arange(1.0, count + 1)) == rank
