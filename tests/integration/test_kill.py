"""A batch that is killed again and again ends with each row once, and the book adds up."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.kills.resume import IN_FLIGHT, run_clean, run_killed, toll, write_table
from tests.stub_worker import write_fleet

ROWS = 60
KILLS = 3
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(280)
def test_killed_batches_finish_each_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    fleet = str(write_fleet(tmp_path))
    table = tmp_path / "products.csv"
    write_table(table, ROWS)
    struck = run_killed(table, tmp_path / "killed", fleet, ROWS, KILLS, seed=1)
    run_clean(table, tmp_path / "clean", fleet)
    clean, killed = toll(tmp_path / "clean"), toll(tmp_path / "killed")
    assert killed.rows == clean.rows == ROWS
    assert struck >= 1
    assert killed.repeated_calls <= struck * IN_FLIGHT
    assert killed.presumed <= struck * IN_FLIGHT
    # What was on its way is counted at its worst case: never under the clean run, and over it
    # by no more than what is marked presumed.
    assert clean.cost_micro <= killed.cost_micro <= clean.cost_micro + killed.presumed_micro
