"""A row that names a photo outside its table's folder is an error of that row alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from graphs.listing import build
from tests.scripted import scripted_fleet


@pytest.mark.parametrize("is_allowed", [False, True])
async def test_a_row_may_not_name_photos_of_other_folders(tmp_path: Path, is_allowed: bool) -> None:
    shop, pool = tmp_path / "shop", tmp_path / "pool"
    shop.mkdir()
    pool.mkdir()
    Image.effect_noise((40, 30), 60).save(pool / "b.png")
    Image.effect_noise((40, 30), 60).save(shop / "a.png")
    rows = ["id,title,image", "1,Red shirt,a.png", f"2,Red shirt,{pool / 'b.png'}"]
    (shop / "t.csv").write_text("\n".join([*rows, "3,Red shirt,../pool/b.png"]))
    fleet, _ = scripted_fleet()
    async with fleet:
        out = tmp_path / "out"
        root = pool if is_allowed else None
        await fleet.batch(build, shop / "t.csv", out=out, photo_root=root)
    lines = (out / "errors.jsonl").read_text().splitlines()
    if is_allowed:
        assert lines == []
        return
    errors = [json.loads(line) for line in lines]
    assert [(error["id"], error["type"]) for error in errors] == [
        ("2", "ImageForbidden"),
        ("3", "ImageForbidden"),
    ]
    assert "'../pool/b.png' lies outside" in errors[1]["message"]
    assert f"{str(shop)!r}" in errors[1]["message"] and "--photo-root" in errors[1]["message"]
