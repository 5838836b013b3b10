"""Processes of this machine as Linux's /proc shows them: whose child each is, and when it is gone.

It knows no Ray. A process is named by its id and its start, so that an id used again is another.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """A process that was there when it was looked at."""

    pid: int
    started: int  # clock ticks since the machine's start
    parent: int = field(compare=False)  # an orphan gets another one
    title: str = field(compare=False)

    @property
    def is_alive(self) -> bool:
        """Whether it runs still; one that is dead and not yet waited for is gone."""
        return _read(self.pid) == self

    def kill(self) -> None:
        """SIGKILL, if it is there still."""
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send a signal, if it is there still."""
        if self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


def descendants(pid: int) -> list[Process]:
    """Children of `pid`, their children, and so on; parents stand before their children."""
    running = list(_running()) if PROC.is_dir() else []  # there is none on other systems
    found: list[Process] = []
    parents = {pid}
    while parents:
        children = [process for process in running if process.parent in parents]
        found += children
        parents = {child.pid for child in children}
    return found


def seconds_until_gone(processes: Iterable[Process], most_s: float) -> float | None:
    """How long it takes until none of them runs; None when one is there after `most_s`."""
    started = time.monotonic()
    left = list(processes)
    while left := [process for process in left if process.is_alive]:
        if time.monotonic() - started > most_s:
            return None
        time.sleep(0.1)
    return time.monotonic() - started


def _running() -> Iterator[Process]:
    for entry in PROC.iterdir():
        if entry.name.isdigit() and (found := _read(int(entry.name))) is not None:
            yield found


def _read(pid: int) -> Process | None:
    try:
        status = (PROC / str(pid) / "stat").read_text()
        title = (PROC / str(pid) / "cmdline").read_bytes()
    except OSError:  # it ended meanwhile
        return None
    # The second field is a name in brackets, which may hold spaces and brackets.
    words = status.rpartition(")")[2].split()
    if words[0] in "ZX":
        return None
    return Process(pid, int(words[19]), int(words[1]), title.decode(errors="replace"))
