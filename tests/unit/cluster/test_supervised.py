"""A server in a child of the process that was started: every end of it is an end in order."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestra.cluster.processes import Process, descendants, seconds_until_gone

PATIENCE_S = 30.0
# A server that has a child, which has one that ignores SIGTERM in a session of its own.
SERVER = """
import os, signal, subprocess, sys, time
from orchestra.cluster.supervised import end_descendants, go_on_in_child
grace_s, how = float(sys.argv[1]), sys.argv[2]
go_on_in_child(grace_s, teardown_s=0.2)
grandchild = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = (
    "import subprocess, sys, time;"
    f"subprocess.Popen([sys.executable, '-c', {grandchild!r}], start_new_session=True);"
    "time.sleep(600)"
)
subprocess.Popen([sys.executable, "-c", child])
def stop(number, frame):
    if how == "ignores":
        return
    end_descendants()
    print("stopped in order", flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, stop)
if how == "fails":
    time.sleep(0.5)
    sys.exit(1)
print("ready", flush=True)
while True:
    time.sleep(600)
"""


@contextmanager
def server(how: str, grace_s: float = 20.0) -> Iterator[subprocess.Popen[str]]:
    """One that `how` says how it takes a stop; all below it is gone after the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(grace_s), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        start_new_session=True,
    )
    try:
        yield process
    finally:
        for one in descendants(process.pid):
            one.kill()
        process.kill()
        process.communicate()


def family_of(process: subprocess.Popen[str], count: int = 3) -> list[Process]:
    """Its processes, when the server, its child and its grandchild are there."""
    until = time.monotonic() + PATIENCE_S
    while len(family := descendants(process.pid)) < count and time.monotonic() < until:
        time.sleep(0.05)
    assert len(family) == count
    return family


def after(process: subprocess.Popen[str], act: Callable[[list[Process]], None]) -> tuple[int, str]:
    """The exit code and what was said once `act` was done; nothing of the family is left."""
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    family = family_of(process)
    act(family)
    said, errors = process.communicate(timeout=PATIENCE_S)
    assert seconds_until_gone(family, PATIENCE_S) is not None
    return process.returncode, said + errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_stop_comes_to_the_server_which_ends_in_order(number: int) -> None:
    with server("stops") as process:
        code, said = after(process, lambda _: process.send_signal(number))
    assert (code, said) == (0, "stopped in order\n")


def test_a_server_that_was_killed_ends_with_the_code_to_start_it_again() -> None:
    with server("stops") as process:
        code, said = after(process, lambda family: family[0].kill())
    assert code == 75
    assert "the server was killed or crashed (SIGKILL); 1 processes were killed" in said


def test_a_server_that_does_not_end_is_killed_after_its_grace() -> None:
    with server("ignores", 0.3) as process:
        code, said = after(process, lambda _: process.send_signal(signal.SIGTERM))
    assert code == 1
    assert "no end within 0.5 s of the stop" in said


def test_a_second_stop_ends_it_at_once() -> None:
    def twice(family: list[Process]) -> None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.2)  # two signals at once are one
        process.send_signal(signal.SIGINT)

    with server("ignores", 600) as process:
        code, said = after(process, twice)
    assert code == 130
    assert "stopped at once" in said


def test_a_server_whose_supervisor_was_killed_is_stopped() -> None:
    with server("stops") as process:
        code, said = after(process, lambda _: process.kill())
    assert (code, said) == (-9, "stopped in order\n")


def test_the_servers_own_exit_code_is_passed_on() -> None:
    with server("fails") as process:
        family = family_of(process)
        assert process.wait(PATIENCE_S) == 1
    assert seconds_until_gone(family, PATIENCE_S) is not None
