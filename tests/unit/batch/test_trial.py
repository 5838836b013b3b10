"""Two ways on one gold set: the same rows, without their answers, and a bill for each."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from orchestra.batch.spec import RunSettings
from orchestra.batch.tables.gold import read_truths
from orchestra.batch.trial import ROWS, Trial, Way, only, read_way, write_rows
from orchestra.cli.main import main
from orchestra.core.errors import InvalidFleet, InvalidTable, UsageError
from orchestra.fleet.source import load_fleet

WORKERS = re.compile(r"workers\.(onnx\.|edge\.)?engine:\w+")


def call(*words: str | Path) -> Any:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def gold(tmp_path: Path) -> Path:
    """Ten products with their true colours; one colour is not known."""
    path = tmp_path / "shop" / "gold.csv"
    path.parent.mkdir()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["sku", "description", "colour", "photo"])
        for number in range(10):
            true = "" if number == 9 else "red"
            writer.writerow([f"{number:03}", f"A red apple. Lot {number}.", true, ""])
    return path


def fleet(folder: Path, worker: str) -> Path:
    """The cards of `mini` with a scripted worker."""
    shipped = (load_fleet("mini")[1] / "mini.yaml").read_text(encoding="utf-8")
    path = folder / f"{worker}.yaml"
    path.write_text(WORKERS.sub(f"tests.unit.cli.scripted_worker:{worker}", shipped), "utf-8")
    return path


def trial(gold: Path, out: Path, **options: Any) -> Trial:
    return Trial(gold, read_truths(gold, "sku"), "colour", RunSettings(out=out), **options)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_way_is_read_as_it_is_named() -> None:
    way = read_way("recipe=a.yaml, models=vl+r1", fleet="mini", graph="listing")
    assert way == Way("mini", "listing", Path("a.yaml"), None, ("vl", "r1"))
    assert read_way(way.name, fleet="other", graph="answer") == way
    assert read_way("", fleet="mini", graph="listing") == Way("mini", "listing")


@pytest.mark.parametrize("spec", ["mini", "colour=red", "fleet=", "fleet=a,fleet=b"])
def test_what_names_no_way_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match=repr(spec)):
        read_way(spec, fleet="mini", graph="listing")


def test_rows_have_an_answer_and_do_not_show_it(gold: Path, tmp_path: Path) -> None:
    rows = rows_of(write_rows(trial(gold, tmp_path / "out", id_column="sku"), [None]))
    assert [row["gold_id"] for row in rows] == [f"{number:03}" for number in range(9)]
    assert "colour" not in rows[0]
    assert rows[0]["description"] == "A red apple. Lot 0."


def test_photos_beside_the_table_are_still_found(gold: Path, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), "red").save(gold.parent / "apple.png")
    text = gold.read_text(encoding="utf-8").replace("Lot 0.,red,", "Lot 0.,red,apple.png")
    gold.write_text(text.replace("Lot 1.,red,", "Lot 1.,red,https://x.test/a.png"), "utf-8")
    rows = rows_of(write_rows(trial(gold, tmp_path / "out", id_column="sku"), [None]))
    assert rows[0]["photo"] == str(gold.parent / "apple.png")
    assert rows[1]["photo"] == "https://x.test/a.png"


def test_answers_may_not_be_shown_to_the_models(gold: Path, tmp_path: Path) -> None:
    shown = trial(gold, tmp_path / "out", text_columns=("description", "colour"))
    with pytest.raises(InvalidTable, match="'colour'"):
        write_rows(shown, [None])


def test_a_gold_set_of_other_rows_is_refused(gold: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("sku,description\nX1,A red apple.\n", encoding="utf-8")
    settings = RunSettings(out=tmp_path / "out")
    strange = Trial(other, read_truths(gold, "sku"), "colour", settings, "sku")
    with pytest.raises(InvalidTable, match="--id-column"):
        write_rows(strange, [None])
    assert not (tmp_path / "out" / ROWS).exists()


def test_a_fleet_of_some_models_has_no_other_and_falls_back_on_none() -> None:
    file, _ = load_fleet("mini")
    few = only(file, ["vl", "r1"])
    assert {card.name for card in few.models} == {"vl", "r1"}
    assert all(card.fallback in (None, "vl", "r1") for card in few.models)
    with pytest.raises(InvalidFleet, match="'none'"):
        only(file, ["none"])


def test_a_better_fleet_wins_with_its_bill_beside(gold: Path, tmp_path: Path) -> None:
    a, b = fleet(tmp_path, "SilentWorker"), fleet(tmp_path, "ScriptedWorker")
    asked = ("compare", "--gold", gold, "--field", "colour", "--id-column", "sku")
    ways = ("--a", f"fleet={a}", "--b", f"fleet={b}", "--out", tmp_path / "out")
    told = call(*asked, *ways, "--json")
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert (found["rows"], found["a"]["right"], found["b"]["right"]) == (9, 0, 9)
    assert (found["winner"], found["only_b_right"]) == ("b", 9)
    low, high = found["cost_interval"]
    difference = found["b"]["cost_usd"] - found["a"]["cost_usd"]
    assert low <= found["cost_difference_usd"] <= high
    assert found["cost_difference_usd"] == pytest.approx(difference / 9)
    assert found["seconds_interval"][0] <= found["seconds_difference"]
    again = call(*asked, *ways)  # both batches are there, so nothing is run
    assert "B is better" in again.stdout
    assert "$ a row" in again.stdout


def test_the_same_answers_make_no_winner(gold: Path, tmp_path: Path) -> None:
    shared = fleet(tmp_path, "ScriptedWorker")
    asked = ("compare", "--gold", gold, "--field", "colour", "--id-column", "sku")
    told = call(*asked, "--fleet", shared, "--b", "models=r1+vl", "--out", tmp_path / "out")
    assert told.exit_code == 0, told.output
    assert "no winner: the difference is within noise" in told.stdout


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("a", "b"), "--gold with --a and --b"),
        (("--gold", "g.csv", "--truth", "t.csv"), "Leave out A, B and --truth"),
    ],
)
def test_half_a_request_is_refused(words: tuple[str, ...], part: str) -> None:
    told = call("compare", *words, "--field", "colour")
    assert (told.exit_code, part in told.stderr) == (2, True)


def test_two_ways_that_are_one_are_refused(gold: Path) -> None:
    told = call("compare", "--gold", gold, "--field", "colour", "--id-column", "sku")
    assert (told.exit_code, "Both ways are" in told.stderr) == (2, True)
