"""Patterns of facts: whatever fits them is held by the facts, and facts are said in order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphs.compose import Sentences, description_pattern, title_pattern
from graphs.listing import default_recipe
from graphs.writing import check_field, shape_of, with_left_out
from orchestra.batch.recipe import Language
from orchestra.core.job import Field
from orchestra.core.text import find_span

ENGLISH = Sentences(
    subject={"brand": "Arla", "name": "O'Boy (1.5 l)"},
    predicate={"colour": "red", "category": "drink", "origin": "Italy"},
    wording={"origin": ["from {}"]},
    openers={"subject": ["Meet"], "category": ["This is a"], "origin": ["It comes"]},
    links={"category": ["is a"], "origin": ["comes"]},
    quotes=["It is (really) nice."],
)
FACTS = {
    "brand": "Arla Ko",
    "name": "Red Milk (1.5 l)",
    "colour": "red",
    "category": "Milk",
    "quantity": "ca 1,5 l",
    "origin": "Italy",
    "summary": "It is (really) nice.",
}
CHINESE = {"name": "高山苹果", "colour": "红色", "category": "苹果", "origin": "意大利"}
CASES: list[tuple[dict[str, str], Language]] = [(FACTS, "en"), (CHINESE, "zh")]
for name, value in FACTS.items():
    CASES.append(({name: value}, "en"))
CASES.append(({"summary": "It is very nice. " * 12}, "en"))


@pytest.mark.parametrize(
    "text",
    [
        "Arla.",
        "Arla is a red drink from Italy.",
        "This is a red drink. It comes from Italy.",
        "Red drink from Italy.",
        "Meet Arla O'Boy (1.5 l). It is (really) nice.",
        "O'Boy (1.5 l) comes from Italy.",
    ],
)
def test_facts_in_their_phrases_and_order_fit(text: str) -> None:
    assert re.fullmatch(description_pattern(ENGLISH, chinese=False), text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Italy.",
        "Arla is Italy.",
        "from Italy red.",
        "Arla is a red red drink.",
        "Arla is a from Italy.",
        "Arla comes red from Italy.",
        "From Italy.",
        "It comes.",
        "Arlas.",
        "This is a.",
        "This is a organic Arla.",
        "O'Boy (15 l).",
        "Arla",
        "It is really nice.",
        "Arla. Arla. Arla. Arla.",
    ],
)
def test_what_the_facts_do_not_say_or_not_so_does_not_fit(text: str) -> None:
    assert not re.fullmatch(description_pattern(ENGLISH, chinese=False), text)


def test_what_the_subject_says_is_not_said_again_of_it() -> None:
    told = replace(ENGLISH, told=frozenset({"category"}))
    pattern = description_pattern(told, chinese=False)
    assert not re.fullmatch(pattern, "O'Boy (1.5 l) is a red drink.")
    assert re.fullmatch(pattern, "O'Boy (1.5 l) comes from Italy.")


def test_a_title_is_some_of_the_values_in_order() -> None:
    pattern = title_pattern(["Arla", "red", "O'Boy (1.5 l)"])
    for title in ("Arla red", "Arla, red O'Boy (1.5 l)", "Red"):
        assert re.fullmatch(pattern, title)
    for title in ("", "red Arla", "Arla Arla", "Italy", "Arla  red"):
        assert not re.fullmatch(pattern, title)


def test_nothing_to_say_makes_no_pattern() -> None:
    empty = Sentences({}, {}, {}, {"category": ["This is a"]}, {"category": ["is"]}, [])
    with pytest.raises(ValueError, match="no fact"):
        description_pattern(empty, chinese=False)
    with pytest.raises(ValueError, match="no value"):
        title_pattern([])


def known(facts: Mapping[str, str]) -> dict[str, tuple[str, Field]]:
    return {name: (value, Field(value=value, source="text")) for name, value in facts.items()}


def standing(value: Any, facts: Mapping[str, str], language: Language) -> Field:
    written = Field(value=value, source="derived")
    return check_field(default_recipe(), written, known(facts), language)


@pytest.mark.parametrize("part", ["title", "description"])
@settings(max_examples=25)
@given(data=st.data())
def test_whatever_fits_a_listings_pattern_stands_before_the_check(
    part: str, data: st.DataObject
) -> None:
    facts, language = data.draw(st.sampled_from(CASES[:2]))
    shape = shape_of(default_recipe(), facts, language)["properties"][part]
    text = data.draw(st.from_regex(shape["pattern"].removesuffix("$") + r"\Z", fullmatch=True))
    kept = standing(text, facts, language)
    assert kept.answered, kept.note
    assert "support" not in (kept.note or "")


@pytest.mark.parametrize(("facts", "language"), CASES)
def test_a_listing_of_any_facts_has_a_shape_within_the_recipes_bounds(
    facts: dict[str, str], language: Language
) -> None:
    parts = shape_of(default_recipe(), facts, language)["properties"]
    bullets = parts["bullets"]
    assert bullets["maxItems"] <= 5
    lines = bullets["items"].get("enum", [])
    assert len(lines) >= bullets["maxItems"]
    for line in lines:
        assert standing([line], facts, language).value == [line]
        assert any(find_span(value, line) for value in facts.values())


def test_a_title_holds_what_it_always_holds() -> None:
    pattern = title_pattern(["Arla", "Gala", "red", "Apple", "1 kg"], ["Gala", "Apple"])
    for title in ("Gala Apple", "Arla, Gala, red, Apple, 1 kg", "Arla Gala Apple"):
        assert re.fullmatch(pattern, title), title
    for title in ("Apple", "Gala red", "Arla Gala", "Apple Gala", "red Apple"):
        assert not re.fullmatch(pattern, title), title


def test_the_shipped_titles_name_the_thing_unless_its_name_does() -> None:
    facts = {"name": "Golden Delicious", "colour": "yellow", "category": "Apple"}
    pattern = shape_of(default_recipe(), facts, "en")["properties"]["title"]["pattern"]
    assert re.fullmatch(pattern, "Golden Delicious Apple")
    assert not re.fullmatch(pattern, "Golden Delicious")
    named = {**facts, "name": "Royal Apple"}
    pattern = shape_of(default_recipe(), named, "en")["properties"]["title"]["pattern"]
    assert re.fullmatch(pattern, "Royal Apple")


def test_what_does_not_fit_a_title_is_not_demanded_of_it() -> None:
    recipe = default_recipe()
    write = recipe.write
    assert write is not None
    short = write.model_copy(update={"title": write.title.model_copy(update={"max_chars": 18})})
    facts = {"name": "Golden Delicious", "category": "Apple"}
    shape = shape_of(recipe.model_copy(update={"write": short}), facts, "en")
    assert re.fullmatch(shape["properties"]["title"]["pattern"], "Golden Delicious")


def read_facts(**values: str) -> dict[str, tuple[str, Field]]:
    return {name: (value, Field(value=value, source="text")) for name, value in values.items()}


def test_bullets_get_the_labelled_facts_that_the_writer_left_out() -> None:
    facts = read_facts(name="Gala", colour="red", origin="Italy", quantity="1 kg")
    written = Field(value=["Origin: Italy"], source="derived")
    full = with_left_out(default_recipe(), written, facts, "en")
    assert full.value == ["Origin: Italy", "Colour: red", "Quantity: 1 kg"]
    free = Field(value=["It comes from Italy", "1 kg of red fruit"], source="derived")
    assert with_left_out(default_recipe(), free, facts, "en").value == free.value
    nothing = with_left_out(default_recipe(), Field(note="nothing was written"), facts, "zh")
    assert nothing.value == ["产地：Italy", "颜色：red", "规格：1 kg"]
    assert nothing.answered


def test_bullets_stay_within_the_recipes_bounds() -> None:
    recipe = default_recipe()
    write = recipe.write
    assert write is not None
    few = write.model_copy(
        update={"bullets": write.bullets.model_copy(update={"max_items": 2, "max_chars": 14})}
    )
    facts = read_facts(brand="A very long brand", colour="red", origin="Italy", quantity="1 kg")
    short = recipe.model_copy(update={"write": few})
    found = with_left_out(short, Field(note="nothing was written"), facts, "en")
    assert found.value == ["Origin: Italy", "Colour: red"]
    assert not with_left_out(short, Field(note="nothing"), read_facts(name="A"), "en").answered
