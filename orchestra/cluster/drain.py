"""A door that is shut when a service stops: nothing new comes in, what is inside is waited for.

The door is a file on the node. Whoever has work inside holds a shared lock on it, which goes with
the process; whoever stops the service writes into it, and has it alone when nobody is inside. So it
needs no call to a process that may be dead, and serves several ingresses. As a program it is the
`preStop` hook of a pod: `python -m orchestra.cluster.drain SECONDS`.
"""

from __future__ import annotations

import fcntl
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock

DOOR_FILE = "ORCHESTRA_DOOR"  # environment variable; every process of a service has the same one
LOOK_S = 0.05
SHUT = b"shut\n"


class Door:
    """The door of one process; without a file it is always open. For threads and tasks."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file = -1 if path is None else os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._inside = 0
        self._lock = Lock()

    @classmethod
    def of_environment(cls) -> Door:
        """The one that the environment names; one that stays open where it names none."""
        path = os.environ.get(DOOR_FILE)
        return cls(Path(path) if path else None)

    @property
    def is_shut(self) -> bool:
        """Whether the service stops."""
        return self._file >= 0 and os.fstat(self._file).st_size > 0

    def enter(self) -> bool:
        """Count a piece of work as inside, to be ended by `leave`; False when the door is shut."""
        if self._file < 0:
            return True
        with self._lock:
            # The lock comes before the look, so that who shuts the door sees whoever passed it.
            if not self._inside and not _locked(self._file, fcntl.LOCK_SH):
                return False
            if self.is_shut:
                if not self._inside:
                    fcntl.flock(self._file, fcntl.LOCK_UN)
                return False
            self._inside += 1
            return True

    def leave(self) -> None:
        """Work that entered has ended."""
        if self._file < 0:
            return
        with self._lock:
            self._inside -= 1
            if not self._inside:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def shut(self, grace_s: float) -> bool:
        """Let nobody in any more; whether everybody was out within `grace_s`."""
        if self._file < 0:
            return True
        os.pwrite(self._file, SHUT, 0)
        until = time.monotonic() + grace_s
        while not _locked(self._file, fcntl.LOCK_EX):
            if time.monotonic() > until:
                return False
            time.sleep(LOOK_S)
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return True

    def close(self) -> None:
        """Close the file; the door stays as it is."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _locked(file: int, how: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(file, how | fcntl.LOCK_NB)
        return True
    return False


def main() -> int:
    """Shut the door that the environment names, and wait; 0 when everybody was out in time."""
    return 0 if Door.of_environment().shut(float(sys.argv[1])) else 1


if __name__ == "__main__":
    sys.exit(main())
