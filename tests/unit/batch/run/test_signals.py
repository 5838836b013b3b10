"""A batch that is told to end, as a process of its own: it leaves its tables and its report."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orchestra.batch.folder import Folder
from tests.unit.cli.scripted_worker import SlowWorker, fleet_file

ROWS = 400
PATIENCE_S = 120.0


def finished(out: Path) -> int:
    """How many rows are in the book by now."""
    if not (out / "book.sqlite").exists():
        return 0
    folder = Folder.read(out)
    try:
        return sum(folder.book.counts().values())
    finally:
        folder.book.close()


@pytest.mark.parametrize(
    ("number", "why"), [(signal.SIGTERM, "Terminated"), (signal.SIGINT, "Interrupted")]
)
def test_a_batch_that_is_told_to_end_leaves_tables_and_report_and_goes_on(
    tmp_path: Path, number: signal.Signals, why: str
) -> None:
    table, out = tmp_path / "products.csv", tmp_path / "out"
    lines = [f"{n},A red apple from Italy number {n}" for n in range(ROWS)]
    table.write_text("\n".join(["id,name", *lines]) + "\n", encoding="utf-8")
    fleet = fleet_file(tmp_path / "slow.yaml", SlowWorker)
    command = [
        sys.executable, "-m", "orchestra", "batch", str(table), "--fleet", str(fleet),
        "--out", str(out), "--in-flight", "4",
    ]  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[4])}
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So a shell starts what it leaves in the background, and children would inherit it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    with (tmp_path / "said.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            until = time.monotonic() + PATIENCE_S
            while finished(out) < 8 and time.monotonic() < until:
                assert process.poll() is None, (tmp_path / "said.log").read_text("utf-8")
                time.sleep(0.1)
            process.send_signal(number)
            code = process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.wait()
    said = (tmp_path / "said.log").read_text("utf-8", "replace")
    assert code == 1 and f"{why}: finishing the rows in flight" in said, said
    summary = json.loads((out / "summary.json").read_text("utf-8"))
    assert summary["stopped"] == why
    assert 8 <= summary["rows"] - summary["pending"] < ROWS
    with (out / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        statuses = [row["status"] for row in csv.DictReader(file)]
    assert (len(statuses), statuses.count("pending")) == (ROWS, summary["pending"])
    assert f"of {ROWS} rows are not done yet" in (out / "report.html").read_text("utf-8")
