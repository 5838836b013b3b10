"""A model's reply becomes fields, each with its evidence or without a value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from graphs.listing import build as listing
from graphs.listing import default_recipe
from orchestra.book.book import Book
from orchestra.book.ledger import LocalLedger
from orchestra.core.ask import Ask, ask, prompt_hash
from orchestra.core.call import Call, Reply
from orchestra.core.errors import AnswerInvalid, InvalidGraph
from orchestra.core.job import Field, Job
from orchestra.graph.translation import read_fields
from tests.scripted import first_allowed, scripted_fleet

SCHEMA = {
    "type": "object",
    "properties": {
        "colour": {"x-choice": {"red": ["red", "红色"], "blue": ["blue"]}},
        "brand": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "count": {"type": "integer"},
    },
}
TEXT = "name: Arla Ko\ndescription: 红色 carton of 12 pieces"
READ = ask("text", "Read.", schema=SCHEMA)
LOOK = ask("vision", "Look.", schema=SCHEMA)
WRITE = ask("text", "Write.", schema=SCHEMA, data=lambda state: "facts", derived=True)


def read(
    asked: Ask,
    value: Any,
    text: str | None = TEXT,
    images: tuple[str, ...] = (),
    confidence: Mapping[str, float] | None = None,
) -> dict[str, Field]:
    reply = Reply(text="raw", value=value, confidence=confidence or {})
    return read_fields(asked, reply, model="r1", text=text, images=images)


def test_a_value_that_stands_in_the_text_comes_with_its_place() -> None:
    brand = read(READ, {"brand": "Arla Ko"}, confidence={"brand": 0.7})["brand"]
    assert (brand.value, brand.source, brand.confidence, brand.model) == (
        "Arla Ko",
        "text",
        0.7,
        "r1",
    )
    assert (brand.evidence[0].start, brand.evidence[0].end) == (6, 13)


def test_a_word_of_a_choice_becomes_the_value_it_means_with_the_word_as_evidence() -> None:
    colour = read(READ, {"colour": " 红色 "})["colour"]
    assert colour.value == "red"
    assert colour.evidence[0].text == "红色"


def test_a_span_is_quoted_as_the_text_writes_it() -> None:
    assert read(READ, {"brand": "ARLA ko "})["brand"].value == "Arla Ko"


def test_a_number_keeps_its_type() -> None:
    assert read(READ, {"count": 12})["count"].value == 12
    assert not read(READ, {"count": 2})["count"].answered


@pytest.mark.parametrize("value", ["Dole", "rla", "12 piece"])
def test_what_the_text_does_not_say_is_no_value_and_is_named(value: str) -> None:
    brand = read(READ, {"brand": value})["brand"]
    assert not brand.answered and brand.value is None
    assert repr(value) in (brand.note or "")


@pytest.mark.parametrize("value", [{}, {"brand": None}, {"brand": ""}])
def test_nothing_said_is_an_abstention_with_a_reason(value: dict[str, Any]) -> None:
    brand = read(READ, value)["brand"]
    assert (brand.answered, brand.note) == (False, "the text does not say")


def test_what_a_photo_shows_rests_on_every_photo() -> None:
    colour = read(LOOK, {"colour": "red"}, images=("one", "two"))["colour"]
    assert (colour.value, colour.source) == ("red", "photo")
    assert [(e.image, e.box) for e in colour.evidence] == [
        ("one", (0.0, 0.0, 1.0, 1.0)),
        ("two", (0.0, 0.0, 1.0, 1.0)),
    ]


@pytest.mark.parametrize("value", [None, "", []])
def test_a_photo_that_shows_nothing_abstains(value: Any) -> None:
    assert not read(LOOK, {"colour": value}, images=("one",))["colour"].answered


def test_a_vision_answer_without_a_photo_has_no_evidence_and_so_no_value() -> None:
    assert not read(LOOK, {"colour": "red"})["colour"].answered


def test_written_parts_carry_no_span_and_empty_ones_abstain() -> None:
    fields = read(WRITE, {"brand": "A fine thing", "colour": "", "count": None})
    assert (fields["brand"].source, fields["brand"].evidence) == ("derived", ())
    assert not fields["colour"].answered and not fields["count"].answered


def test_every_field_of_the_schema_is_there_and_no_other() -> None:
    assert list(read(READ, {"brand": "Arla", "extra": "x"})) == ["colour", "brand", "count"]


def test_a_reply_that_is_no_object_is_an_invalid_answer() -> None:
    with pytest.raises(AnswerInvalid, match=r"'r1' answered 'raw'"):
        read(READ, "just words")


def test_a_question_without_a_schema_has_no_fields() -> None:
    assert read(ask("text", "Say."), "words") == {}


def test_the_prompt_hash_changes_with_wording_and_schema_and_not_with_bounds() -> None:
    other = ask("text", "Read it.", schema=SCHEMA)
    bounded = ask("text", "Read.", schema=SCHEMA, max_tokens=5)
    assert prompt_hash(READ) == prompt_hash(bounded)
    assert len({prompt_hash(READ), prompt_hash(other), prompt_hash(ask("text", "Read."))}) == 3


@given(text=st.text(alphabet="Aab1 .红色\n", max_size=40), value=st.text("Aab1 .红色", max_size=8))
def test_every_value_read_from_text_stands_where_its_evidence_says(text: str, value: str) -> None:
    for field in read(READ, {"brand": value, "colour": value}, text=text).values():
        if not field.answered:
            assert field.note and not field.evidence
            continue
        evidence = field.evidence[0]
        assert evidence.start is not None and evidence.end is not None
        assert text[evidence.start : evidence.end] == evidence.text


@pytest.mark.parametrize("asked", [READ, LOOK, WRITE])
def test_a_value_of_unknown_confidence_is_kept_and_flagged(asked: Ask) -> None:
    value = {"brand": "Arla Ko", "colour": None}
    found = read(asked, value, images=("photo",))
    assert (found["brand"].answered, found["brand"].confidence) == (True, None)
    assert "confidence is unknown" in (found["brand"].note or "")
    assert "unknown" not in (found["colour"].note or "")
    sure = read(asked, value, images=("photo",), confidence={"brand": 0.5})
    assert sure["brand"].note is None


async def test_a_listing_by_models_without_log_probabilities_does_not_abstain() -> None:
    def silent(call: Call) -> Reply:
        value = first_allowed(call)
        return Reply(text=json.dumps(value), value=value)

    fleet, _ = scripted_fleet(silent, silent)
    async with fleet:
        result = await fleet.run(listing, Job(text="name: Red apple\norigin: Italy"))
    category = result.fields["category"]
    assert (category.value, category.confidence) == ("Apple", None)
    assert "confidence is unknown" in (category.note or "")


def test_a_value_seen_in_a_photo_carries_the_region_that_decided_it() -> None:
    value = {"colour": "red", "brand": "Arla", "count": None}
    region, heat = {"colour": (0.1, 0.2, 0.5, 0.6)}, {"colour": "09/00"}
    reply = Reply(text="raw", value=value, regions=region, heat=heat)
    fields = read_fields(LOOK, reply, model="vl", text=None, images=("a" * 64,))
    assert fields["colour"].evidence[0].box == (0.1, 0.2, 0.5, 0.6)
    assert fields["colour"].evidence[0].heat == "09/00"
    assert fields["brand"].evidence[0].box == (0.0, 0.0, 1.0, 1.0)
    assert fields["brand"].evidence[0].heat is None


def test_regions_are_asked_for_where_there_are_values_and_a_photo() -> None:
    assert ask("vision", "Look.", schema=SCHEMA, regions=True).regions
    for capability, schema in (("text", SCHEMA), ("vision", None)):
        with pytest.raises(InvalidGraph, match="regions=True"):
            ask(capability, "Look.", schema=schema, regions=True)  # type: ignore[arg-type]


async def test_a_recipe_with_maps_marks_its_photo_values_also_when_a_call_is_reused(
    tmp_path: Path,
) -> None:
    asked: list[bool] = []

    def look(call: Call) -> Reply:
        asked.append(call.regions)
        value = first_allowed(call)
        sure = dict.fromkeys(value, 0.9)
        box = (0.0, 0.0, 0.5, 1.0)
        return Reply(
            json.dumps(value), value, sure, regions={"category": box}, heat={"category": "90"}
        )

    photo = tmp_path / "photo.png"
    Image.new("RGB", (8, 8), "red").save(photo)
    recipe = default_recipe().model_copy(update={"maps": True, "write": None})
    plain, _ = scripted_fleet(vision=look)
    with closing(Book.open(tmp_path / "book.sqlite")) as book:
        fleet = plain.scoped(LocalLedger(book), plain.images)
        job = Job(images=[photo])
        first, second = [await fleet.run(partial(listing, recipe), job) for _ in range(2)]
    assert asked == [True]
    assert second.reused
    for result in (first, second):
        (seen,) = result.fields["category"].evidence
        assert (seen.box, seen.heat) == ((0.0, 0.0, 0.5, 1.0), "90")
