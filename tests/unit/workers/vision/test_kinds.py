from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from orchestra.core.call import Call, Reply
from orchestra.core.errors import CheckpointInvalid
from workers.decoding.model import Prompt
from workers.decoding.standing import Standing
from workers.vision.kinds import FILE, KindHead, Mixing, ShownKind, closer
from workers.vision.likeness import alike, directions
from workers.vision.photo_look import GUESS, PhotoLook, PhotoOpinion

KINDS = [
    ShownKind("Gala", "Apple", "Fruit"),
    ShownKind("Banana", "Banana", "Fruit"),
    ShownKind("dress", "dress", "Clothing"),
]
MIXING = Mixing(decoder=0.5, scale=1.0, sure=0.8)
SCHEMA = {"type": "object", "properties": {"category": {"enum": ["Apple", "Banana", "dress"]}}}
CALL = Call("What is it?", images=(Image.new("RGB", (40, 60), "red"),), schema=SCHEMA)


def head() -> KindHead:
    return KindHead(KINDS, np.eye(3, dtype=np.float32) * 4, np.zeros(3, np.float32), MIXING)


def seen(kind: int, strength: float = 1.0) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[kind] * strength


def opinion(call: Call, *, whole: np.ndarray, near: np.ndarray, world: int = 0) -> PhotoOpinion:
    prompt = Prompt([], standings=[Standing(0.9, None, world)], seen=[whole])
    found = PhotoLook(head(), lambda photo: near).opinion(call, call, prompt)
    assert found is not None
    return found


def reply(value: str | None, sure: float) -> Reply:
    return Reply("", {"category": value}, {"category": sure})


def test_a_head_is_read_as_it_was_written(tmp_path: Path) -> None:
    head().save(tmp_path)
    read = KindHead.load(tmp_path)
    assert read is not None
    assert read.kinds == tuple(KINDS) and read.mixing == MIXING
    assert np.allclose(read.shares(seen(1)[None]), head().shares(seen(1)[None]), atol=1e-3)
    assert KindHead.load(tmp_path / "nowhere") is None


def test_a_damaged_head_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(CheckpointInvalid, match=r"kinds\.safetensors"):
        KindHead.load(tmp_path)


def test_two_views_outvote_an_unsure_decoder() -> None:
    joined = opinion(CALL, whole=seen(1), near=seen(1)).joined(reply("Apple", 0.5))
    assert joined.value == {"category": "Banana"}
    assert joined.confidence["category"] > 0.8
    assert joined.text == '{"category":"Banana"}'


def test_an_answer_that_hardly_leads_is_told_as_a_guess() -> None:
    found = opinion(CALL, whole=seen(0, 0.2), near=seen(2, 0.2))
    told = found.told(found.joined(reply("Apple", 0.4)))
    assert told.notes == {"category": GUESS}


def test_a_sure_answer_has_no_note() -> None:
    found = opinion(CALL, whole=seen(0), near=seen(0))
    assert found.told(found.joined(reply("Apple", 0.9))).notes == {}


def test_a_kind_that_is_no_choice_is_not_squeezed_into_one() -> None:
    few = Call(
        "?", images=CALL.images, schema={"properties": {"category": {"enum": ["Apple", "Banana"]}}}
    )
    found = opinion(few, whole=seen(2, 2.0), near=seen(2, 2.0))
    told = found.told(found.joined(reply("Apple", 0.9)))
    assert told.value == {"category": None}
    assert told.abstained == {"category": "the model sees 'dress', which is none of the choices"}


def test_drawings_texts_and_several_photos_are_left_to_the_model() -> None:
    look = PhotoLook(head(), lambda photo: seen(0))
    drawn = Prompt([], standings=[Standing(0.9, None, 1)], seen=[seen(0)])
    known = Prompt([], standings=[Standing(0.9, None)], seen=[seen(0)])
    assert look.opinion(CALL, CALL, drawn) is None
    told = Call("?", text="a red apple", images=CALL.images, schema=SCHEMA)
    two = Call("?", images=CALL.images * 2, schema=SCHEMA)
    free = Call("?", images=CALL.images)
    assert all(look.opinion(call, call, known) is None for call in (told, two, free))


def test_the_closer_view_is_the_middle_of_a_photo() -> None:
    assert closer(Image.new("RGB", (120, 160))).size == (120, 120)
    assert closer(Image.new("RGB", (160, 160))).size == (120, 120)
    assert closer(Image.new("RGB", (1, 1))).size == (1, 1)


def test_photos_that_are_nearly_the_same_are_paired() -> None:
    rows = np.array([[1, 0], [0, 1], [2, 0.1], [0, 0]], dtype=np.float32)
    vectors = directions(rows)
    assert [(one, other) for one, other, _ in alike(vectors)] == [(0, 2)]
    assert alike(vectors, least=1.01) == []
