"""The approval example as a batch: its rows wait for a person, here or on a cluster."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from examples import approval
from orchestra.batch.folder import BATCH_ACCOUNT, Folder
from orchestra.core.money import usd
from workers.synthetic.drawn import draw_product

ORCHESTRA = str(Path(sys.executable).parent / "orchestra")
CAP = Decimal("0.002")


def command(name: str, *arguments: str | Path) -> Any:
    given = [ORCHESTRA, name, *map(str, arguments), "--json"]
    ran = subprocess.run(given, capture_output=True, text=True, timeout=400, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def batch(folder: Path, out: Path, *options: str) -> Any:
    """Two products with drawn photos, through the example's graph."""
    table = folder / "products.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text", "photo"])
        for number, (kind, colour) in enumerate((("shirt", "red"), ("dress", "blue"))):
            draw_product(kind, colour, seed=1_000_000 + number).save(folder / f"{number}.png")
            text = approval.TEXT.replace("shirt", kind).replace("red", colour)
            writer.writerow([f"P{number}", text, f"{number}.png"])
    place = ("--out", out, "--graph", f"{approval.__file__}:build", "--cost-usd", str(CAP))
    return command("batch", table, *place, "--image-column", "photo", "--first-come", *options)


def check_waiting(out: Path, summary: Any) -> None:
    assert (summary["rows"], summary["waiting"]) == (2, 2)
    listed = command("resume", out)
    assert [row["id"] for row in listed] == ["P0", "P1"]
    assert set(listed[0]["questions"][0]["value"]) == {"description", "facts", "not told"}
    with (out / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        assert {row["status"] for row in csv.DictReader(file)} == {"waiting"}


def check_approved(out: Path, folder: Path) -> None:
    """The photos are gone, and another process goes on with what was kept of them."""
    for photo in folder.glob("*.png"):
        photo.unlink()
    one = command("resume", out, "P1", "no")
    assert (one["waiting"], one["stopped"]) == (1, "")
    done = command("resume", out, "--all", "approved by Ann")
    assert (done["waiting"], done["pending"], done["failed"], done["stopped"]) == (0, 0, 0, "")
    kept = Folder.read(out)
    results, spent = kept.results(), kept.book.spent(BATCH_ACCOUNT)
    kept.book.close()
    said = {row_id: result.state["decision"] for row_id, result in results.items()}
    assert said == {"P0": "approved by Ann", "P1": "no"}
    assert sum((r.cost_usd for r in results.values()), Decimal(0)) == usd(spent.cost_micro) <= CAP
    assert (spent.open_cost_micro, spent.open_tokens) == (0, 0)


@pytest.mark.timeout(600)
def test_rows_wait_for_a_person_and_end_with_the_answers(tmp_path: Path) -> None:
    out = tmp_path / "out"
    check_waiting(out, batch(tmp_path, out))
    assert batch(tmp_path, out)["waiting"] == 2
    check_approved(out, tmp_path)


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_rows_that_wait_on_a_cluster_are_answered_in_one_process(tmp_path: Path) -> None:
    out = tmp_path / "out"
    check_waiting(out, batch(tmp_path, out, "--on", "ray"))
    check_approved(out, tmp_path)
