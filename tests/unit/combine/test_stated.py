"""What copied words come to: multipacks whole, "none" as nothing, no size as a name."""

from __future__ import annotations

import pytest

from orchestra.combine.ground import Unsayable
from orchestra.combine.own import own_value
from orchestra.combine.stated import Stated, stated_name, stated_sentence, whole_measure
from orchestra.core.job import Evidence, Field


def read(text: str, words: str) -> Field:
    start = text.index(words)
    proof = Evidence(kind="text", text=words, start=start, end=start + len(words))
    return Field(value=words, source="text", confidence=0.9, evidence=(proof,))


@pytest.mark.parametrize(
    ("text", "words", "whole"),
    [
        ("Milk, 6 x 1 l multipack", "1 l", "6 x 1 l"),
        ("Milk 1 l. Pack of 6x1 l", "1 l", "6x1 l"),
        ("Cola, 330 ml can x 24", "330 ml", "330 ml can x 24"),
        ("Water 500 ml × 12", "500 ml", "500 ml × 12"),
        ("苏打水 330ml x24罐", "330ml", "330ml x24罐"),
    ],
)
def test_a_multipack_is_measured_whole(text: str, words: str, whole: str) -> None:
    found = whole_measure(read(text, words), text)
    assert found.value == whole
    proof = found.evidence[0]
    assert text[proof.start : proof.end] == proof.text == whole


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Towel 70 x 140 cm", "70 x 140 cm"),
        ("Milk 1 l", "1 l"),
        ("Box 30 cm x 20 cm x 10 cm", "30 cm"),
        ("Cable 2 m x 3 mm", "2 m"),
    ],
)
def test_dimensions_are_no_multipack(text: str, words: str) -> None:
    field = read(text, words)
    assert whole_measure(field, text) == field


@pytest.mark.parametrize("words", ["none", "N/A", "unbranded", "as shown", "-", "无品牌", "见详情"])
def test_what_people_write_for_nothing_names_nothing(words: str) -> None:
    found = stated_name(read(f"Brand: {words}", words), is_proper=True)
    assert not found.answered
    assert words in (found.note or "")
    assert own_value(f"brand: {words}\nvendor: Arla", ("brand", "vendor")) is not None
    assert own_value(f"brand: {words}", ("brand",)) is None


@pytest.mark.parametrize("words", ["70x140cm", "500 ml", "70 × 140 厘米"])
def test_a_size_is_nobodys_name(words: str) -> None:
    field = read(f"Towel {words}", words)
    assert not stated_name(field, is_proper=True).answered
    assert stated_name(field, is_proper=False) == field


@pytest.mark.parametrize("words", ["3M", "4711", "Nonesuch", "Generic Surplus", "7up", "501"])
def test_names_that_look_like_it_stand(words: str) -> None:
    field = read(f"{words} tape", words)
    assert stated_name(field, is_proper=True) == field


@pytest.mark.parametrize("words", ["Made from oranges?", "It cures colds."])
def test_a_question_or_a_claim_is_no_summary(words: str) -> None:
    assert not stated_sentence(read(words, words), Unsayable(("cures",))).answered


def test_fields_are_judged_by_their_kind() -> None:
    text = "none 6 x 1 l"
    reading = {name: read(text, "1 l") for name in ("quantity", "size")}
    found = Stated({"quantity": "measure"}).of(reading | {"brand": read(text, "none")}, text)
    assert {name: one.value for name, one in found.items()} == {
        "quantity": "6 x 1 l",
        "size": "1 l",
        "brand": "none",
    }
