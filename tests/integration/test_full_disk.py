"""A disk that fills up mid-batch is one clear error; nothing finished is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kills.resume import command, finished, run_clean, write_table
from tests.stub_worker import write_fleet

ROOT = Path(__file__).parents[2]
ROWS = 60
# A file may grow to this many bytes, as on a disk with that much room: the book passes it.
ROOM_BYTES = 1_500_000
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))
from orchestra.cli.main import main
main(sys.argv[1:])
"""


def test_a_full_disk_is_named_and_the_batch_continues_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    fleet = str(write_fleet(tmp_path))
    table = tmp_path / "products.csv"
    write_table(table, ROWS)
    out = tmp_path / "out"
    limited = [
        sys.executable,
        "-c",
        LIMITED.format(room=ROOM_BYTES),
        *command(table, out, fleet)[1:],
    ]
    stopped = subprocess.run(limited, capture_output=True, text=True, timeout=120, check=False)
    assert stopped.returncode == 1
    assert "DiskFull" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    kept = finished(out)
    assert 0 < kept < ROWS
    run_clean(table, out, fleet)
    assert finished(out) == ROWS
