"""The main job as a user runs it: the drawn catalog, the bundled models, the real commands."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pyarrow.parquet as parquet
import pytest

ROOT = Path(__file__).parents[2]
ORCHESTRA = str(Path(sys.executable).parent / "orchestra")


def command(*arguments: str | Path, code: int = 0) -> str:
    """Run `orchestra`; its stdout. A traceback never reaches a user."""
    done = subprocess.run(
        [ORCHESTRA, *map(str, arguments)], capture_output=True, text=True, timeout=280, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, done.stderr
    return done.stdout


def catalog_maker() -> ModuleType:
    """The example script, by path: examples are not a package."""
    path = ROOT / "examples" / "demo" / "make_catalog.py"
    spec = importlib.util.spec_from_file_location("make_catalog", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_catalog"] = module
    spec.loader.exec_module(module)
    return module


MAKER = catalog_maker()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The enriched demo catalog."""
    folder = tmp_path_factory.mktemp("demo")
    table = MAKER.write_catalog(folder / "catalog", 40, 1_000_000)
    command("batch", table, "--out", folder / "out", "--language", "auto")
    return folder


def products(out: Path) -> list[dict[str, str]]:
    with (out / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def errors(out: Path) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for line in (out / "errors.jsonl").read_text(encoding="utf-8").splitlines():
        error = json.loads(line)
        found.setdefault(error["row"], []).append(error["type"])
    return found


@pytest.mark.parametrize("ordinal", sorted(MAKER.PLANTED))
def test_a_planted_row_ends_as_promised(demo: Path, ordinal: int) -> None:
    planted = MAKER.PLANTED[ordinal]
    row = products(demo / "out")[ordinal - 1]
    assert row["status"] == planted.status
    wanted = [planted.error_type] if planted.error_type else []
    assert errors(demo / "out").get(ordinal, []) == wanted


def test_text_fields_survive_a_photo_that_cannot_be_used(demo: Path) -> None:
    for ordinal, planted in MAKER.PLANTED.items():
        if planted.status == "partial":
            row = products(demo / "out")[ordinal - 1]
            assert row["category_source"] == "text"
            assert row["title"]


def test_nothing_is_written_that_the_inputs_do_not_say(demo: Path) -> None:
    text = (demo / "out" / "products.csv").read_text(encoding="utf-8-sig")
    rows = products(demo / "out")
    assert "Ignore your instructions" in text  # it is in the input column, and only there
    for row in rows:
        for part in ("title", "description", "bullets"):
            assert "FREE" not in row[part]
            assert "nstructions" not in row[part]


def test_every_row_is_in_both_tables_and_the_report(demo: Path) -> None:
    rows = products(demo / "out")
    table = parquet.read_table(demo / "out" / "products.parquet").to_pylist()
    assert [r["id"] for r in rows] == [r["id"] for r in table]
    assert len(rows) == 40
    report = (demo / "out" / "report.html").read_text(encoding="utf-8")
    assert all(row["id"] in report for row in rows)


def test_most_categories_are_right(demo: Path) -> None:
    scored = json.loads(
        command(
            "eval", demo / "out", "--truth", demo / "catalog" / "truth.csv",
            "--field", "category", "--json",
        )
    )  # fmt: skip
    assert scored["rows"] >= 30
    assert scored["accuracy_interval"][0] > scored["baseline_interval"][1]


def test_show_prints_prompt_reply_evidence_and_cost_and_a_rerun_agrees(demo: Path) -> None:
    again = json.loads(command("show", demo / "out", "1", "--rerun", "--json"))
    calls = again["result"]["calls"]
    assert all(call["instruction"] and call["raw"] for call in calls)
    assert any(field["evidence"] for field in again["result"]["fields"].values())
    first = {name: field["value"] for name, field in again["result"]["fields"].items()}
    assert first == {name: field["value"] for name, field in again["rerun"]["fields"].items()}


def test_a_second_run_changes_nothing_and_costs_nothing(demo: Path) -> None:
    before = json.loads((demo / "out" / "summary.json").read_text(encoding="utf-8"))
    after = json.loads(
        command(
            "batch", demo / "catalog" / "products.csv", "--out", demo / "out",
            "--language", "auto", "--json",
        )
    )  # fmt: skip
    assert (after["rows"], after["cost_usd"]) == (before["rows"], before["cost_usd"])


def test_a_question_about_a_photo_is_answered(demo: Path) -> None:
    photo = next((demo / "catalog" / "images").glob("*.jpg"))
    result = json.loads(command("run", "What colour is it?", "--image", photo, "--json"))
    assert result["status"] in ("complete", "review")
    assert result["fields"]["answer"]["source"] in ("photo", "text", "both", "none")
    assert result["plan"]["route"] == "text+vision"
