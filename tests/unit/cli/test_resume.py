"""`orchestra run` says what a run asks, and `orchestra resume` goes on with the answer."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.asking_graphs import QUESTION
from tests.unit.cli.scripted_worker import fleet_file
from tests.unit.cli.test_cli import call, called_json

GRAPH = "tests.asking_graphs:asking"


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    return fleet_file(tmp_path / "scripted.yaml")


def test_a_run_that_asks_is_answered_by_another_process(tmp_path: Path, fleet: Path) -> None:
    book = tmp_path / "my book.sqlite"
    place = ("--fleet", fleet, "--book", book)
    run = call("run", "It is red.", "--graph", GRAPH, "--thread", "shirt-7", *place)
    assert (run.exit_code, run.stdout.strip()) == (0, QUESTION)
    told = f"orchestra resume shirt-7 ANSWER --book '{book}' --fleet {fleet}"
    assert told in run.stderr  # with another fleet other models would go on with it
    listed = call("resume", *place)
    assert listed.stdout.splitlines() == [f"shirt-7  [waiting]  {GRAPH}", f"  {QUESTION}"]
    silent = call("resume", "shirt-7", *place)
    assert silent.exit_code == 2 and f"asks: {QUESTION} Give the answer" in silent.stderr
    done = called_json("resume", "shirt-7", '{"sure": true}', *place)
    assert (done["status"], done["state"]) == ("complete", {"said": [{"sure": True}]})
    assert call("resume", *place).stdout.strip() == "Nothing waits in this book."
    late = call("resume", "shirt-7", "yes", *place)
    assert late.exit_code == 2 and "UnknownThread" in late.stderr


def test_without_a_book_nothing_waits_and_that_is_said(tmp_path: Path, fleet: Path) -> None:
    run = call("run", "It is red.", "--graph", GRAPH, "--fleet", fleet)
    assert "nothing keeps it: run it again with --book FILE" in run.stderr
    bare = call("resume", "t", "yes")
    assert bare.exit_code == 2 and "no --book is given" in bare.stderr
    none = call("resume", "t", "yes", "--book", tmp_path / "none.sqlite")
    assert none.exit_code == 2 and "There is no book" in none.stderr
    assert not (tmp_path / "none.sqlite").exists()


def parked(tmp_path: Path, fleet: Path) -> Path:
    """The folder of a batch of which two rows of three wait."""
    table, out = tmp_path / "products.csv", tmp_path / "out"
    table.write_text("id,name\nA1,red shirt\nA2,plain apple\nA3,red hat\n", encoding="utf-8")
    place = ("--out", out, "--graph", "tests.parked_graphs:asking", "--fleet", fleet)
    ran = call("batch", table, *place, "--image-column", "")
    assert ran.exit_code == 0, ran.output
    assert f"2 wait for an answer: orchestra resume {out}" in ran.stdout
    return out


def test_rows_of_a_batch_are_listed_and_answered_one_by_one(tmp_path: Path, fleet: Path) -> None:
    out = parked(tmp_path, fleet)
    listed = call("resume", out)
    assert [line.split("  ")[0] for line in listed.stdout.splitlines()[:3]] == ["id", "A1", "A3"]
    assert '{"is it": "red?"}' in listed.stdout
    shown = call("show", out, "A1")
    assert "waiting" in shown.stdout and 'asks {"is it": "red?"}' in shown.stdout
    assert [row["id"] for row in called_json("resume", out)] == ["A1", "A3"]
    wrong = call("resume", out, "A2", "yes")
    assert wrong.exit_code == 2 and "These do: 'A1', 'A3'" in wrong.stderr
    silent = call("resume", out, "A1")
    assert silent.exit_code == 2 and "Row 'A1' needs an answer" in silent.stderr
    idle = call("resume", out, "--cost-usd", "2")
    assert idle.exit_code == 2 and "no answer is given" in idle.stderr
    done = called_json("resume", out, "A1", '{"sure": true}')
    assert (done["waiting"], done["stopped"]) == (1, "")
    kept = called_json("show", out, "A1")["result"]
    assert kept["state"] == {"said": [{"sure": True}]}


def test_rows_are_answered_by_the_sheet_or_all_alike(tmp_path: Path, fleet: Path) -> None:
    out = parked(tmp_path, fleet)
    with (out / "waiting.csv").open(encoding="utf-8-sig", newline="") as file:
        sheet = list(csv.DictReader(file))
    filled = tmp_path / "answers.jsonl"
    filled.write_text(json.dumps({**sheet[0], "answer": "yes"}) + "\n", encoding="utf-8")
    both = call("resume", out, "--answers", filled, "--all", "yes")
    assert both.exit_code == 2 and "given in two ways" in both.stderr
    assert called_json("resume", out, "--answers", filled)["waiting"] == 1
    done = call("resume", out, "--all", "yes")
    assert done.exit_code == 0 and done.stdout.startswith("3 rows: ")
    assert "wait" not in done.stdout
    assert call("resume", out).stdout == "No row of this batch waits.\n"
    none = call("resume", tmp_path, "--all", "yes")
    assert none.exit_code == 2 and "--all is for rows of a batch" in none.stderr
