"""Allocation of a cap over groups of rows: exact where it can be, and never over the cap."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.batch.plan.allocation import Allocation, Group, Way, allocate, hull

TEXT, PHOTO, BOTH = Way("text", 2, 0.5), Way("photo", 3, 0.4), Way("both", 5, 0.9)


def test_a_way_that_costs_more_for_less_is_not_on_the_hull() -> None:
    assert hull([BOTH, PHOTO, TEXT]) == [TEXT, BOTH]


def test_a_way_under_the_line_between_two_others_is_not_on_the_hull() -> None:
    middle = Way("middle", 3, 0.55)
    assert hull([TEXT, middle, BOTH]) == [TEXT, BOTH]


def test_of_two_that_cost_alike_the_better_one_is_on_the_hull() -> None:
    assert hull([Way("worse", 2, 0.3), TEXT]) == [TEXT]


def test_a_way_without_worth_is_not_on_the_hull() -> None:
    assert hull([Way("nothing", 1, 0.0)]) == []


def test_money_goes_first_where_it_gains_most() -> None:
    silent = Group("silent", 10, (Way("text", 2, 0.1), Way("both", 5, 0.9)))
    told = Group("told", 10, (Way("text", 2, 0.9), Way("both", 5, 1.0)))
    made = allocate([silent, told], 45)
    assert made.served == {"told": {"text": 10}, "silent": {"both": 5}}
    assert made.left == {"told": 0, "silent": 5}


def test_enough_money_buys_the_best_of_each_group() -> None:
    groups = [Group("a", 3, (TEXT, BOTH)), Group("b", 2, (PHOTO,))]
    made = allocate(groups, 1000)
    assert made.served == {"a": {"both": 3}, "b": {"photo": 2}}
    assert made.cost_micro == 3 * 5 + 2 * 3


def test_no_money_leaves_every_row() -> None:
    made = allocate([Group("a", 4, (TEXT,))], 0)
    assert (made.left, made.worth) == ({"a": 4}, 0.0)


def test_what_costs_nothing_is_served_without_money() -> None:
    made = allocate([Group("a", 4, (Way("kept", 0, 0.7),))], 0)
    assert made.served == {"a": {"kept": 4}}


def test_a_limit_of_time_prefers_the_faster_way() -> None:
    slow, fast = Way("slow", 1, 1.0, seconds=10), Way("fast", 2, 0.9, seconds=1)
    made = allocate([Group("a", 10, (slow, fast))], 100, limit_s=10)
    assert made.served == {"a": {"fast": 10}}


ways = st.lists(
    st.builds(
        Way,
        name=st.uuids().map(str),
        cost_micro=st.integers(0, 9).map(float),
        worth=st.integers(0, 10).map(lambda tenth: tenth / 10),
        seconds=st.integers(0, 5).map(float),
    ),
    max_size=3,
)


def group_lists(most_rows: int) -> st.SearchStrategy[list[Group]]:
    def named(parts: list[tuple[int, list[Way]]]) -> list[Group]:
        return [Group(str(at), rows, tuple(ways)) for at, (rows, ways) in enumerate(parts)]

    return st.lists(st.tuples(st.integers(1, most_rows), ways), min_size=1, max_size=3).map(named)


@given(group_lists(50), st.integers(0, 500), st.none() | st.integers(0, 100))
@settings(max_examples=200, deadline=None)
def test_no_allocation_passes_its_limits_and_no_row_is_lost(
    groups: list[Group], budget: int, limit_s: int | None
) -> None:
    made = allocate(groups, budget, limit_s)
    assert made.cost_micro <= budget
    assert limit_s is None or made.seconds <= limit_s
    for group in groups:
        assert sum(made.served[group.name].values()) + made.left[group.name] == group.rows


@given(group_lists(2), st.integers(0, 30))
@settings(max_examples=100, deadline=None)
def test_an_allocation_is_at_most_one_row_short_of_the_best_there_is(
    groups: list[Group], budget: int
) -> None:
    made = allocate(groups, budget)
    choices = [(None, *group.ways) for group in groups for _ in range(group.rows)]
    best = max(
        sum(way.worth for way in row if way is not None)
        for row in itertools.product(*choices)
        if sum(way.cost_micro for way in row if way is not None) <= budget
    )
    most = max((way.worth for group in groups for way in group.ways), default=0.0)
    assert made.worth == pytest.approx(min(made.worth, best))
    assert made.worth >= best - most - 1e-9


def test_the_same_groups_are_allocated_alike() -> None:
    groups = [Group("a", 7, (TEXT, BOTH)), Group("b", 7, (TEXT, BOTH))]
    first, second = allocate(groups, 33), allocate(groups, 33)
    assert isinstance(first, Allocation) and first == second
