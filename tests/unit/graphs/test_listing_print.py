"""A recipe whose fields name print has the photo read: where text leaves one open, or always."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from graphs.listing import build
from orchestra import Fleet, Job, Recipe
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Reply
from orchestra.core.errors import InvalidRecipe
from orchestra.testing import ScriptedEngine
from tests.scripted import first_allowed

FIELDS: dict[str, Any] = {
    "category": {"type": "choice", "from": ["photo", "text"], "values": {"Milk": {}, "Juice": {}}},
    "brand": {"type": "span", "from": ["text", "print"]},
    "quantity": {"type": "measure", "from": ["text", "print"]},
}


def recipe(tmp_path: Path, **changes: Any) -> Recipe:
    raw = {"name": "packs", "version": 1, "write": None, "fields": FIELDS, **changes}
    path = tmp_path / "packs.yaml"
    path.write_text(yaml.safe_dump(raw), "utf-8")
    return Recipe.load(path)


class Pack:
    """An engine that reads one pack, and keeps the calls it was asked."""

    def __init__(self, **said: str) -> None:
        self.said = said
        self.calls: list[Call] = []

    def generate(self, calls: Any, is_cancelled: Any = None, on_text: Any = None) -> list[Reply]:
        self.calls += calls
        return [self._reply(call) for call in calls]

    def _reply(self, call: Call) -> Reply:
        assert call.schema is not None
        value = {name: self.said.get(name) for name in call.schema["properties"]}
        there = [name for name, said in value.items() if said]
        return Reply(
            "{}",
            value,
            dict.fromkeys(there, 0.9),
            regions=dict.fromkeys(there, (0.1, 0.2, 0.3, 0.4)),
            words={name: f"net {self.said[name]}" for name in there},
        )


def fleet(pack: Pack, **text: Any) -> Fleet:
    """Scripted models: the text model says `text`, `ocr` reads `pack`."""
    reading = ScriptedEngine(lambda call: {name: text.get(name) for name in FIELDS})
    seeing = ScriptedEngine(first_allowed)
    engines: dict[str, Any] = {"ocr": pack, "vl": seeing, "v3": seeing}
    names = ("encoder", "r1", "v2", "vl", "v3", "ocr", "zero")
    engines = dict.fromkeys(names, reading) | engines
    clients: dict[str, Any] = {
        name: InProcessClient(name, lambda engine=engine: engine)
        for name, engine in engines.items()
    }
    return Fleet.open("mini", clients=clients)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    Image.new("RGB", (40, 30), "beige").save(tmp_path / "pack.png")
    return str(tmp_path / "pack.png")


async def test_print_fills_what_the_text_leaves_open_with_its_words_as_evidence(
    tmp_path: Path, photo: str
):
    pack = Pack(brand="Oatly", quantity="1 L")
    async with fleet(pack, brand="Arla") as opened:
        job = Job(text="Arla milk", images=(photo,))
        result = await opened.run(functools.partial(build, recipe(tmp_path)), job)
    (call,) = pack.calls
    assert list((call.schema or {})["properties"]) == ["quantity"]
    assert result.fields["brand"].value == "Arla"
    field = result.fields["quantity"]
    assert (field.value, field.source) == ("1 L", "photo")
    (proof,) = field.evidence
    assert (proof.kind, proof.text, proof.box) == ("image", "net 1 L", (0.1, 0.2, 0.3, 0.4))
    assert "net 1 L" in result._repr_html_()


async def test_a_text_that_says_all_spares_the_reading(tmp_path: Path, photo: str):
    pack = Pack(brand="Oatly")
    async with fleet(pack, brand="Arla", quantity="1 L") as opened:
        job = Job(text="Arla milk, 1 L", images=(photo,))
        result = await opened.run(functools.partial(build, recipe(tmp_path)), job)
    assert pack.calls == []
    assert result.fields["brand"].value == "Arla"


async def test_print_that_is_always_read_contradicts_the_text(tmp_path: Path, photo: str):
    pack = Pack(brand="Oatly", quantity="1 L")
    always = recipe(tmp_path, read_print="always")
    async with fleet(pack, brand="Arla", quantity="1 L") as opened:
        job = Job(text="Arla milk, 1 L", images=(photo,))
        result = await opened.run(functools.partial(build, always), job)
    assert result.status == "review"
    assert result.fields["brand"].contradiction
    assert "'Oatly'" in (result.fields["brand"].note or "")
    assert result.fields["quantity"].source == "both"


async def test_a_photo_alone_is_read(tmp_path: Path, photo: str):
    pack = Pack(brand="Oatly")
    async with fleet(pack) as opened:
        result = await opened.run(functools.partial(build, recipe(tmp_path)), Job(images=(photo,)))
    assert result.fields["brand"].value == "Oatly"


async def test_a_job_without_a_photo_reads_no_print(tmp_path: Path):
    pack = Pack(brand="Oatly")
    async with fleet(pack) as opened:
        result = await opened.run(functools.partial(build, recipe(tmp_path)), Job(text="Milk"))
    assert pack.calls == []
    assert not result.fields["brand"].answered


def test_a_recipe_without_print_has_no_such_node_and_its_old_fingerprint(tmp_path: Path):
    fields = {name: {**rule, "from": ["text"]} for name, rule in FIELDS.items()}
    plain = recipe(tmp_path, fields=fields)
    assert "print" not in build(plain).nodes
    assert plain.print_schema() is None
    assert plain.fingerprint != recipe(tmp_path, fields=fields, read_print="always").fingerprint


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"type": "sentence", "from": ["text", "print"]}, "a sentence is read from text"),
        ({"type": "span", "from": ["text"], "prefer": "image"}, "needs a photo to read from"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(tmp_path: Path, rule: dict[str, Any], message: str):
    with pytest.raises(InvalidRecipe, match=message):
        recipe(tmp_path, fields={"note": rule})
