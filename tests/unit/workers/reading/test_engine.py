"""PP-OCR behind the engine: labels that we draw are read, and what is damaged is told."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from orchestra.core.call import Call, Reply
from orchestra.core.errors import Cancelled, CheckpointInvalid, MissingExtra, UsageError
from workers.reading.engine import ReadingEngine
from workers.reading.reader import TILE_PX, _tiles, within
from workers.reading.weights import load_reader
from workers.synthetic.labels import Label, drawn_label, drawn_text, photographed

CHECKPOINT = Path(__file__).parents[4] / "workers" / "checkpoints" / "ocr"
STRING = {"type": "string"}
NAMES = ("flavour", "quantity", "origin", "voltage")
SCHEMA = {"type": "object", "properties": dict.fromkeys(NAMES, STRING)}


@pytest.fixture(scope="module")
def engine() -> ReadingEngine:
    return ReadingEngine.load(CHECKPOINT, threads=1)


@pytest.fixture(scope="module")
def label() -> Label:
    return photographed(drawn_label(3, side_px=640), 3)


def read(engine: ReadingEngine, photo: Image.Image, schema: Any = None) -> Reply:
    (answer,) = engine.generate([Call("Read.", images=(photo,), schema=schema)])
    assert isinstance(answer, Reply)
    return answer


def test_a_photographed_label_is_read_as_it_is_printed(engine: ReadingEngine, label: Label):
    text = read(engine, label.photo).text
    missing = [word for word in label.words if word not in text]
    assert len(missing) <= len(label.words) // 10
    assert text.split("\n")[0] == label.fields["brand"]


def test_a_chinese_label_is_read(engine: ReadingEngine):
    chinese = photographed(drawn_label(5, side_px=640, language="zh"), 5)
    text = read(engine, chinese.photo).text
    assert sum(line in text for line in chinese.lines) >= len(chinese.lines) - 2


def test_fields_come_with_their_place_and_words(engine: ReadingEngine, label: Label):
    reply = read(engine, label.photo, SCHEMA)
    assert reply.value["flavour"] == label.fields["flavour"]
    assert reply.value["quantity"] == label.fields["quantity"]
    assert reply.words["quantity"] == label.fields["quantity"]
    left, top, right, bottom = reply.regions["quantity"]
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    assert reply.value["origin"] == "Denmark" and "Produced in Denmark" in reply.words["origin"]
    assert reply.value["voltage"] is None and "does not say" in reply.abstained["voltage"]
    assert json.loads(reply.text) == reply.value
    assert reply.usage.images == 1 and reply.usage.cpu_s > 0


def test_fields_that_no_rule_of_packs_knows_are_read_off_the_print(engine: ReadingEngine):
    said = "Kestrel women's ankle boots, brown leather, size 38"
    photo = photographed(drawn_text(said, 1), 1).photo
    shape = {"type": ["string", "null"]}
    asked = {"material": shape, "closure": shape}
    reply = read(engine, photo, {"type": "object", "properties": asked})
    assert reply.value == {"material": "leather", "closure": None}
    assert "leather" in reply.words["material"] and "material" in reply.confidence
    left, top, right, bottom = reply.regions["material"]
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1 and bottom - top < 0.3
    assert "does not say" in reply.abstained["closure"]


def test_a_checkpoint_that_names_no_reader_of_texts_leaves_such_fields_open(tmp_path: Path):
    folder = tmp_path / "ocr"
    shutil.copytree(CHECKPOINT, folder)
    listing = json.loads((folder / "reading.json").read_text())
    listing.pop("reader")
    (folder / "reading.json").write_text(json.dumps(listing))
    photo = drawn_text("Kestrel women's boots, brown leather", 1).photo
    schema = {"type": "object", "properties": {"material": STRING}}
    assert read(ReadingEngine.load(folder, threads=1), photo, schema).value == {"material": None}


def test_a_photo_without_text_is_read_as_nothing_after_a_glance(engine: ReadingEngine):
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::8] = 255
    for photo in (Image.new("RGB", (256, 256), "white"), Image.fromarray(stripes)):
        assert engine.reader.read(photo).passes == 1
        reply = read(engine, photo, SCHEMA)
        assert set(reply.value.values()) == {None}
        assert set(reply.abstained.values()) == {"no text was seen on the photo"}


def test_small_print_of_a_large_photo_is_found_in_tiles(engine: ReadingEngine):
    small = drawn_label(7, side_px=500).photo
    shelf = Image.new("RGB", (2200, 1100), (120, 130, 140))
    shelf.paste(small, (1150, 300))  # over the border between two tiles
    page = engine.reader.read(shelf)
    assert page.passes > 1
    text = "\n".join(line.text for line in page.believed)
    lines = drawn_label(7, side_px=500).lines
    assert sum(line in text for line in lines) >= len(lines) - 1
    assert len(page.believed) <= len(lines) + 1  # none of them twice


def test_a_photo_of_20000_pixels_is_read_small_and_says_so(engine: ReadingEngine):
    page = engine.reader.read(Image.new("RGB", (20_000, 1000), "white"))
    assert page.shrunk == page.size
    assert page.size[0] * page.size[1] <= 8_000_000
    assert page.passes == 0  # a long strip is seen in tiles, and these are plain


def test_tiles_cover_a_photo_and_overlap():
    noise = np.random.default_rng(0).integers(0, 255, (2000, 3100, 3)).astype(np.uint8)
    seen = np.zeros(noise.shape[:2], np.uint8)
    for (left, top), tile in _tiles(noise):
        assert max(tile.shape[:2]) <= TILE_PX
        seen[top : top + tile.shape[0], left : left + tile.shape[1]] += 1
    assert seen.min() == 1 and seen.max() > 1


def test_a_photo_within_the_bound_is_not_touched():
    photo = Image.new("RGB", (100, 100))
    assert within(photo, 10_000) is photo
    assert within(photo, 2_500).size == (50, 50)


def test_a_text_that_stands_on_its_head_or_its_side_is_read(engine: ReadingEngine):
    flat = drawn_label(3, side_px=400)
    for turn in (Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90):
        text = read(engine, flat.photo.transpose(turn)).text
        assert flat.fields["name"] in text


def test_calls_have_their_own_errors(engine: ReadingEngine, label: Label):
    photo = Image.new("RGB", (64, 64), "white")
    calls = [
        Call("Read.", images=(photo,)),
        Call("Read."),
        Call("Read.", images=(photo, photo)),
        Call("Read.", images=(photo,)),
    ]
    heard: list[tuple[int, str]] = []
    first, without, two, gone = engine.generate(
        calls, lambda row: row == 3, lambda row, text: heard.append((row, text))
    )
    assert isinstance(first, Reply) and first.text == first.value == ""
    assert isinstance(without, UsageError) and "has 0" in str(without)
    assert isinstance(two, UsageError) and "has 2" in str(two)
    assert isinstance(gone, Cancelled)
    assert heard == [(0, "")]


def test_threads_that_call_at_once_get_the_answers_of_one(engine: ReadingEngine, label: Label):
    expected = read(engine, label.photo).text
    found: list[str] = []

    def ask() -> None:
        found.append(read(engine, label.photo).text)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 3


def test_a_network_that_was_changed_is_refused(tmp_path: Path):
    folder = shutil.copytree(CHECKPOINT, tmp_path / "ocr")
    listing = json.loads((folder / "reading.json").read_text("utf-8"))
    listing["recogniser"]["sha256"] = "0" * 64
    (folder / "reading.json").write_text(json.dumps(listing), "utf-8")
    with pytest.raises(CheckpointInvalid, match=r"recogniser .* sha256 .* damaged .*pip install"):
        load_reader(folder)


def test_a_network_that_is_missing_is_named(tmp_path: Path):
    folder = shutil.copytree(CHECKPOINT, tmp_path / "ocr")
    listing = json.loads((folder / "reading.json").read_text("utf-8"))
    listing["detector"]["file"] = "models/none.onnx"
    (folder / "reading.json").write_text(json.dumps(listing), "utf-8")
    with pytest.raises(CheckpointInvalid, match=r"detector .*none.onnx.* is missing"):
        load_reader(folder)


def test_a_missing_wheel_names_what_to_install(tmp_path: Path):
    folder = shutil.copytree(CHECKPOINT, tmp_path / "ocr")
    text = (folder / "reading.json").read_text("utf-8")
    (folder / "reading.json").write_text(text.replace('"rapidocr"', '"no_such_ocr"'), "utf-8")
    with pytest.raises(MissingExtra, match=r"'no_such_ocr', which is not installed.*pip install"):
        load_reader(folder)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"package": "rapidocr"}'])
def test_a_broken_listing_is_refused(tmp_path: Path, content: str | None):
    folder = shutil.copytree(CHECKPOINT, tmp_path / "ocr")
    (folder / "reading.json").unlink()
    if content is not None:
        (folder / "reading.json").write_text(content, "utf-8")
    with pytest.raises(CheckpointInvalid, match="Restore the folder"):
        load_reader(folder)


def test_loading_imports_neither_torch_nor_the_wheel_and_is_silent():
    code = (
        "import sys, logging\n"
        "from workers.reading.engine import ReadingEngine\n"
        f"ReadingEngine.load({str(CHECKPOINT)!r})\n"
        "bad = {'torch', 'transformers', 'rapidocr', 'requests'} & set(sys.modules)\n"
        "assert not bad, bad\n"
        "assert not logging.getLogger().handlers\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
