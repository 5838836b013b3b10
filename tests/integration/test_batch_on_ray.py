"""`orchestra batch --on ray` as a user types it, beside the same batch in one process."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from examples.demo.make_catalog import write_catalog

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]
ORCHESTRA = str(Path(sys.executable).parent / "orchestra")


def batch(table: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [ORCHESTRA, "batch", str(table), "--out", str(out), "--language", "auto", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)


def rows(out: Path) -> list[dict[str, str]]:
    """The table that came out, confidences to three digits."""
    with (out / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        found = list(csv.DictReader(file))
    for row in found:
        for name in row:
            if name.endswith("_confidence") and row[name]:
                row[name] = f"{float(row[name]):.3f}"
    return found


def test_100_rows_come_out_the_same_on_a_cluster_and_in_one_process(tmp_path: Path) -> None:
    table = write_catalog(tmp_path / "catalog", rows=100)
    here, there = tmp_path / "here", tmp_path / "there"
    assert batch(table, here).returncode == 0
    pilot = batch(table, there, "--on", "ray", "--limit", "30")
    assert pilot.returncode == 0, pilot.stderr
    rest = batch(table, there, "--on", "ray")
    assert rest.returncode == 0, rest.stderr
    assert rows(there) == rows(here)
    kept = ("rows", "complete", "partial", "review", "failed", "contradictions", "plan_mix")
    mine, theirs = (json.loads((out / "summary.json").read_text()) for out in (here, there))
    assert {name: mine[name] for name in kept} == {name: theirs[name] for name in kept}


def test_a_cluster_that_does_not_answer_is_a_clear_error(tmp_path: Path) -> None:
    table = write_catalog(tmp_path / "catalog")
    refused = batch(table, tmp_path / "out", "--on", "127.0.0.1:1")
    assert refused.returncode == 2
    assert "No Ray cluster answers at '127.0.0.1:1'" in refused.stderr
