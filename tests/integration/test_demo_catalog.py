"""The demo's catalog, drawn and read back: its planted photos fail or pass as the table says."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from orchestra.core.errors import ImageError
from orchestra.images.intake import normalise
from orchestra.images.store import pixel_hash

SCRIPT = Path(__file__).parents[2] / "examples" / "demo" / "make_catalog.py"


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_catalog", SCRIPT)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def catalog(demo: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo.write_catalog(tmp_path_factory.mktemp("demo")).parent


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_planted_rows_stand_where_the_table_says(demo: ModuleType, catalog: Path) -> None:
    rows = table(catalog / "products.csv")
    assert len(rows) == 40
    assert all(rows[at - 1]["id"] == planted.row_id for at, planted in demo.PLANTED.items())
    twice = [row["id"] for row in rows if row["id"] == "1008"]
    assert len(twice) == 2
    assert len({row["id"] for row in rows}) == 39


def test_every_photo_reads_or_fails_with_the_planted_error(demo: ModuleType, catalog: Path) -> None:
    failed = {}
    for at, row in enumerate(table(catalog / "products.csv"), 1):
        try:
            if row["image"]:
                normalise(row["image"], base=catalog)
        except ImageError as error:
            failed[at] = error.kind
    planted = {at: want.error_type for at, want in demo.PLANTED.items()}
    assert failed == {at: kind for at, kind in planted.items() if (kind or "").startswith("Image")}


def test_special_photos_are_what_they_are_called(demo: ModuleType, catalog: Path) -> None:
    rows = table(catalog / "products.csv")
    photos = {
        want.what: catalog / rows[at - 1]["image"]
        for at, want in demo.PLANTED.items()
        if want.status == "complete" and rows[at - 1]["image"]
    }
    with Image.open(photos["EXIF-rotated JPEG"]) as turned:
        assert turned.getexif()[0x0112] == 6
    with Image.open(photos["CMYK JPEG"]) as printed:
        assert printed.mode == "CMYK"
    with Image.open(photos["transparent PNG"]) as cut:
        assert cut.convert("RGBA").getpixel((0, 0))[3] == 0  # type: ignore[index]
    with Image.open(photos["animated GIF"]) as moving:
        assert getattr(moving, "n_frames", 1) == 3


def test_repeated_photo_is_another_file_with_the_same_pixels(
    demo: ModuleType, catalog: Path
) -> None:
    rows = table(catalog / "products.csv")
    repeat = next(at for at, want in demo.PLANTED.items() if want.reused)
    first, second = (catalog / rows[at - 1]["image"] for at in (6, repeat))
    assert first.read_bytes() != second.read_bytes()
    assert pixel_hash(normalise(first)) == pixel_hash(normalise(second))
    assert rows[repeat - 1]["description"] != rows[6 - 1]["description"]


def test_truth_names_each_id_once_and_leaves_out_what_has_none(
    demo: ModuleType, catalog: Path
) -> None:
    ids = [row["id"] for row in table(catalog / "truth.csv")]
    assert len(ids) == len(set(ids)) == 37
    assert "1002" not in ids, "photo and text of this row are two products"


def test_same_seed_writes_the_same_bytes_and_seeds_of_training_are_refused(
    demo: ModuleType, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        demo.write_catalog(tmp_path / name, rows=3)
    first, second = (sorted((tmp_path / name).rglob("*.*")) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    with pytest.raises(ValueError, match="seed 7 may be trained on"):
        demo.write_catalog(tmp_path, seed=7)


def test_more_rows_repeat_the_plain_products_under_new_ids(
    demo: ModuleType, tmp_path: Path
) -> None:
    rows = table(demo.write_catalog(tmp_path, rows=44))
    assert [row["id"] for row in rows[40:]] == ["1041", "1042", "1043", "1044"]
    assert rows[40]["name"] == rows[0]["name"]
    assert (tmp_path / rows[40]["image"]).read_bytes() != (tmp_path / rows[0]["image"]).read_bytes()
