"""`orchestra finetune` as a user types it, on a tiny model: killed, gone on with, and used."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from orchestra.cli.main import main
from tests.tiny_models import tiny_qwen2
from tests.tuning import cups, write_fleet, write_table


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    tiny_qwen2(tmp_path / "weights")
    fleet = write_fleet(tmp_path, {"name": "r1", "hosting": {"checkpoint": "weights"}})
    table = write_table(tmp_path / "mine.jsonl", cups(12))
    return ["finetune", "--base", f"{fleet}/r1", "--data", str(table), "--out",
            str(tmp_path / "out"), "--lr", "0.01", "--batch", "4"]  # fmt: skip


def test_the_printed_line_asks_the_fine_tuned_model(command: list[str]) -> None:
    ran = CliRunner().invoke(main, [*command, "--steps", "40"])
    assert ran.exit_code == 0, ran.stderr
    *scores, about, use = ran.stdout.splitlines()
    assert [line.split()[0] for line in scores] == ["kind", "(whole"]
    assert "0.0%" in scores[0] and "100.0%" in scores[0] and "of 2" in scores[0]
    assert "r1-tuned: 10 rows, 40 steps" in about
    words = shlex.split(use.removeprefix("Use it: orchestra ").replace('"..."', '"red 77"'))
    answer = CliRunner().invoke(main, [*words, "--json"])
    assert answer.exit_code == 0, answer.stderr
    field = json.loads(answer.stdout)["fields"]["kind"]
    assert (field["value"], field["model"]) == ("cup", "r1-tuned")


def test_a_run_that_was_killed_goes_on_with_the_same_command(
    command: list[str], tmp_path: Path
) -> None:
    wanted = [*command, "--steps", "60", "--snapshot-s", "0.000001"]
    state = tmp_path / "out" / "state" / "state.safetensors"
    process = subprocess.Popen(
        [sys.executable, "-c", "from orchestra.cli.main import main; main()", *wanted],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.DEVNULL,
    )
    while not state.exists() and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert state.exists() and not (tmp_path / "out" / "finetune.json").exists()
    ran = CliRunner().invoke(main, [*wanted, "--json"])
    assert ran.exit_code == 0, ran.stderr
    assert "going on after step" in ran.stderr
    report = json.loads(ran.stdout)
    assert report["steps"] == 60 and report["after"]["kind"]["share"] == 1
    assert not state.exists()


def test_wrong_requests_end_with_code_2_and_a_cure(command: list[str], tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text('{"instruction": "x"}\n')
    ran = CliRunner().invoke(main, command)
    assert ran.exit_code == 2
    assert "InvalidTable: Line 1" in ran.stderr
    ran = CliRunner().invoke(main, [*command, "--steps", "3", "--minutes", "1", "--json"])
    assert ran.exit_code == 2
    assert json.loads(ran.stdout)["error"]["type"] == "UsageError"
