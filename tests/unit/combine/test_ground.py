"""Written text is held to its facts, word by word."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.combine.ground import Support, Unsayable, ground_text, unsupported

CONNECTIVES = ("this", "is", "a", "from", "产自", "颜色为", "这是")


def support(*facts: str) -> Support:
    return Support.of(facts, CONNECTIVES)


def test_a_sentence_of_facts_and_connectives_stands_whatever_its_case() -> None:
    kept, dropped = ground_text(
        "This is a Red apple. From ITALY.", support("red", "Apple", "Italy")
    )
    assert (kept, dropped) == ("This is a Red apple. From ITALY.", [])


def test_a_sentence_with_an_unsupported_word_goes_and_its_neighbours_stay() -> None:
    text = "This is a red apple. This is organic. From Italy."
    kept, dropped = ground_text(text, support("red", "apple", "Italy"))
    assert kept == "This is a red apple. From Italy."
    assert len(dropped) == 1 and "organic" in dropped[0]


@pytest.mark.parametrize(
    ("text", "facts", "missing"),
    [
        ("hundred", ["red"], ["hundred"]),
        ("greenhouse", ["green", "house"], ["greenhouse"]),
        ("11l", ["1l"], ["11l"]),
        ("1.5 kg", ["1", "5 kg"], ["1.5"]),
        ("5% cotton", ["5", "cotton"], ["%"]),
        ("$5", ["5"], ["$"]),
        ("sugar-free", ["sugar"], ["free"]),
    ],
)
def test_a_fact_supports_whole_words_and_whole_numbers_only(
    text: str, facts: list[str], missing: list[str]
) -> None:
    assert unsupported(text, support(*facts)) == missing


@pytest.mark.parametrize("fact", ["ca 180g", "1.5 l", "100%", "Arla Ko®", "O'Boy", "T恤", "A & B"])
def test_a_fact_quoted_as_it_is_stands(fact: str) -> None:
    assert unsupported(f"This is {fact}.", support(fact)) == []


def test_chinese_is_covered_by_whole_terms() -> None:
    facts = support("苹果", "意大利", "红色")
    assert unsupported("这是苹果，颜色为红色，产自意大利。", facts) == []
    assert unsupported("这是有机苹果。", facts) == ["有", "机"]
    kept, dropped = ground_text("这是苹果。有机。产自意大利。", facts)
    assert kept == "这是苹果。产自意大利。" and len(dropped) == 1


def test_english_around_a_chinese_name_keeps_its_spaces() -> None:
    kept, _ = ground_text("This is 娃哈哈. From China.", support("娃哈哈", "China"))
    assert kept == "This is 娃哈哈. From China."


def test_a_banned_word_is_dropped_even_where_a_fact_holds_it() -> None:
    kept, dropped = ground_text(
        "This is free. From Italy.", support("free", "Italy"), Unsayable(("free",))
    )
    assert kept == "From Italy."
    assert "banned word 'free'" in dropped[0]


def test_banned_words_hold_for_every_sentence() -> None:
    kept, _ = ground_text("This is a. This is free.", support("free"), Unsayable(("free", "")))
    assert kept == "This is a."


@pytest.mark.parametrize(
    ("text", "word", "held"),
    [
        ("FREE shipping", "free", True),
        ("sugar-free", "free", False),
        ("free-range", "free", False),
        ("freedom", "free", False),
        ("全场free包邮", "free", True),
        ("完全免费的", "免费", True),
        ("it is free.", "free", True),
    ],
)
def test_a_banned_word_counts_where_it_stands_on_its_own(text: str, word: str, held: bool) -> None:
    assert (Unsayable((word,)).first(text) is not None) is held


@pytest.mark.parametrize("text", ["", " ", "...", "—", "。", "!!"])
def test_marks_without_words_are_not_a_text(text: str) -> None:
    assert ground_text(text, support("apple"))[0] == ""


PIECES = st.text(alphabet="ab1 .,'%红色\n", max_size=12)


@given(text=st.text(alphabet="ab1 .,'%红色。!\n", max_size=60), facts=st.lists(PIECES, max_size=4))
def test_what_is_kept_holds_no_word_that_no_fact_holds(text: str, facts: list[str]) -> None:
    kept, _ = ground_text(text, Support.of(facts))
    known = {piece for fact in facts for piece in re.findall(r"[ab1]+|%|[红色]", fact)}
    assert set(re.findall(r"[ab1]+|%|[红色]", kept)) <= known


@given(text=st.text(max_size=80), facts=st.lists(st.text(max_size=8), max_size=3))
def test_kept_sentences_are_parts_of_the_text(text: str, facts: list[str]) -> None:
    kept, _ = ground_text(text, Support.of(facts))
    assert set("".join(kept.split())) <= set(text)
    if not facts:
        assert not kept
    again, more = ground_text(kept, Support.of(facts))
    assert (again, more) == (kept, [])


@pytest.mark.parametrize(
    ("text", "said"),
    [("Gluten free oats", None), ("Free gluten free oats", "free"), ("FREE", "free")],
)
def test_a_banned_word_is_none_in_a_phrase_that_is_allowed(text: str, said: str | None) -> None:
    assert Unsayable(("free",), ("gluten free",)).first(text) == said
