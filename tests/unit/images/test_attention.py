"""Maps over a photo: boxes in its own pixels, padding undone, and the picture of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from orchestra.core.job import Evidence
from orchestra.images.attention import WHOLE, AttentionMap, Box, Grid, glow_of

SQUARE: Box = (0.0, 0.0, 1.0, 1.0)


def map_of(
    weights: Grid, size: tuple[int, int] = (80, 80), covers: Box = SQUARE, shown: float = 1.0
) -> AttentionMap:
    photo = Image.new("RGB", (round(size[0] * shown), round(size[1] * shown)), "grey")
    return AttentionMap("gradient", "answer", "red", '"red"', 0.9, weights, (), covers, size, photo)


def peaked(row: int, column: int, side: int = 8) -> Grid:
    return tuple(
        tuple(float((at, across) == (row, column)) for across in range(side)) for at in range(side)
    )


def test_the_region_is_the_cell_that_holds_all_weight() -> None:
    found = map_of(peaked(2, 5))
    left, top, right, bottom = found.box
    assert 48 <= left <= 52 and 58 <= right <= 62
    assert 18 <= top <= 22 and 28 <= bottom <= 32
    assert 50 <= found.peak[0] < 60 and 20 <= found.peak[1] < 30


def test_the_region_leaves_a_weaker_place_that_is_not_joined_out() -> None:
    rows = [[0.0] * 8 for _ in range(8)]
    rows[1][1], rows[6][6] = 0.6, 0.4
    left, top, right, bottom = map_of(tuple(map(tuple, rows))).box
    assert right < 40 and bottom < 40
    assert left >= 0 and top >= 0


def test_a_wide_photo_is_found_again_under_the_padding_above_it() -> None:
    wide: Box = (0.0, -0.5, 1.0, 1.5)  # twice as wide as high
    found = map_of(peaked(2, 0), size=(80, 40), covers=wide)
    assert found.box[1] < 10  # the third row of eight is the first quarter of the photo
    assert found.box[3] <= 15
    assert found.on_padding == 0


def test_weight_beside_the_photo_is_told_and_its_peak_moved_into_the_photo() -> None:
    wide: Box = (0.0, -0.5, 1.0, 1.5)
    found = map_of(peaked(0, 3), size=(80, 40), covers=wide)
    assert found.on_padding == pytest.approx(1.0)
    assert found.region == WHOLE
    assert found.peak[1] == 0


def test_boxes_are_in_pixels_of_the_photo_though_a_smaller_copy_is_shown() -> None:
    found = map_of(peaked(7, 7), size=(800, 800), shown=0.1)
    assert found.box[2:] == (800, 800)
    assert found.overlay().size == (80, 80)


def test_the_overlay_is_bright_where_the_weight_is_and_the_photo_elsewhere() -> None:
    shown = map_of(peaked(2, 5)).overlay(is_boxed=False)
    assert shown.getpixel((5, 70)) == (128, 128, 128)
    assert shown.getpixel((55, 25)) != (128, 128, 128)


def test_a_map_is_saved_as_png_and_told_as_json(tmp_path: Path) -> None:
    found = map_of(peaked(1, 1))
    found.save(tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.size == (80, 80)
    told = json.loads(json.dumps(found.public()))
    assert told["value"] == "red"
    assert sum(map(sum, told["weights"])) == pytest.approx(1.0)


def test_a_map_travels_as_a_few_digits_that_are_9_where_it_is_strongest() -> None:
    found = map_of(peaked(2, 5)).heat
    rows = found.split("/")
    assert len(rows) == 10 and {len(row) for row in rows} == {10}
    assert rows[3][6] == "9"  # the third row and sixth column of eight
    assert rows[9] == "0" * 10
    assert Evidence(kind="image", heat=found).heat == found


def test_the_map_that_travels_lies_over_the_photo_and_not_over_its_padding() -> None:
    wide: Box = (0.0, -0.5, 1.0, 1.5)
    rows = map_of(peaked(2, 0), size=(80, 40), covers=wide).heat.split("/")
    assert "9" in (rows[0][0], rows[1][0])  # the third row of eight is the first quarter
    assert rows[9][0] == "0"


def test_a_map_that_travelled_is_drawn_in_the_overlays_colours() -> None:
    shown = glow_of("09/00")
    assert shown.size == (2, 2) and shown.mode == "RGBA"
    assert shown.getchannel("A").getpixel((0, 0)) == 0
    assert shown.getpixel((1, 0)) == (252, 255, 164, 170)
