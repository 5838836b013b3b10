"""Log lines of several processes in one place, and files that never grow beyond a bound."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestra.observe.bounded import append
from orchestra.observe.export import TRACES_FILE, TRACES_MIB
from orchestra.observe.lines import (
    LOG_LEVEL,
    LOG_SOCKET,
    MAX_BYTES,
    SERVICE_NAME,
    Gathered,
    JsonLines,
    send_lines,
)
from orchestra.observe.log import log_bug, log_problem

ROOT = Path(__file__).parents[3]
SECRET = "cashmere-jumper-91"
SPANS = """
from opentelemetry.sdk.trace import TracerProvider
from orchestra.observe.export import to_file
provider = TracerProvider()
provider.add_span_processor(to_file()[0])
for number in range(1500):
    with provider.get_tracer("t").start_as_current_span(f"span-{number}"):
        pass
"""
SENDS = """
import logging
from orchestra.observe.lines import send_lines
send_lines()
logging.getLogger("orchestra.jobs").info("job ended", extra={"orchestra_status": "complete"})
"""


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """The package's logger, as it was before when the test ends."""
    log = logging.getLogger("orchestra")
    level, handlers = log.level, list(log.handlers)
    yield log
    for handler in set(log.handlers) - set(handlers):
        log.removeHandler(handler)
        handler.close()
    log.setLevel(level)


def failing(secret: str) -> Exception:
    try:
        raise ValueError(f"the text was {secret}")
    except ValueError as error:
        return error


def test_lines_of_this_process_and_others_arrive_whole_with_level_type_and_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: logging.Logger
) -> None:
    written: list[str] = []
    gathered = Gathered(tmp_path / "log", written.append)
    told = {LOG_SOCKET: str(tmp_path / "log"), LOG_LEVEL: "warning", SERVICE_NAME: "shop"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    send_lines()
    log.info("below the level")
    log_problem("RateLimited", 429)
    log_bug(failing(SECRET))
    environment = os.environ | told | {LOG_LEVEL: "info"}
    subprocess.run([sys.executable, "-c", SENDS], env=environment, cwd=ROOT, check=True)
    gathered.close()
    refused, failed, ended = (json.loads(line) for line in written)
    assert (refused["level"], refused["type"], refused["http_status"]) == (
        "WARNING",
        "RateLimited",
        429,
    )
    assert (failed["level"], failed["type"]) == ("ERROR", "ValueError")
    assert "test_lines.py" in failed["lines"][-1]
    assert (ended["message"], ended["status"]) == ("job ended", "complete")
    assert ended["pid"] != refused["pid"] == os.getpid()
    assert {line["service"] for line in (refused, failed, ended)} == {"shop"}
    assert SECRET not in "".join(written)


def test_what_an_exception_says_is_on_no_line() -> None:
    error = failing(SECRET)
    record = logging.makeLogRecord({"msg": "failed", "exc_info": (type(error), error, None)})
    line = json.loads(JsonLines("shop").format(record))
    assert (line["type"], line["message"]) == ("ValueError", "failed")
    assert SECRET not in str(line)


def test_lines_that_nobody_took_are_counted_and_a_long_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: logging.Logger
) -> None:
    monkeypatch.setenv(LOG_SOCKET, str(tmp_path / "log"))
    send_lines()
    log.info("nobody listens")
    log.info("nobody listens yet")
    written: list[str] = []
    gathered = Gathered(tmp_path / "log", written.append)
    log.info("heard")
    log.info("x" * MAX_BYTES)
    gathered.close()
    heard, long = (json.loads(line) for line in written)
    assert (heard["message"], heard["lines_lost_before"]) == ("heard", 2)
    assert "bytes was left out" in long["message"]


def test_a_file_keeps_the_newest_lines_within_its_bound(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    for number in range(1000):
        append(path, f"{number:09}\n", 1000)
    kept = (tmp_path / "lines.1").read_bytes() + path.read_bytes()
    numbers = [int(line) for line in kept.split()]
    assert 500 < len(kept) <= 1000
    assert numbers == list(range(1000 - len(numbers), 1000))


def test_spans_of_several_processes_are_bounded_whole_and_carry_the_services_name(
    tmp_path: Path,
) -> None:
    told: dict[str, Any] = {TRACES_FILE: str(tmp_path / "s.jsonl"), TRACES_MIB: "1"}
    environment = os.environ | told | {SERVICE_NAME: "shop"}
    command = [sys.executable, "-c", SPANS]
    both = [subprocess.Popen(command, env=environment, cwd=ROOT) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    files = [tmp_path / "s.jsonl.1", tmp_path / "s.jsonl"]
    assert sum(file.stat().st_size for file in files) <= 2**20
    spans = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert {span["resource"]["attributes"]["service.name"] for span in spans} == {"shop"}

    assert spans[-1]["name"] == "span-1499"
