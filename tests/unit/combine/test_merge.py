"""Readings of photo and text, joined field by field."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.combine.merge import MergeRules, merge_readings
from orchestra.core.job import Evidence, Field

IN_TEXT = Evidence(kind="text", text="red", start=0, end=3)
IN_PHOTO = Evidence(kind="image", image="abc", box=(0.0, 0.0, 1.0, 1.0))


def photo(value: Any, confidence: float | None = 0.9) -> Field:
    return Field(value=value, source="photo", confidence=confidence, evidence=(IN_PHOTO,))


def text(value: Any, confidence: float | None = 0.9) -> Field:
    return Field(value=value, source="text", confidence=confidence, evidence=(IN_TEXT,))


def merged(*fields: Field, **rules: Any) -> Field:
    return merge_readings([{"f": field} for field in fields], MergeRules(**rules))["f"]


def test_equal_readings_come_from_both_with_the_evidence_of_both() -> None:
    found = merged(photo("red", 0.6), text("Red", 0.8))
    assert (found.value, found.source, found.confidence) == ("red", "both", 0.8)
    assert found.evidence == (IN_TEXT, IN_PHOTO)
    assert not found.contradiction


def test_a_confidence_that_nobody_gave_stays_unknown() -> None:
    assert merged(photo("red", None), text("red", None)).confidence is None
    assert merged(photo("red", None), text("red", 0.3)).confidence == 0.3


@pytest.mark.parametrize(("prefer", "value"), [("image", "red"), ("text", "blue")])
def test_a_contradiction_keeps_both_readings_and_the_preferred_one_stands(
    prefer: str, value: str
) -> None:
    found = merged(photo("red"), text("blue"), prefer=prefer)
    assert found.contradiction
    assert found.value == value
    assert {found.value, found.alternatives[0].value} == {"red", "blue"}
    assert "'red' (0.90)" in (found.note or "") and "'blue'" in (found.note or "")


def test_an_unsure_photo_does_not_contradict_and_says_so() -> None:
    found = merged(photo("red", 0.4), text("blue"), prefer="text")
    assert (found.value, found.contradiction) == ("blue", False)
    assert "too unsure to contradict" in (found.note or "")


def test_alike_values_agree_and_two_languages_are_not_compared() -> None:
    alike = {"f": (frozenset({"orange", "satsumas"}),)}
    assert merged(photo("Orange"), text("Satsumas"), alike=alike).source == "both"
    foreign = merged(photo("Orange"), text("橙子"))
    assert not foreign.contradiction and "not compared" in (foreign.note or "")


def test_a_photo_under_the_least_confidence_abstains_but_is_shown() -> None:
    found = merged(photo("red", 0.3), least_photo_confidence=0.5)
    assert not found.answered
    assert found.alternatives[0].value == "red"
    assert "0.30 is under 0.5" in (found.note or "")


def test_a_photo_under_the_least_confidence_leaves_the_text_and_is_kept_beside_it() -> None:
    found = merged(photo("red", 0.3), text("blue"), least_photo_confidence=0.5)
    assert (found.value, found.source, found.contradiction) == ("blue", "text", False)
    assert [entry.value for entry in found.alternatives] == ["red"]
    assert "may show 'red'" in (found.note or "")


def test_an_unsure_text_leaves_the_photo_and_is_kept_beside_it() -> None:
    found = merged(photo("red"), text("blue", 0.3), least_text_confidence=0.4, prefer="text")
    assert (found.value, found.source, found.contradiction) == ("red", "photo", False)
    assert [entry.value for entry in found.alternatives] == ["blue"]
    assert "the text may say 'blue', but its confidence 0.30 is under 0.4" in (found.note or "")


def test_a_sure_photo_behind_an_unsure_one_is_taken() -> None:
    found = merged(photo("red", 0.3), photo("blue", 0.8), least_photo_confidence=0.5)
    assert found.value == "blue"
    assert [entry.value for entry in found.alternatives] == ["red"]


def test_the_first_answer_of_a_side_stands_and_the_next_is_kept() -> None:
    found = merged(text("blue"), text("green"), photo("blue"))
    assert (found.value, found.source) == ("blue", "both")
    assert [entry.value for entry in found.alternatives] == ["blue", "green"]


def test_a_field_comes_only_from_the_sources_it_may_come_from() -> None:
    rules = {"sources": {"f": frozenset({"text"})}}
    assert merged(photo("red"), text("blue"), **rules).value == "blue"
    assert not merged(photo("red"), **rules).answered


def test_a_value_of_an_inner_merge_passes_where_both_sources_may_answer() -> None:
    both = merged(photo("red"), text("red"))
    assert merged(both, sources={"f": frozenset({"photo", "text"})}).value == "red"
    assert not merged(both, sources={"f": frozenset({"text"})}).answered


def test_abstentions_leave_the_first_reason() -> None:
    found = merged(Field(note="the photo does not show it"), Field(note="the text does not say"))
    assert (found.answered, found.note) == (False, "the photo does not show it")


def test_a_field_that_one_side_alone_knows_is_taken_as_it_is() -> None:
    fields = merge_readings([{"colour": photo("red")}, {"brand": text("Arla")}])
    assert fields == {"colour": photo("red"), "brand": text("Arla")}


def unknown(entry: Field) -> Field:
    return entry.model_copy(update={"confidence": None, "note": "its confidence is unknown"})


@pytest.mark.parametrize("entry", [photo("red"), text("red")])
def test_an_unknown_confidence_is_no_low_one_and_stays_flagged(entry: Field) -> None:
    found = merged(unknown(entry), least_photo_confidence=0.9, least_text_confidence=0.9)
    assert (found.value, found.confidence, found.note) == ("red", None, "its confidence is unknown")


@pytest.mark.parametrize("prefer", ["image", "text"])
def test_a_known_confidence_stands_before_an_unknown_one(prefer: str) -> None:
    found = merged(unknown(photo("red")), text("blue", 0.9), prefer=prefer)
    assert (found.value, found.source, found.contradiction) == ("blue", "text", False)
    assert [entry.value for entry in found.alternatives] == ["red"]
    assert "(confidence unknown)" in (found.note or "")
    found = merged(photo("red", 0.9), unknown(text("blue")), prefer=prefer)
    assert (found.value, found.contradiction) == ("red", True)


def test_where_both_are_unknown_the_preferred_side_stands_and_nothing_contradicts() -> None:
    found = merged(unknown(photo("red")), unknown(text("blue")), prefer="text")
    assert (found.value, found.contradiction) == ("blue", False)
    assert "does not contradict" in (found.note or "")


def test_agreement_with_a_known_confidence_clears_the_flag() -> None:
    found = merged(unknown(photo("red")), text("red", 0.8))
    assert (found.source, found.confidence, found.note) == ("both", 0.8, None)
    both = merged(unknown(photo("red")), unknown(text("red")))
    assert (both.source, both.confidence, both.note) == ("both", None, "its confidence is unknown")


def test_a_sure_reading_behind_an_unknown_one_of_its_side_is_taken() -> None:
    assert merged(unknown(photo("red")), photo("blue", 0.8)).value == "blue"


CONFIDENCE = st.none() | st.floats(0, 1)
READING = st.builds(
    Field,
    value=st.sampled_from(["red", "Red", "blue", "红色", "苹果", 5, ["a"], True]),
    source=st.sampled_from(["photo", "text", "both", "derived"]),
    confidence=CONFIDENCE,
) | st.builds(Field, note=st.just("does not say"))


def everything_in(field: Field) -> list[Any]:
    inner = [value for entry in field.alternatives for value in everything_in(entry)]
    return [field.value, *inner]


@given(
    readings=st.lists(READING, min_size=1, max_size=5),
    prefer=st.sampled_from(["image", "text"]),
    least=st.floats(0, 1),
)
def test_no_answer_is_ever_lost(readings: list[Field], prefer: str, least: float) -> None:
    found = merged(*readings, prefer=prefer, least_photo_confidence=least)
    kept = everything_in(found)
    for reading in readings:
        if reading.answered:
            assert reading.value in kept
    if found.answered:
        assert any(reading.answered and reading.value == found.value for reading in readings)
    if found.contradiction:
        assert {"photo"} < {entry.source for entry in (found, *found.alternatives)}


def test_a_field_that_is_better_seen_is_the_photos_where_it_is_sure() -> None:
    rules = {"prefer": "text", "seen": frozenset({"f"}), "contradiction_confidence": 0.8}
    found = merged(photo("green", 0.9), text("white", 0.99), **rules)
    assert (found.value, found.source, found.contradiction) == ("green", "photo", True)
    assert [entry.value for entry in found.alternatives] == ["white"]
    for unsure in (0.7, None):
        found = merged(photo("green", unsure), text("white", 0.5), **rules)
        assert (found.value, found.contradiction) == ("white", False)


def test_nothing_is_taken_from_a_photo_that_shows_something_else() -> None:
    looked = {"kind": photo("shirt"), "colour": photo("blue"), "pattern": photo("plain")}
    read = {"kind": text("Apple"), "colour": text("red"), "pattern": Field(note="not said")}
    rules = MergeRules(prefer="text", identity="kind", seen=frozenset({"colour"}))
    fields = merge_readings([looked, read], rules)
    assert fields["kind"].contradiction
    assert (fields["colour"].value, fields["colour"].contradiction) == ("red", False)
    assert [entry.value for entry in fields["colour"].alternatives] == ["blue"]
    assert not fields["pattern"].answered
    assert "kind contradicts the text: it may show another product" in (
        fields["pattern"].note or ""
    )
    without = merge_readings([looked, read], MergeRules(prefer="text"))
    assert without["pattern"].value == "plain"


def test_what_such_a_photo_and_the_text_both_say_stays() -> None:
    looked = {"kind": photo("shirt"), "colour": photo("red")}
    read = {"kind": text("Apple"), "colour": text("red")}
    fields = merge_readings([looked, read], MergeRules(prefer="text", identity="kind"))
    assert fields["colour"].source == "both"


def test_a_photo_of_the_same_thing_fills_what_the_text_leaves_out() -> None:
    looked = {"kind": photo("Apple"), "colour": photo("red")}
    fields = merge_readings([looked, {"kind": text("apple")}], MergeRules(identity="kind"))
    assert (fields["colour"].value, fields["colour"].source) == ("red", "photo")


def test_objects_that_agree_add_what_the_other_leaves_open() -> None:
    seen, read = {"name": "ACME", "country": None}, {"name": "Acme", "country": "Italy"}
    found = merged(photo(seen, 0.9), text(read, 0.8))
    assert (found.value, found.source) == ({"name": "ACME", "country": "Italy"}, "both")
    assert found.alternatives[0].value == read


def test_objects_with_another_leaf_contradict_and_keep_both() -> None:
    found = merged(photo({"name": "Acme"}), text({"name": "Arla"}))
    assert (found.contradiction, found.value) == (True, {"name": "Acme"})
    assert found.alternatives[0].value == {"name": "Arla"}


def test_a_list_within_another_agrees_and_the_longer_stands() -> None:
    found = merged(photo(["Red"]), text(["blue", "red"]))
    assert (found.value, found.source, found.contradiction) == (["blue", "red"], "both", False)
    assert merged(photo(["red", "pink"]), text(["blue", "red"])).contradiction
    parts = [{"name": "A", "grams": 2}], [{"name": "a", "grams": None}]
    assert merged(photo(parts[0]), text(parts[1])).value == parts[0]
