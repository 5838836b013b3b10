"""Values of which the model says where it read them, and choices that a whole text was given."""

from __future__ import annotations

from typing import Any

import pytest

from orchestra.cache.replies import from_json, to_json
from orchestra.core.ask import ask
from orchestra.core.call import Reply
from orchestra.core.job import Field
from orchestra.graph.translation import read_fields

TEXT = "Acme tea, 1.5 kg, red, tin or red"
SCHEMA = {
    "type": "object",
    "properties": {
        "brand": {"type": "string"},
        "weight_g": {"type": "number"},
        "colour": {"x-choice": {"rouge": ["red"]}},
        "tone": {"enum": ["warm", "cold"]},
        "parts": {"type": "array", "items": {"type": "string"}},
    },
}
READ = ask("text", "Read.", schema=SCHEMA)


def read(value: dict[str, Any], **said: Any) -> dict[str, Field]:
    reply = from_json(to_json(Reply(text="raw", value=value, **said)))
    return read_fields(READ, reply, model="reader", text=TEXT, images=())


def test_a_value_in_another_form_stands_where_the_model_read_it() -> None:
    weight = read({"weight_g": 1500.0}, read_off={"weight_g": (10, 16)})["weight_g"]
    assert (weight.value, weight.source) == (1500.0, "text")
    assert (weight.evidence[0].text, weight.evidence[0].start) == ("1.5 kg", 10)


def test_without_a_place_such_a_value_is_none() -> None:
    assert read({"weight_g": 1500.0})["weight_g"].value is None


def test_the_place_that_the_model_says_comes_before_the_first_one_with_the_words() -> None:
    colour = read({"colour": "red"}, read_off={"colour": (30, 33)})["colour"]
    assert (colour.value, colour.evidence[0].start) == ("rouge", 30)


def test_a_place_has_no_loose_ends() -> None:
    brand = read({"brand": "Acme tea, "}, read_off={"brand": (0, 10)})["brand"]
    assert (brand.value, brand.evidence[0].end) == ("Acme tea", 8)


@pytest.mark.parametrize("place", [(0, 99), (5, 5), (9, 2), (-3, 4)])
def test_a_place_outside_the_text_is_not_believed(place: tuple[int, int]) -> None:
    assert read({"weight_g": 1500.0}, read_off={"weight_g": place})["weight_g"].value is None


def test_items_of_a_list_have_places_of_their_own() -> None:
    parts = read({"parts": ["tin", "red"]}, read_off={"parts[0]": (23, 26), "parts[1]": (30, 33)})
    assert parts["parts"].value == ["tin", "red"]
    assert [proof.start for proof in parts["parts"].evidence] == [23, 30]


def test_a_choice_that_the_whole_text_was_given_need_not_stand_in_it() -> None:
    tone = read({"tone": "warm"}, judged=("tone",))["tone"]
    assert (tone.value, tone.source, tone.evidence[0].text) == ("warm", "text", None)
    assert read({"tone": "warm"})["tone"].value is None


def test_a_label_that_is_no_choice_is_none() -> None:
    assert read({"tone": "hot"}, judged=("tone",))["tone"].value is None
