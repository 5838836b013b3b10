"""What the name of a product says it is, where a kind's word is only a part of it."""

from __future__ import annotations

import pytest

from orchestra.combine.merge import MergeRules, merge_readings
from orchestra.core.job import Evidence, Field

TERMS = {"category": (("juices", "Juice"), ("juice", "Juice"), ("apple", "Apple"),
                      ("peach", "Peach"), ("苹果", "Apple"), ("milk", "Milk"))}  # fmt: skip
RULES = MergeRules(identity="category", named_by="name", columns={"name": ("name",)}, terms=TERMS)


def category(text: str, word: str, value: str, rules: MergeRules = RULES) -> Field:
    start = text.index(word)
    proof = Evidence(kind="text", text=word, start=start, end=start + len(word))
    field = Field(value=value, source="text", confidence=0.9, evidence=(proof,))
    return merge_readings([{"category": field}], rules, text)["category"]


@pytest.mark.parametrize(
    ("text", "word", "value"),
    [
        ("name: Apple pie\ndescription: With apple and cream", "Apple", "Apple"),
        ("name: Apple peeler\ndescription: Peels an apple", "apple", "Apple"),
        ("name: Peach tea", "Peach", "Peach"),
        ("name: 苹果手机壳", "苹果", "Apple"),
        ("name: Milk frother", "Milk", "Milk"),
    ],
)
def test_a_part_of_a_name_is_not_what_is_sold(text: str, word: str, value: str) -> None:
    found = category(text, word, value)
    assert not found.answered
    assert "part of another thing's name" in (found.note or "")


@pytest.mark.parametrize(
    ("text", "word", "value"),
    [
        ("name: Apple juice", "juice", "Juice"),
        ("name: Milk powder", "Milk", "Milk"),
        ("name: Royal Gala apple 1 kg", "apple", "Apple"),
        ("name: 红富士苹果", "苹果", "Apple"),
    ],
)
def test_a_thing_and_its_forms_are_what_is_sold(text: str, word: str, value: str) -> None:
    assert category(text, word, value).value == value


def test_the_last_kind_of_a_name_stands_though_a_part_names_another() -> None:
    text = "name: Peach tea apple\ndescription: x"
    assert category(text, "apple", "Apple").value == "Apple"


def test_what_does_not_say_what_the_thing_is_may_be_a_part() -> None:
    text = "name: Apple pie"
    assert category(text, "Apple", "Apple", MergeRules(terms=TERMS)).value == "Apple"
