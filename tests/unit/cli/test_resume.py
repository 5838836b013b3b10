"""`orchestra run` says what a run asks, and `orchestra resume` goes on with the answer."""

from __future__ import annotations

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
    assert f"orchestra resume shirt-7 ANSWER --book '{book}'" in run.stderr
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
