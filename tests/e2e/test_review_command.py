"""`orchestra review` as it is typed: a page until Ctrl-C, then the tables anew; or a file."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.review_books import make_batch

FIRST = "SKU-000001"
COMMAND = [sys.executable, "-m", "orchestra", "review"]


def test_what_is_decided_on_the_page_is_in_the_tables_after_ctrl_c(tmp_path: Path) -> None:
    out = make_batch(tmp_path, 13, photos=1, side_px=64)
    process = subprocess.Popen(
        [*COMMAND, str(out), "--by", "ana", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    address = next(found[0] for line in process.stderr if (found := re.search(r"http\S+", line)))
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", address)
    assert "colour" in httpx.get(address).text
    body = {"row": FIRST, "field": "colour", "action": "edit", "value": "blue"}
    assert httpx.post(address + "decide", json=body).status_code == 200
    process.send_signal(signal.SIGINT)
    told, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert json.loads(told)["decisions"] == 1
    with (out / "products.csv").open(encoding="utf-8-sig", newline="") as file:
        first = next(row for row in csv.DictReader(file) if row["sku"] == FIRST)
    assert (first["colour"], first["colour_source"]) == ("blue", "person")
    assert (out / "report.html").exists()


def test_the_queue_is_written_as_a_file_without_a_page(tmp_path: Path) -> None:
    out = make_batch(tmp_path, 13, photos=1, side_px=64)
    path = tmp_path / "queue.xlsx"
    ran = subprocess.run(
        [*COMMAND, str(out), "--xlsx", str(path), "--json"], capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["fields"] > 3
    assert path.read_bytes()[:2] == b"PK"


def test_a_folder_without_a_batch_is_told(tmp_path: Path) -> None:
    ran = subprocess.run([*COMMAND, str(tmp_path)], capture_output=True, text=True)
    assert ran.returncode == 1
    assert "holds no batch" in ran.stderr
