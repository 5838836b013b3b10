"""Trees: what they learn, what they leave alone, and how they read a value they never saw."""

from __future__ import annotations

import numpy as np
import pytest

from orchestra.quality.learned.forest import LEAF, Forest, Growth, grow

GROWTH = Growth(trees=30, leaf_rows=10, tries=6, depth=6)


def table(rows: int = 600) -> np.ndarray:
    return np.random.default_rng(0).random((rows, 5))


@pytest.fixture(scope="module")
def fitted() -> Forest:
    """Output 0 needs both of two columns at once; output 1 one column."""
    rows = table()
    both = ((rows[:, 0] > 0.5) == (rows[:, 1] > 0.5)).astype(float)
    return grow(rows, np.column_stack([both, rows[:, 2] > 0.3]).astype(float), GROWTH, seed=0)


def test_trees_learn_what_two_columns_say_together(fitted: Forest) -> None:
    corners = np.array([[0.1, 0.1], [0.9, 0.9], [0.1, 0.9], [0.9, 0.1]])
    rows = np.hstack([corners, np.full((4, 3), 0.6)])
    alike, other = np.split(fitted.predict(rows, 6)[:, 0], 2)
    assert alike.min() > other.max() + 0.3


def test_depth_zero_is_the_mean_of_all_rows(fitted: Forest) -> None:
    rows = table()
    means = fitted.predict(rows[:3], 0)
    assert means[0] == pytest.approx(means[2])
    assert means[0, 1] == pytest.approx((rows[:, 2] > 0.3).mean(), abs=1e-6)


def test_a_value_beyond_all_that_were_seen_counts_as_the_largest(fitted: Forest) -> None:
    largest = table().max(axis=0)[None]
    assert np.array_equal(fitted.predict(largest, 6), fitted.predict(largest * 1e6, 6))


def test_missing_values_are_read_as_the_smallest(fitted: Forest) -> None:
    rows = np.full((1, 5), 0.6)
    rows[0, 2] = np.nan
    assert fitted.predict(rows, 6)[0, 1] < 0.5


def test_a_value_that_is_missing_can_itself_be_learnt_from() -> None:
    rows = table()
    rows[:300, 3] = np.nan
    forest = grow(rows, np.isnan(rows[:, 3:4]).astype(float), GROWTH, seed=0)
    assert forest.predict(rows, 6)[:300].mean() > 0.9
    assert forest.predict(rows, 6)[300:].mean() < 0.1


def test_leaves_hold_the_rows_they_must_and_pure_nodes_stay_whole() -> None:
    rows = table(40)
    forest = grow(rows, (rows[:, :1] > 0.5).astype(float), Growth(5, 40, 15, 6, 4), seed=0)
    assert (np.diff([*forest.roots, len(forest.left)]) <= 5).all()  # at most two splits fit
    alike = grow(rows, np.ones((40, 1)), GROWTH, seed=0)
    assert (alike.left == LEAF).all()


def test_the_same_seed_gives_the_same_forest() -> None:
    rows = table()
    first, again, other = (grow(rows, rows[:, :1], GROWTH, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first.value, again.value)
    assert not np.array_equal(first.column[:50], other.column[:50])
