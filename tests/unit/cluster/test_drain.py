"""A door that several processes share: what is inside is waited for, nothing new comes in."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from orchestra.cluster.drain import DOOR_FILE, Door

INSIDE = """
import sys
from pathlib import Path
from orchestra.cluster.drain import Door
door = Door(Path(sys.argv[1]))
print(door.enter(), flush=True)
sys.stdin.readline()
"""


def test_a_shut_door_lets_nobody_in_and_waits_for_who_is_inside(tmp_path: Path) -> None:
    ours, stopping = Door(tmp_path / "door"), Door(tmp_path / "door")
    assert ours.enter() and ours.enter()
    assert not stopping.shut(0.0)
    assert ours.is_shut and not ours.enter()
    ours.leave()
    assert not stopping.shut(0.0)
    ours.leave()
    assert stopping.shut(0.0)
    assert not ours.enter() and not Door(tmp_path / "door").enter()


def test_who_leaves_while_it_is_waited_for_ends_the_wait(tmp_path: Path) -> None:
    ours, stopping = Door(tmp_path / "door"), Door(tmp_path / "door")
    assert ours.enter()
    threading.Timer(0.2, ours.leave).start()
    assert stopping.shut(60.0)


def test_a_process_that_is_killed_is_no_longer_inside(tmp_path: Path) -> None:
    path = tmp_path / "door"
    with subprocess.Popen(
        [sys.executable, "-c", INSIDE, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "True\n"
        assert not Door(path).shut(0.0)
        other.kill()
        other.wait()
    assert Door(path).shut(0.0)


def test_a_door_without_a_file_is_always_open() -> None:
    door = Door(None)
    assert door.enter() and not door.is_shut and door.shut(0.0)
    door.leave()
    assert door.enter()


def test_the_hook_of_a_pod_shuts_the_door_of_the_environment(tmp_path: Path) -> None:
    ours = Door(tmp_path / "door")
    command = [sys.executable, "-m", "orchestra.cluster.drain", "0"]
    environment = os.environ | {DOOR_FILE: str(tmp_path / "door")}
    folder = Path(__file__).parents[3]
    assert ours.enter()
    late = subprocess.run(command, env=environment, cwd=folder, check=False)
    ours.leave()
    done = subprocess.run(command, env=environment, cwd=folder, check=False)
    assert (late.returncode, done.returncode, ours.is_shut) == (1, 0, True)
