"""Votes of branches: what weighs most stands, and a tie abstains."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.combine.branches import Branch, same
from orchestra.combine.vote import vote_branches
from orchestra.core.job import Evidence, Field


def said(value: Any, confidence: float | None = 0.9, **more: Any) -> Field:
    proof = Evidence(kind="image", image=str(value), box=(0.0, 0.0, 1.0, 1.0))
    base: dict[str, Any] = {"source": "photo", "confidence": confidence, "evidence": (proof,)}
    return Field(value=value, **(base | more))


def voted(*fields: Field, least: int | None = None) -> Field:
    branches = [Branch(f"look[{at}]", {"f": field}) for at, field in enumerate(fields)]
    return vote_branches(branches, least)["f"]


def test_the_majority_stands_and_says_its_count() -> None:
    found = voted(said("red", 0.6), said("blue", 0.9), said("Red", 0.8))
    assert (found.value, found.confidence, found.source) == ("Red", 0.8, "photo")
    assert found.note == "2 of 3 said 'red', 1 'blue'"
    assert [other.value for other in found.alternatives] == ["blue"]
    assert [proof.image for proof in found.evidence] == ["red", "Red"]


def test_case_form_and_language_of_a_colour_make_no_difference() -> None:
    assert (
        voted(said("ＲＥＤ"), said("红色"), said("blue")).note == "2 of 3 said 'ＲＥＤ', 1 'blue'"
    )


def test_an_answer_weighs_its_calibrated_probability_before_its_confidence() -> None:
    found = voted(
        said("red", 0.99, probability=0.2), said("red", 0.99, probability=0.2), said("blue", 0.6)
    )
    assert found.value == "blue"
    assert found.note == "1 of 3 said 'blue', 2 'red'"


def test_an_answer_of_unknown_confidence_weighs_one() -> None:
    assert voted(said("red", 0.8), said("blue", None)).value == "blue"


def test_a_tie_abstains_and_keeps_the_readings() -> None:
    found = voted(said("red", 0.1), said("red", 0.2), said("blue", 0.3))
    assert not found.answered
    assert found.note == "2 of 3 said 'red', 1 'blue': a tie"
    assert [other.value for other in found.alternatives] == ["red", "red", "blue"]


def test_a_tie_in_two_languages_says_so() -> None:
    assert "not compared" in (voted(said("shirt"), said("衬衫")).note or "")


def test_fewer_branches_than_asked_for_abstain() -> None:
    fields = said("red"), said("blue", 0.2), said("green", 0.2)
    assert voted(*fields).value == "red"
    found = voted(*fields, least=2)
    assert not found.answered
    assert found.note == "1 of 3 said 'red', 1 'blue', 1 'green': 2 have to agree"


def test_who_does_not_answer_does_not_count_and_is_noted() -> None:
    found = voted(said("red"), Field(note="the photo does not show it"))
    assert found.value == "red"
    assert found.note == "1 of 1 said 'red'; look[1]: the photo does not show it"
    assert voted(Field(note="not shown")).note == "look[0]: not shown"


def test_what_is_proven_of_one_answer_holds_of_the_value() -> None:
    found = voted(said("red", 0.9, doubt="too unsure"), said("red", 0.8, promised=0.95))
    assert (found.promised, found.doubt) == (0.95, None)


@pytest.mark.parametrize(
    ("left", "right", "alike"),
    [
        ("Red", " red ", True),
        (["red", "Blue"], ["blue", "RED"], True),
        ({"unit": "KG", "value": 1}, {"value": 1, "unit": "kg"}, True),
        (1, 1.0, True),
        (True, 1, False),
        ("red", "blue", False),
        (["red"], "red", False),
    ],
)
def test_values_are_compared_by_what_they_say(left: Any, right: Any, alike: bool) -> None:
    assert same(left, right) is alike


CONFIDENCES = st.sampled_from([None, 0.1, 0.5, 0.9])
FIELDS = st.lists(
    st.builds(said, st.sampled_from(["red", "blue", "green"]), CONFIDENCES), min_size=1
)


@given(FIELDS)
def test_no_answer_is_lost_and_order_decides_nothing(fields: list[Field]) -> None:
    found, turned = voted(*fields), voted(*reversed(fields))
    assert found.value == turned.value
    kept = {field.value for field in (found, *found.alternatives) if field.answered}
    assert kept == {field.value for field in fields}
