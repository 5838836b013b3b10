"""duplicates.csv at the end of a batch: groups by text and photo, and every row still there."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from PIL import Image

from tests.unit.batch.run.test_runner import run


def lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


async def test_a_batch_tells_its_duplicates_and_drops_no_row(tmp_path: Path) -> None:
    for name, colour in (("red", "red"), ("again", "red"), ("green", "green")):
        side = 48 if name == "again" else 64
        Image.new("RGB", (side, side), colour).save(tmp_path / f"{name}.png")
    rows = [
        ("A1", "Red apple from Italy", "red.png"),
        ("A2", "RED APPLE, from Italy", "again.png"),
        ("=B1", "Green apple from Italy", "green.png"),
        ("C1", "Wool scarf", "red.png"),
    ]
    table, out = tmp_path / "products.csv", tmp_path / "out"
    table.write_text("id,name,image\n" + "\n".join(f'{i},"{n}",{p}' for i, n, p in rows), "utf-8")
    summary = await run(table, out)
    found = [(one["kind"], one["id"], one["like"]) for one in lines(out / "duplicates.csv")]
    assert ("duplicate", "A2", "A1") in found
    assert ("variant", "'=B1", "A1") in found
    assert ("photo", "C1", "A1") in found
    assert [row["name"] for row in lines(out / "products.csv")] == [name for _, name, _ in rows]
    told = json.loads((out / "summary.json").read_text("utf-8"))
    assert told["duplicates"]["duplicate"] == {"groups": 1, "rows": 2}
    assert told["files"]["duplicates"] == str(out / "duplicates.csv")
    assert summary.duplicates is not None
    assert "duplicates.csv" in (out / "report.html").read_text("utf-8")


async def test_without_duplicates_there_is_no_file(tmp_path: Path) -> None:
    table, out = tmp_path / "products.csv", tmp_path / "out"
    table.write_text("id,name\n1,Red apple from Italy\n2,Wool scarf\n", encoding="utf-8")
    await run(table, out)
    assert not (out / "duplicates.csv").exists()
