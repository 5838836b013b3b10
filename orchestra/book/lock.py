"""The lock file beside a book: one writing process at a time; it knows nothing of the book.

`flock` belongs to the open file, so the operating system frees it when its process ends in any
way, SIGKILL included. The file itself stays: deleting it would let two processes lock two files
of the same name.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from orchestra.core.errors import BookError, BookLocked


class FileLock:
    """An exclusive lock on `path`, held from construction to `free()`.

    Raises `BookLocked` naming the holder's process id, and `BookError` when the file cannot be
    made.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise BookError(
                f"The book's lock file {str(path)!r} cannot be opened: {error.strerror}. "
                f"Make its folder writable, or choose another output folder."
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _holder(os.pread(self._file, 32, 0))
            os.close(self._file)
            raise BookLocked(
                f"The book {str(path.with_suffix(''))!r} is being written by {holder}. "
                f"Wait until it ends, or choose another output folder."
            ) from error
        with suppress(OSError):  # on a full disk the lock still holds; only the name is missing
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, str(os.getpid()).encode(), 0)

    def free(self) -> None:
        """Let another process have the book; a second call does nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _holder(content: bytes) -> str:
    if not content.isdigit():
        return "another process"
    own = int(content) == os.getpid()
    return f"process {int(content)}" + (" (this one)" if own else "")
