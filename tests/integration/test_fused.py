"""The bundled fused model: one call answers from text, image or both, and says what weighed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.parts.unseen_pictures import DRAWERS
from orchestra.core.call import Call, Reply
from orchestra.fleet.source import load_fleet
from workers.engine import TransformersEngine
from workers.fused.model import FusedModel
from workers.synthetic.drawn import draw_product

INSTRUCTION = "Describe the product shown."
SCHEMA = {"type": "object", "properties": {"category": {"enum": ["Banana", "Lemon", "Tomato"]}}}
TEXT = (
    "name: Banana\ndescription: Sweet and ripe bananas from Peru.\ncategory: Banana\ncolour: yellow"
)


@pytest.fixture(scope="module")
def bundled() -> tuple[TransformersEngine, Path]:
    file, home = load_fleet("mini")
    folder = home / (file.card("v3").hosting.checkpoint or "")
    return TransformersEngine.load(folder), folder


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return draw_product("Banana", "yellow", seed=1_000_003)


def ask(engine: TransformersEngine, text: str | None, image: Image.Image | None) -> Reply:
    images = () if image is None else (image,)
    (reply,) = engine.generate([Call(INSTRUCTION, text=text, images=images, schema=SCHEMA)])
    assert isinstance(reply, Reply), reply
    return reply


def looked(engine: TransformersEngine) -> int:
    assert isinstance(engine._model, FusedModel)
    return engine._model.looked


def test_a_text_alone_is_read_and_the_image_weighs_nothing(
    bundled: tuple[TransformersEngine, Path],
) -> None:
    reply = ask(bundled[0], TEXT, None)
    assert reply.value == {"category": "Banana"}
    assert reply.modality_weights == {"text": 1.0, "image": 0.0}


def test_an_image_alone_is_looked_at_and_weighs_something(
    bundled: tuple[TransformersEngine, Path], photo: Image.Image
) -> None:
    before = looked(bundled[0])
    reply = ask(bundled[0], None, photo)
    assert reply.value == {"category": "Banana"}
    assert reply.modality_weights["image"] > 0
    assert looked(bundled[0]) == before + 1


@pytest.mark.parametrize(("text", "looks"), [(TEXT, 0), ("sku: 4711", 1)])
def test_the_tower_runs_only_where_the_text_does_not_tell(
    bundled: tuple[TransformersEngine, Path], photo: Image.Image, text: str, looks: int
) -> None:
    before = looked(bundled[0])
    assert ask(bundled[0], text, photo).value == {"category": "Banana"}
    assert looked(bundled[0]) == before + looks


def test_a_picture_of_no_known_kind_gets_a_reason_alone_and_beside_a_text_no_say(
    bundled: tuple[TransformersEngine, Path],
) -> None:
    page = DRAWERS["page"](random.Random(1))
    alone = ask(bundled[0], None, page)
    assert alone.value == {"category": None}
    assert "outside mini's domain" in alone.abstained["category"]
    beside, read = (ask(bundled[0], "sku: 4711", image) for image in (page, None))
    assert beside.modality_weights["image"] == 0
    assert beside.value == read.value
