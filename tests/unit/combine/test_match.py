"""Whether a photo shows what the text sells: weighed by all that the photo may show."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.combine.match import (
    DOUBTFUL,
    LEAST_FAULT,
    MATCH,
    NO,
    YES,
    MatchRules,
    faulty,
    photo_match,
)
from orchestra.combine.merge import MergeRules, merge_readings
from orchestra.core.job import Evidence, Field

TERMS = (("orange juice", "Juice"), ("orange", "Orange"), ("apples", "Apple"), ("apple", "Apple"))
RULES = MatchRules("category", TERMS)
SEEN = Evidence(kind="image", image="abc")


def seen(
    value: str | None, confidence: float | None, shares: Mapping[str, float] | None = None
) -> Field:
    source = "photo" if value else "none"
    return Field(
        value=value, source=source, confidence=confidence, shares=shares or {}, evidence=(SEEN,)
    )


def read(value: str) -> Field:
    return Field(value=value, source="text", confidence=0.9)


def joined(photo: Field, text: Field | None, words: str) -> Mapping[str, Field]:
    readings = [{"category": one} for one in (photo, text) if one is not None]
    rules = MergeRules(prefer="text", identity="category", match=RULES)
    return merge_readings(
        [{**readings[0], "colour": seen("red", 0.9)}, *readings[1:]], rules, words
    )


@pytest.mark.parametrize(("share", "value"), [(0.9, YES), (0.1, YES), (0.005, DOUBTFUL), (0.0, NO)])
def test_the_kinds_of_the_text_decide_by_how_likely_the_photo_shows_them(
    share: float, value: str
) -> None:
    photo = seen("Orange", 0.8, {"Orange": 1 - share, "Apple": share})
    assert photo_match(RULES, photo, read("Apple"), "an apple").value == value


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_likelier_the_kind_the_less_is_it_a_fault(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= faulty(high) <= faulty(low) <= 1


def test_a_title_that_names_two_kinds_is_met_by_either() -> None:
    photo = seen("Juice", 0.9, {"Juice": 0.9, "Orange": 0.05})
    assert photo_match(RULES, photo, read("Orange"), "apple and orange juice").value == YES
    assert photo_match(RULES, photo, read("Apple"), "apple\ngoes with orange juice").value != YES


def test_a_fault_says_what_is_seen_and_sold_and_is_in_doubt() -> None:
    found = photo_match(RULES, seen("Orange", 0.99, {"Orange": 0.99}), read("Apple"), "an apple")
    assert found.note == "the photo looks like 'Orange' (0.99), the text sells 'Apple' (0.00)"
    assert found.doubt is not None and found.note in found.doubt
    assert found.evidence == (SEEN,)


def test_nothing_is_compared_without_a_photo_or_a_kind_in_the_text() -> None:
    assert not photo_match(RULES, None, read("Apple"), "an apple").answered
    unnamed = photo_match(RULES, seen("Apple", 0.9), None, "fresh from the field")
    assert (unnamed.answered, unnamed.note) == (
        False,
        "the text names no category to compare the photo with",
    )
    assert not photo_match(RULES, seen("Apple", None), read("Orange"), "").answered


@pytest.mark.parametrize(("sure", "value"), [(0.7, YES), (0.85, DOUBTFUL)])
def test_one_answer_counts_against_the_text_when_it_is_sure(sure: float, value: str) -> None:
    found = photo_match(RULES, seen("Orange", sure), read("Apple"), "an apple")
    assert found.value == value


def test_a_guess_at_another_kind_is_no_contradiction_where_the_texts_kind_is_likely() -> None:
    photo = seen("Orange", 0.85, {"Orange": 0.85, "Apple": 0.15})
    found = joined(photo, read("Apple"), "an apple")
    assert not found["category"].contradiction
    assert found[MATCH].value == YES
    assert found["colour"].value == "red"


def test_an_unsure_guess_contradicts_where_the_texts_kind_is_most_unlikely() -> None:
    photo = seen("Orange", 0.55, {"Orange": 0.55, "Juice": 0.45})
    found = joined(photo, read("Apple"), "an apple")
    assert found["category"].contradiction
    assert found["category"].value == "Apple"
    assert found["colour"].value is None
    assert "may show another product" in (found["colour"].note or "")


def test_a_photo_beyond_the_known_kinds_is_still_weighed() -> None:
    photo = Field(note="of no known kind", shares={"Juice": 0.7}, evidence=(SEEN,))
    found = joined(photo, read("Apple"), "an apple")
    assert (found["category"].value, found["category"].contradiction) == ("Apple", False)
    assert found[MATCH].value == NO


def test_the_joined_fields_keep_no_shares() -> None:
    found = joined(seen("Apple", 0.9, {"Apple": 0.9}), read("Apple"), "an apple")
    every = [one for field in found.values() for one in (field, *field.alternatives)]
    assert not any(field.shares for field in every)


def test_the_least_fault_is_far_above_what_is_usual() -> None:
    assert faulty(0.5) < LEAST_FAULT / 4


def test_a_required_field_without_a_value_is_in_doubt() -> None:
    rules = MergeRules(required=frozenset({"brand"}))
    found = merge_readings([{"brand": Field(note="the text does not say")}], rules)
    assert found["brand"].doubt == "it is required; the text does not say"
    assert merge_readings([{"brand": read("Arla")}], rules)["brand"].doubt is None
