"""Writes a file whole or not at all; it knows nothing of what is written."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from orchestra.core.errors import DiskFull

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_file(path: Path, *, durable: bool = True) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` when the block ends without an exception.

    It is written beside `path`, synced to disk (unless `durable` is False) and renamed; a
    reader sees the old file or the new one. Raises `DiskFull`; other errors pass through, and
    either way the temporary file is gone.
    """
    # Not tempfile: its files are readable by their owner only, and renaming keeps that.
    temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
        if durable:
            _sync_folder(path.parent)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise DiskFull(
            f"No space left in {str(path.parent)!r} to write {path.name!r} ({error.strerror}). "
            "Free some and run the same command again; what was finished is kept."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write `text` as UTF-8, in place of what `path` held. Raises as `atomic_file` does."""
    with atomic_file(path, durable=durable) as file:
        file.write(text.encode())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
