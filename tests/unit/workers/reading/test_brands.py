"""Brands by print and by looks: print stands where it is clear, looks alone are told as a guess."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from orchestra.core.call import Call, Reply
from orchestra.core.errors import CheckpointInvalid
from tests.unit.workers.reading.test_fields import CHECKPOINT, READER, STRING, page
from workers.reading.brands import GUESS, LEAST, MOST, Looks, hinting
from workers.reading.engine import ReadingEngine
from workers.reading.looks import BrandEye, PackTower, most_like
from workers.reading.reader import Page
from workers.synthetic.labels import drawn_label
from workers.vision.kinds import ShownKind

OATLY = Looks("Oatly", "Oatly Oat Milk", 0.7)
FAINT = Looks("Oatly", "Oatly Oat Milk", 0.2)


def brand(read: Page, looks: Looks | None = OATLY) -> tuple[Any, float, str | None]:
    found = READER.answer(read, {"type": "object", "properties": {"brand": STRING}}, looks)
    return found.values["brand"], found.confidence.get("brand", 0.0), found.notes.get("brand")


def test_looks_alone_are_a_guess_without_a_place():
    read = page(("HAVRE", 60))
    found = READER.answer(read, {"type": "object", "properties": {"brand": STRING}}, OATLY)
    assert found.values == {"brand": "Oatly"}
    assert 0.5 <= found.confidence["brand"] <= MOST
    assert found.notes["brand"].startswith(GUESS) and "Oatly Oat Milk" in found.notes["brand"]
    assert found.regions == {} and found.words == {}


def test_looks_that_agree_make_print_surer():
    read = page(("OATLI", 60, 0.8))
    (said, alone, _), (agreed, both, note) = brand(read, None), brand(read)
    assert said == agreed == "Oatly"
    assert both > alone and note is None


def test_clear_print_stands_against_looks_and_says_so():
    read = page(("alpro", 60))
    said, sure, note = brand(read)
    assert said == "Alpro" and sure < brand(read, None)[1]
    assert note is not None and "Oatly Oat Milk" in note and not note.startswith(GUESS)


def test_unsure_print_gives_way_to_sure_looks_alone():
    read = page(("oro", 60, 0.8))  # nearly Oreo
    assert brand(read, None)[0] == "Oreo"
    assert brand(read)[0] == "Oatly"
    assert brand(read, FAINT)[0] == "Oreo"


def test_a_part_of_the_name_makes_a_look_surer_and_is_its_evidence():
    said, sure, note = brand(page(("TLY", 60, 0.9)))
    assert said == "Oatly" and sure > MOST and note is None


@pytest.mark.parametrize(
    ("line", "name", "is_hint"),
    [
        ("GOD", "God Morgon", True),
        ("tly", "Oatly", True),
        ("ana", "Tropicana", False),
        ("la", "Arla", False),
        ("rla", "Arla", True),
        ("mellan", "Arla", False),
    ],
)
def test_a_hint_is_a_word_or_most_of_a_name(line: str, name: str, is_hint: bool):
    assert (hinting(page((line, 40)).lines, name) is not None) is is_hint


def test_a_choice_of_brands_is_told_by_looks_where_no_word_of_it_is_read():
    listed = {"enum": ["arla foods", "OATLY", None]}

    def chosen(read: Page, shape: Any = listed) -> Any:
        return READER.answer(read, {"properties": {"brand": shape}}, OATLY).values["brand"]

    assert chosen(page(("HAVRE", 60))) == "OATLY"
    assert chosen(page(("Arla Foods", 60))) == "arla foods"
    assert chosen(page(("HAVRE", 60)), {"enum": ["Valio", "Arla"]}) is None
    sizes = {"properties": {"size": listed}}  # no brand is asked for
    assert READER.answer(page(("HAVRE", 60)), sizes, OATLY).values == {"size": None}


def test_a_faint_look_says_nothing():
    assert brand(page(), FAINT)[0] is None
    assert brand(page(("Fjordal", 60)), FAINT) == brand(page(("Fjordal", 60)), None)
    assert brand(page(("Fjordal", 60)))[0] == "Oatly"


def test_the_brand_is_the_one_whose_kinds_have_most_together():
    kinds = [
        ShownKind("God Morgon Apple Juice", "Juice", "Packages"),
        ShownKind("God Morgon Orange Juice", "Juice", "Packages"),
        ShownKind("Bravo Apple Juice", "Juice", "Packages"),
        ShownKind("Golden Delicious", "Apple", "Fruit"),
    ]
    share = np.array([[0.3, 0.28, 0.4, 0.02]] * 2, np.float32)
    found = most_like(kinds, share, ("God Morgon", "Bravo"))
    assert found is not None
    assert (found.brand, found.kind) == ("God Morgon", "God Morgon Apple Juice")
    assert found.share == pytest.approx(0.58, abs=0.01)
    assert most_like(kinds, share, ("Golden",)) is None  # a fruit has no brand
    fruit = np.array([[0.1, 0.1, 0.1, 0.7]] * 2, np.float32)
    seen = most_like(kinds, fruit, ("God Morgon", "Bravo"))
    assert seen is not None and seen.sure < LEAST


def test_a_pack_is_looked_at_only_where_its_brand_is_asked_for():
    engine = ReadingEngine.load(CHECKPOINT, threads=1)
    assert engine.eye is not None
    label = drawn_label(3, side_px=400)

    def asked(name: str) -> Reply:
        schema = {"type": "object", "properties": {name: STRING}}
        (reply,) = engine.generate([Call("Read.", images=(label.photo,), schema=schema)])
        assert isinstance(reply, Reply)
        return reply

    asked("flavour")
    assert engine.eye._tower is None
    said = asked("brand")
    assert engine.eye._tower is not None
    assert said.value["brand"] == label.fields["brand"] and "brand" not in said.notes


def test_a_checkpoint_that_knows_no_kinds_cannot_look():
    eye = BrandEye(lambda: PackTower.load(CHECKPOINT.parent / "v3", 1), ("Oatly",))
    with pytest.raises(CheckpointInvalid, match="no kinds"):
        eye.look(drawn_label(3, side_px=200).photo)
