"""A text that says less than its source, breaks off or repeats itself is worse than none."""

from __future__ import annotations

import pytest

from graphs.listing import default_recipe
from graphs.rubric import faults, joined, sayable
from graphs.writing import published
from orchestra.batch.recipe import Language
from orchestra.combine.ground import Unsayable
from orchestra.core.job import Field

FREE = Unsayable(("free shipping", "free", "best"), ("gluten free",))


@pytest.mark.parametrize(
    ("text", "language", "fault"),
    [
        ("", "en", "empty"),
        ("This is an.", "en", "breaks off"),
        ("Pink Lady reminds of Royal Gala, though it.", "en", "breaks off"),
        ("红色苹果", "en", "another language"),
        ("Red apple", "zh", "another language"),
        ("Premium oil premium premium premium", "en", "over and over"),
        ("The best apple", "en", "'best'"),
    ],
)
def test_what_is_wrong_is_named(text: str, language: Language, fault: str) -> None:
    assert fault in "; ".join(faults(text, language, banned=FREE))


def test_a_text_that_says_less_than_its_source_is_at_fault() -> None:
    source = "Alpro Blueberry Soyghurt, 500g"
    assert "alpro" in faults("Green soyghurt", "en", source=source)[0]
    assert faults("Alpro Blueberry Soyghurt", "en", source=source) == [
        "it leaves out 500g of the source"
    ]
    assert not faults("Soyghurt Alpro, blueberry, 500 g", "en", source=source)


def test_a_description_says_more_than_the_title() -> None:
    assert faults("This is Arla Milk, 1l.", "en", title="Arla Milk, 1l") == [
        "it says no more than the title"
    ]
    assert not faults("Arla Milk comes from Sweden.", "en", title="Arla Milk, 1l")


def test_a_shops_text_loses_only_what_may_not_be_said() -> None:
    title = "Best Gluten Free Oats FREE shipping Oats oats"
    assert sayable(title, FREE, 150, is_title=True) == "Gluten Free Oats"
    told = "Oats are rich. The best ever. From Sweden."
    assert sayable(told, FREE, 500, is_title=False) == "Oats are rich. From Sweden."
    lists = Unsayable(("全网第一",))
    assert sayable("白色纯棉，全网第一。圆领。", lists, 99, is_title=False) == "白色纯棉。圆领。"
    assert sayable("全网第一。", lists, 99, is_title=False) == ""
    assert sayable("Alpha beta gamma", FREE, 12, is_title=True) == "Alpha beta"


def test_what_the_shop_left_out_is_added_to_its_description() -> None:
    ours = "This is Milk. It comes from Sweden. It is green."
    assert joined("Fresh milk", ours, ["Sweden"]) == "Fresh milk. It comes from Sweden."
    assert joined("Fresh milk from Sweden", ours, ["Sweden"]) == "Fresh milk from Sweden"
    assert joined("新鲜牛奶。", "产自瑞典。", ["瑞典"]) == "新鲜牛奶。产自瑞典。"


def stands(ours: str | None, words: str, *, language: Language = "en") -> Field:
    field = Field(value=ours, source="derived" if ours else "none", model="r1")
    return published(default_recipe(), "title", field, words, {}, language, "")


def test_the_tables_own_title_stands_where_ours_is_poorer() -> None:
    found = stands("Green soyghurt", "title: Alpro Blueberry Soyghurt")
    assert (found.value, found.source, found.model) == ("Alpro Blueberry Soyghurt", "text", None)
    assert "leaves out alpro" in (found.note or "")
    assert found.evidence[0].text == "Alpro Blueberry Soyghurt"


def test_what_was_written_stands_where_it_says_more_in_the_shops_capitals() -> None:
    found = stands("alpro soyghurt, 500g", "title: Alpro Soyghurt")
    assert (found.value, found.source, found.model) == ("Alpro Soyghurt, 500g", "derived", "r1")


def test_where_neither_will_do_the_part_abstains_and_says_why() -> None:
    found = stands("This is an.", "title: 红苹果")
    assert not found.answered
    assert "breaks off" in (found.note or "")
    nothing = stands(None, "a text without columns")
    assert (nothing.answered, nothing.note) == (False, "nothing was written")


def test_a_description_says_more_than_the_tables_title_too() -> None:
    ours = Field(value="这是 Starbucks Sumatra。", source="derived", model="r1")
    words = "title: Starbucks Sumatra"
    found = published(default_recipe(), "description", ours, words, {}, "zh", "")
    assert not found.answered and "no more than the title" in (found.note or "")
