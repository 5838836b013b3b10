"""Fields off printed lines: by what a schema asks, with the lines as evidence, or left open."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from workers.reading.engine import ReadingEngine, _words
from workers.reading.fields import PackAnswer, PackReader
from workers.reading.lines import PrintedLine
from workers.reading.match import nearness
from workers.reading.reader import Page

CHECKPOINT = Path(ReadingEngine.__module__.replace(".", "/")).parents[1] / "checkpoints" / "ocr"
READER = PackReader(_words(CHECKPOINT))


def page(*lines: tuple[str, float] | tuple[str, float, float]) -> Page:
    """Lines below each other: text, height, and how surely it was read."""
    made, top = [], 0.0
    for text, high, *sure in lines:
        quad = [(0, top), (300, top), (300, top + high), (0, top + high)]
        made.append(PrintedLine(text, sure[0] if sure else 0.99, np.array(quad, np.float32)))
        top += 1.5 * high
    return Page(tuple(made), (400, 400), 1, 1.0)


def answer(read: Page, **properties: Any) -> PackAnswer:
    return READER.answer(read, {"type": "object", "properties": properties})


STRING = {"type": "string"}
PACK = page(("Oatly", 60), ("Oat Drink", 40), ("Vanilla", 30), ("Net weight 1.5 kg", 20),
            ("Fat 3 g per 100 g", 15), ("Ingredients: water, oats", 12))  # fmt: skip


def test_brand_amount_flavour_and_a_labelled_value_are_found():
    found = answer(PACK, brand=STRING, net_weight=STRING, flavour=STRING, ingredients=STRING)
    assert found.values == {
        "brand": "Oatly",
        "net_weight": "1.5 kg",
        "flavour": "Vanilla",
        "ingredients": "water, oats",
    }
    assert found.words["net_weight"] == "Net weight 1.5 kg"
    assert found.regions["brand"] == (0.0, 0.0, 0.75, 0.15)
    assert all(0.5 < sure <= 0.99 for sure in found.confidence.values())


def test_a_list_of_flavours_rests_on_all_their_lines():
    two = page(("Strawberry", 40), ("Vanilla", 40))
    found = answer(two, flavours={"type": "array", "items": STRING})
    assert sorted(found.values["flavours"]) == ["Strawberry", "Vanilla"]
    assert found.words["flavours"] in ("Strawberry / Vanilla", "Vanilla / Strawberry")


def test_a_slogan_is_no_flavour_and_none_stands_behind_one():
    assert answer(page(("THE ORIGINAL", 40), ("HAVRE", 60)), flavour=STRING).values == {
        "flavour": None
    }
    read = page(("ORIGINAL", 40), ("vanilj", 30))
    assert answer(read, flavour=STRING).values == {"flavour": "vanilj"}
    assert answer(page(("ORIGINAL", 40)), flavour=STRING).values == {"flavour": "ORIGINAL"}


def test_what_is_not_printed_stays_open():
    found = answer(PACK, voltage=STRING, country=STRING)
    assert found.values == {"voltage": None, "country": None}
    assert found.confidence == found.regions == found.words == {}


def test_a_page_without_lines_leaves_every_field_open():
    found = answer(page(), brand=STRING, text=STRING, size={"enum": ["S", "L"]})
    assert set(found.values.values()) == {None}


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("weight_g", "number", 1500.0),
        ("weight_kg", "number", 1.5),
        ("weight_g", "integer", 1500),
        ("volume_ml", "number", None),  # a weight is no volume
        ("quantity", "number", 1.5),
    ],
)
def test_a_number_is_given_in_the_unit_that_its_name_says(name: str, kind: str, value: Any):
    assert answer(PACK, **{name: {"type": kind}}).values[name] == value


def test_a_choice_is_found_by_its_words_and_misread_by_a_letter():
    kinds = {"x-choice": {"Oat Milk": ["oat drink", "havredryck"], "Juice": ["juice"]}}
    assert answer(page(("HAVREDRVCK", 30)), kind=kinds).values["kind"] == "Oat Milk"
    listed = {"anyOf": [{"enum": ["vanilla", "mango"]}, {"type": "null"}]}
    assert answer(PACK, variant=listed).values["variant"] == "vanilla"


def test_chinese_labels_are_read():
    read = page(("绿源", 60), ("草莓味酸奶", 40), ("净含量250克", 20), ("产地：中国山东省", 12))
    found = answer(read, 口味=STRING, 净含量=STRING, 产地=STRING, weight_g={"type": "number"})
    assert found.values == {
        "口味": "草莓",
        "净含量": "250克",
        "产地": "中国山东省",
        "weight_g": 250.0,
    }


def test_a_name_in_three_lines_is_a_known_brand():
    assert answer(page(("GOD", 20), ("MOR", 20), ("GON", 20)), brand=STRING).values == {
        "brand": "God Morgon"
    }


def test_the_largest_print_is_an_unsure_brand():
    found = answer(page(("Fjordal", 60), ("Yoghurt", 70), ("500 g", 80)), brand=STRING)
    assert found.values == {"brand": "Fjordal"}
    assert found.confidence["brand"] <= 0.5


def test_common_words_and_their_pieces_are_no_brand():
    read = page(("EKOLOGISK", 60), ("LOGISK", 60), ("MJÖLK", 50), ("1,5%", 40), ("OLK", 70))
    assert answer(read, brand=STRING).values == {"brand": None}


def test_unsure_lines_give_no_amount():
    assert answer(page(("500 g", 40, 0.7)), quantity=STRING).values == {"quantity": None}


def test_all_text_is_text_or_a_list_of_lines():
    read = page(("Oatly", 60), ("smudge", 20, 0.4))
    found = answer(read, text=STRING, lines={"type": "array", "items": STRING})
    assert found.values == {"text": "Oatly", "lines": ["Oatly"]}


def test_the_schema_of_a_pydantic_model_is_read():
    class Pack(BaseModel):
        brand: str | None = None
        netWeightG: float | None = None

    found = READER.answer(PACK, Pack.model_json_schema())
    assert found.values == {"brand": "Oatly", "netWeightG": 1500.0}


@pytest.mark.parametrize(
    ("seen", "known", "is_near"),
    [
        ("arlo", "arla", True),
        ("orla", "arla", False),
        ("trpicana", "tropicana", True),
        ("tropic", "tropicana", True),
        ("trop", "tropicana", False),
        ("ica", "icb", False),
        ("伊力", "伊利", False),
    ],
)
def test_a_known_word_may_miss_letters_but_not_most(seen: str, known: str, is_near: bool):
    assert (nearness(seen, known) > 0.5) is is_near
