"""When two readings mean the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.core.values import COLOURS, agree, canonical, comparable, shown

VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.text()))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Red", "red"),
        ("dark  red", "Dark\tRed "),
        ("红色", "red"),
        ("红", "红色"),
        ("gray", "grey"),
        ("灰色", "Gray"),
        (5, 5),
        (["a"], ["a"]),
    ],
)
def test_case_spacing_and_language_of_a_colour_do_not_matter(left: object, right: object) -> None:
    assert agree(left, right)


@pytest.mark.parametrize(
    ("left", "right"), [("red", "orange"), ("Apple", "apple juice"), ("5", 5), (["a"], ["b"])]
)
def test_different_values_do_not_agree(left: object, right: object) -> None:
    assert not agree(left, right)


def test_values_of_one_group_are_alike_however_they_are_written() -> None:
    groups = (frozenset({"Orange", "satsumas"}), frozenset({"red", "pink"}))
    assert agree("orange", "Satsumas", groups)
    assert agree("红色", "Pink", groups)
    assert not agree("orange", "pink", groups)


@given(left=VALUES, right=VALUES)
def test_agreeing_is_symmetric_and_takes_any_json_value(left: object, right: object) -> None:
    groups = (frozenset({"red", "pink"}),)
    assert agree(left, left, groups)
    assert agree(left, right, groups) == agree(right, left, groups)


@given(st.text())
def test_a_canonical_value_stays_as_it_is(value: str) -> None:
    assert canonical(canonical(value)) == canonical(value)


def test_words_of_two_scripts_are_not_compared_unless_they_are_colours() -> None:
    assert not comparable("苹果", "pear")
    assert comparable("苹果", "梨")
    assert all(comparable(chinese, english) for english, chinese in COLOURS.items())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "yes"),
        (1.5, "1.5"),
        (["red", "blue"], "red, blue"),
        ({"name": "Acme", "country": None, "of": ["a", "b"]}, "name: Acme, of: a, b"),
        ([{"name": "a", "grams": 2}, {"name": "b"}], "name: a, grams: 2; name: b"),
    ],
)
def test_any_value_is_shown_as_a_person_would_write_it(value: object, text: str) -> None:
    assert shown(value) == text
