"""What every process of `orchestra serve` inherits: its door, where its lines and spans go."""

from __future__ import annotations

import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestra.cluster.drain import DOOR_FILE, Door
from orchestra.observe.bounded import MIB, append
from orchestra.observe.export import DEFAULT_MIB, TRACES_FILE, TRACES_MIB
from orchestra.observe.lines import LOG_LEVEL, LOG_SOCKET, SERVICE_NAME, Gathered, send_lines


@dataclass(frozen=True, slots=True)
class Told:
    """How a service tells of itself: lines to `log` or else to standard error, spans to `traces`.

    Each file and the one before it hold `most_mib` at most.
    """

    service: str = "orchestra"
    level: str = "INFO"
    log: Path | None = None
    traces: Path | None = None
    most_mib: int = DEFAULT_MIB


@contextmanager
def inherited(told: Told) -> Iterator[Door]:
    """Set the environment for the processes that this one begins; the door that they share."""
    folder = Path(tempfile.mkdtemp(prefix="orchestra-"))
    lines = Gathered(folder / "log", functools.partial(_write, told))
    os.environ |= {
        SERVICE_NAME: told.service,
        LOG_LEVEL: told.level,
        LOG_SOCKET: str(folder / "log"),
        DOOR_FILE: str(folder / "door"),
        TRACES_MIB: str(told.most_mib),
    }
    if told.traces is not None:
        os.environ[TRACES_FILE] = str(told.traces.resolve())
    send_lines()
    door = Door(folder / "door")
    try:
        yield door
    finally:
        lines.close()
        door.close()
        shutil.rmtree(folder, ignore_errors=True)


def _write(told: Told, line: str) -> None:
    if told.log is not None:
        append(told.log, line, told.most_mib * MIB)
    else:
        sys.stderr.write(line)
        sys.stderr.flush()
