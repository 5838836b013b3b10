"""Objects and lists of an answer: every leaf with its evidence, and one without abstains alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from orchestra.core.ask import Ask, ask
from orchestra.core.call import Reply
from orchestra.core.job import Field
from orchestra.core.schema import narrow
from orchestra.graph.translation import UNKNOWN, read_fields


class Maker(BaseModel):
    name: str
    country: str | None


class Part(BaseModel):
    material: Literal["cotton", "silk"]
    grams: float | None = None


class Facts(BaseModel):
    maker: Maker
    colours: list[str]
    parts: list[Part] | None = None


TEXT = "Shirt by Acme of Italy, red and blue; 200 g Cotton, 12,5 g silks"
READ = ask("text", "Read.", schema=Facts)
LOOK = ask("vision", "Look.", schema=Facts)


def read(
    asked: Ask, value: Mapping[str, Any], confidence: Mapping[str, float] | None = None, **more: Any
) -> dict[str, Field]:
    reply = Reply("raw", value, confidence or {}, **more)
    images = ("key",) if asked.capability == "vision" else ()
    return read_fields(asked, reply, model="m", text=TEXT, images=images)


def test_an_object_comes_with_the_evidence_of_each_leaf_and_the_least_confidence() -> None:
    sure = {"maker": 0.99, "maker.name": 0.9, "maker.country": 0.7}
    maker = read(READ, {"maker": {"name": "acme", "country": "Italy"}}, sure)["maker"]
    assert maker.value == {"name": "Acme", "country": "Italy"}
    assert [(e.leaf, TEXT[e.start : e.end]) for e in maker.evidence] == [
        ("name", "Acme"),
        ("country", "Italy"),
    ]
    assert (maker.source, maker.confidence, maker.note) == ("text", 0.7, None)


def test_a_leaf_without_evidence_abstains_alone_and_the_note_says_why() -> None:
    sure = {"maker": 0.9, "maker.name": 0.9, "maker.country": 0.2}
    maker = read(READ, {"maker": {"name": "Acme", "country": "Spain"}}, sure)["maker"]
    assert maker.value == {"name": "Acme", "country": None}
    assert maker.note == "country: the model said 'Spain', which the text does not"
    assert maker.confidence == 0.9


def test_a_key_that_is_left_out_is_none_and_one_that_was_not_asked_for_is_dropped() -> None:
    maker = read(READ, {"maker": {"name": "Acme", "founded": "1900"}})["maker"]
    assert maker.value == {"name": "Acme", "country": None}
    assert maker.note == f"country: the text does not say; {UNKNOWN}"


def test_an_object_without_any_leaf_abstains_whole() -> None:
    fields = read(READ, {"maker": {"name": None, "country": None}, "colours": ["mauve"]})
    assert (fields["maker"].answered, fields["maker"].note) == (False, "the text does not say")
    assert not fields["colours"].answered
    assert fields["colours"].note == "[0]: the model said 'mauve', which the text does not"


def test_an_item_without_evidence_is_left_out_of_its_list() -> None:
    colours = read(READ, {"colours": ["Red", "mauve", "blue"]})["colours"]
    assert colours.value == ["red", "blue"]
    assert [e.leaf for e in colours.evidence] == ["[0]", "[2]"]
    assert "[1]: the model said 'mauve'" in (colours.note or "")


def test_marks_and_words_that_were_said_before_are_no_items() -> None:
    colours = read(READ, {"colours": [",", "red", " ;", "red", "blue,"]})["colours"]
    assert colours.value == ["red", "blue"]


def test_a_list_of_objects_keeps_numbers_and_choices_in_the_schemas_words() -> None:
    parts = [{"material": "Cotton", "grams": 200.0}, {"material": "silk", "grams": 12.5}]
    field = read(READ, {"parts": parts})["parts"]
    assert field.value == [
        {"material": "cotton", "grams": 200.0},
        {"material": "silk", "grams": 12.5},
    ]
    assert [TEXT[e.start : e.end] for e in field.evidence] == ["Cotton", "200", "silks", "12,5"]
    assert [e.leaf for e in field.evidence][-1] == "[1].grams"


def test_what_a_photo_shows_rests_on_the_photo_once() -> None:
    field = read(LOOK, {"maker": {"name": "Acme", "country": None}})["maker"]
    assert field.value == {"name": "Acme", "country": None}
    assert [(e.kind, e.image, e.leaf) for e in field.evidence] == [("image", "key", None)]
    assert (field.note or "").startswith("country: the photo does not show it")


@pytest.mark.parametrize("value", [{"name": None, "country": ""}, {}, None])
def test_a_photo_that_shows_no_leaf_abstains(value: Any) -> None:
    field = read(LOOK, {"maker": value})["maker"]
    assert (field.answered, field.note) == (False, "the photo does not show it")


def test_a_leaf_that_the_model_refused_has_its_reason() -> None:
    value = {"maker": {"name": "Acme", "country": None}}
    maker = read(READ, value, abstained={"maker.country": "never taught"})["maker"]
    assert (maker.note or "").startswith("country: never taught")


def test_what_is_written_keeps_its_shape_without_evidence() -> None:
    write = ask("text", "Write.", schema=Facts, data=lambda state: "facts", derived=True)
    fields = read(write, {"maker": {"name": "Any", "country": None}, "colours": []})
    assert (fields["maker"].value, fields["maker"].source) == (
        {"name": "Any", "country": None},
        "derived",
    )
    assert not fields["colours"].answered


def test_strings_within_objects_and_lists_are_held_to_the_text() -> None:
    shapes = narrow(READ.schema_json or "", TEXT)["properties"]
    assert shapes["maker"]["properties"]["name"]["x-span"]
    assert shapes["maker"]["properties"]["country"]["anyOf"][0]["x-span"]
    assert shapes["colours"]["items"]["x-span"]
    material = shapes["parts"]["anyOf"][0]["items"]["properties"]["material"]
    assert material["enum"] == ["Cotton", "silks", None]


def test_a_schema_that_refers_to_itself_is_refused_by_name() -> None:
    from orchestra.core.errors import InvalidSchema

    loop = {"$defs": {"A": {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}}}}
    asked = ask("text", "Read.", schema={**loop, "properties": {"a": {"$ref": "#/$defs/A"}}})
    with pytest.raises(InvalidSchema, match="refers to itself"):
        narrow(asked.schema_json or "", TEXT)


def test_a_choice_is_narrowed_to_those_the_text_holds_and_left_open_where_it_holds_none() -> None:
    schema = {"type": "object", "properties": {"kind": {"enum": ["apple", "pear", "t-shirt"]}}}
    asked = json.dumps(schema)
    narrowed = narrow(asked, "Two APPLES and a T shirt")["properties"]["kind"]
    assert narrowed == {"enum": ["APPLES", "T shirt", None]}
    assert narrow(asked, "Nice!")["properties"]["kind"] == schema["properties"]["kind"]


@pytest.mark.parametrize(("said", "value"), [("APPLES", "apple"), ("Red-Onion", "red onion")])
def test_a_choice_of_the_text_is_given_as_the_schema_writes_it(said: str, value: str) -> None:
    schema = {"type": "object", "properties": {"kind": {"enum": ["apple", "red onion"]}}}
    asked = ask("text", "Read.", schema=schema)
    reply = Reply("raw", {"kind": value}, {"kind": 0.9})
    kind = read_fields(asked, reply, model="m", text=f"Fresh {said} here", images=())["kind"]
    assert (kind.value, kind.evidence[0].text) == (value, said)
