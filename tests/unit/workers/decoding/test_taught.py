"""Choices are asked for in the words that a checkpoint was taught, and given back in the user's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from PIL import Image
from pydantic import BaseModel

from orchestra.core.call import Call, Reply
from orchestra.core.errors import CheckpointInvalid
from tests.tiny_models import tiny_lite_vl
from workers.decoding.taught import FILE, Taught
from workers.engine import TransformersEngine
from workers.synthetic.drawn import RESERVED_SEED, draw_product
from workers.synthetic.lexicon import choices
from workers.training.vision.taught import taught_choices

CHECKPOINTS = Path(__file__).parents[4] / "workers" / "checkpoints"
KNOWN = Taught(
    {
        "category": {"Apple": ["苹果"], "Orange": [], "Passion Fruit": ["maracuja"]},
        "colour": {"red": ["红色"], "orange": [], "grey": ["gray"]},
        "category, zh": {"苹果": ["Apple"], "橙子": ["Orange"]},
    }
)
PHOTO = Image.new("RGB", (16, 16))


def asked(shape: Any, key: str = "category", instruction: str = "Look.", **more: Any) -> Call:
    schema = {"type": "object", "properties": {key: shape}, "required": [key], **more}
    return Call(instruction, None, (PHOTO,), schema, 40)


def enum_of(call: Call, key: str = "category") -> list[Any]:
    assert call.schema is not None
    return call.schema["properties"][key]["enum"]


@pytest.mark.parametrize(
    ("mine", "words"),
    [
        (["apple", "orange", "passion-fruit"], ["Apple", "Orange", "Passion Fruit"]),
        (["ＡＰＰＬＥＳ", "oranges"], ["Apple", "Orange"]),
        (["苹果", "Orange"], ["Apple", "Orange"]),
        (["Red", "Orange", "Gray"], ["red", "orange", "grey"]),
        (["maracuja"], ["Passion Fruit"]),
    ],
)
def test_choices_are_asked_for_as_they_were_taught_and_given_back_as_they_were_written(
    mine: list[str], words: list[str]
) -> None:
    reworded = KNOWN.reworded(asked({"enum": [*mine, None]}))
    assert enum_of(reworded.call) == [*words, None]
    for choice, word in zip(mine, words, strict=True):
        reply = reworded.given(Reply("{}", {"category": word}, {"category": 0.9}))
        assert (reply.value, reply.confidence) == ({"category": choice}, {"category": 0.9})
        assert json.loads(reply.text) == {"category": choice}


def test_choices_that_are_known_as_they_stand_leave_the_call_as_it_is() -> None:
    call = asked({"enum": ["Apple", "red"]})
    assert KNOWN.reworded(call).call is call


def test_a_set_that_was_never_taught_abstains_and_names_what_is_known() -> None:
    reworded = KNOWN.reworded(asked({"enum": ["ripe", "unripe"]}, key="state"))
    assert enum_of(reworded.call, "state") == [None]
    reply = reworded.given(Reply("{}", {"state": None}, {"state": 1.0}))
    assert (reply.value, reply.confidence) == ({"state": None}, {})
    assert reply.abstained["state"] == (
        "the model was taught none of the choices 'ripe', 'unripe'; it knows category (Apple, "
        "Orange, Passion Fruit), colour (red, orange, grey)"
    )


def test_of_a_set_that_was_taught_in_part_the_nearest_is_not_taken() -> None:
    reworded = KNOWN.reworded(asked({"enum": ["apple", "durian"]}))
    assert enum_of(reworded.call) == ["Apple", "Orange", "Passion Fruit"]
    other = reworded.given(Reply("{}", {"category": "Orange"}))
    assert other.value == {"category": None}
    assert other.abstained["category"] == "the model sees 'Orange', which is none of the choices"
    assert reworded.given(Reply("{}", {"category": "Apple"})).value == {"category": "apple"}


def test_choices_of_nested_objects_and_lists_are_reworded_too() -> None:
    class Look(BaseModel):
        colour: Literal["Red", "Grey"] | None
        seen: list[Literal["apples", "oranges"]]

    class Facts(BaseModel):
        look: Look

    call = Call("Look.", None, (PHOTO,), Facts.model_json_schema(), 40)
    reworded = KNOWN.reworded(call)
    value = {"look": {"colour": "grey", "seen": ["Apple", "Orange"]}}
    reply = reworded.given(Reply("{}", value))
    assert reply.value == {"look": {"colour": "Grey", "seen": ["apples", "oranges"]}}


def test_chinese_choices_stay_chinese_where_chinese_answers_were_taught() -> None:
    call = asked({"enum": ["苹果", "橙子"]}, key="answer", instruction="这是什么？")
    assert KNOWN.reworded(call).call is call


@pytest.mark.parametrize("text", ["red apples", None])
def test_a_text_brings_its_own_words(text: str | None) -> None:
    schema = {"type": "object", "properties": {"state": {"enum": ["ripe"]}}}
    call = Call("Read.", text, (PHOTO,) * bool(text), schema, 40)
    assert KNOWN.reworded(call).call is call


def test_the_bundled_choices_are_those_of_the_lessons() -> None:
    kept = json.loads((CHECKPOINTS / "vl" / FILE).read_text(encoding="utf-8"))
    assert len(kept["product"]) == 81
    assert kept == taught_choices(kept["product"])
    assert kept == json.loads((CHECKPOINTS / "v3" / FILE).read_text(encoding="utf-8"))


def test_a_broken_file_is_an_invalid_checkpoint(tmp_path: Path) -> None:
    assert Taught.load(tmp_path) is None
    (tmp_path / FILE).write_text('["Apple"]', encoding="utf-8")
    with pytest.raises(CheckpointInvalid, match=FILE):
        Taught.load(tmp_path)


def test_an_engine_answers_in_the_users_words(tmp_path: Path) -> None:
    folder = tiny_lite_vl(tmp_path / "vl")
    (folder / FILE).write_text('{"category": {"Apple": []}}', encoding="utf-8")
    engine = TransformersEngine.load(folder)
    shape = {"anyOf": [{"enum": ["APPLES"]}, {"type": "null"}]}
    replies = engine.generate(
        [asked({"enum": ["APPLES"]}), asked({"enum": ["ripe"]}), asked(shape)]
    )
    heard: list[str] = []
    engine.generate([asked({"enum": ["APPLES"]})], on_text=lambda _, piece: heard.append(piece))
    assert heard == ['{"category":"APPLES"}']
    first, second, third = (reply for reply in replies if isinstance(reply, Reply))
    assert first.value == {"category": "APPLES"}
    assert (second.value, list(second.abstained)) == ({"category": None}, ["category"])
    assert third.value["category"] in ("APPLES", None)


@pytest.mark.parametrize("write", [str, str.lower, str.upper, lambda w: f"{w}s"])
def test_the_bundled_model_names_drawn_fruit_in_any_spelling(write: Any) -> None:
    engine = TransformersEngine.load(CHECKPOINTS / "vl", threads=1)
    kinds = ("Apple", "Banana", "Cucumber", "Lemon")
    listed = [write(kind) for kind in choices("category")]
    looks = {"Apple": "red", "Banana": "yellow", "Cucumber": "green", "Lemon": "yellow"}
    photos = [draw_product(k, looks[k], seed=RESERVED_SEED + 5, size=224) for k in kinds]
    call = asked({"enum": listed}, instruction="Describe the product shown.")
    replies = engine.generate([Call(call.instruction, None, (p,), call.schema, 40) for p in photos])
    found = [reply.value["category"] for reply in replies if isinstance(reply, Reply)]
    assert found == [write(kind) for kind in kinds]
