"""Files of lines that several processes append to, and that never grow beyond a bound."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MIB = 2**20


def append(path: Path, lines: str, most: int) -> None:
    """Append to `path`, of which, with one file before it (`.1`), at most `most` bytes are kept.

    The newest stay. Processes append one after the other, so that lines do not mix, and none goes
    to a file that another has just put aside.
    """
    data = lines.encode("utf-8", "backslashreplace")
    with _alone(path):
        if path.exists() and path.stat().st_size + len(data) > most // 2:
            path.replace(path.with_name(f"{path.name}.1"))
        with path.open("ab") as file:
            file.write(data)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Alone among the processes that write to `path`, for the time of the block."""
    file = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
