"""Intervals of totals and shares: known quantiles, and how often they hold what comes."""

from __future__ import annotations

import math
import random

import pytest

from orchestra.core.stats import Estimate, Right, Stratum, pace_of, share_of, spread_of, t_95


@pytest.mark.parametrize(
    ("freedom", "known"),
    [(1, 12.7062), (3, 3.1824), (5, 2.5706), (10, 2.2281), (30, 2.0423), (1000, 1.9623)],
)
def test_quantiles_are_those_of_students_t(freedom: int, known: float) -> None:
    assert t_95(freedom) == pytest.approx(known, abs=2e-3)


def test_an_interval_holds_its_bounds() -> None:
    made = Estimate(low=1, value=2, high=3)
    assert made.holds(1) and made.holds(3) and not made.holds(3.01)


def test_totals_of_rows_to_come_lie_in_their_interval_about_as_often_as_said() -> None:
    draw = random.Random(5)
    held = 0
    for _ in range(400):
        seen = [[draw.gauss(10, 3) for _ in range(5)], [draw.gauss(50, 8) for _ in range(5)]]
        strata = [Stratum(seen[0], 60), Stratum(seen[1], 40)]
        error, freedom = spread_of(strata)
        predicted = sum(60 * x / 5 for x in seen[0]) + sum(40 * x / 5 for x in seen[1])
        total = sum(draw.gauss(10, 3) for _ in range(60)) + sum(
            draw.gauss(50, 8) for _ in range(40)
        )
        held += abs(total - predicted) <= t_95(freedom) * error
    assert 0.91 <= held / 400 <= 0.99


def test_a_stratum_seen_once_has_the_variance_of_the_others() -> None:
    alone, _ = spread_of([Stratum([1.0, 3.0], 0), Stratum([7.0], 9)])
    assert alone == pytest.approx(math.sqrt(2 * (9 + 81)))


def test_nothing_seen_twice_says_nothing_of_the_spread() -> None:
    assert math.isinf(spread_of([Stratum([7.0], 9)])[0])


def test_one_pace_says_nothing_of_the_next() -> None:
    assert math.isinf(pace_of([2.0])[1])
    mean, relative, freedom = pace_of([2.0, 2.0, 2.0])
    assert (mean, relative, freedom) == (2.0, 0.0, 2)


def test_shares_lie_in_their_interval_about_as_often_as_said() -> None:
    draw = random.Random(7)
    held = 0
    for _ in range(400):
        truths = {0.95: 60, 0.5: 40}
        strata = [
            Right([float(draw.random() < p) for _ in range(8)], rows / 100, rows)
            for p, rows in truths.items()
        ]
        made = share_of(strata)
        actual = sum(sum(draw.random() < p for _ in range(rows)) for p, rows in truths.items())
        held += made is not None and made.holds(actual / 100)
    assert held / 400 >= 0.93


def test_a_stratum_that_nobody_judged_leaves_the_share_unknown() -> None:
    assert share_of([Right([1.0], 0.5, 5), Right([], 0.5, 5)]) is None


def test_a_few_rows_that_are_all_right_do_not_make_all_right() -> None:
    made = share_of([Right([1.0] * 5, 1.0, 100)])
    assert made is not None and made.value == 1.0 and made.low < 0.9
