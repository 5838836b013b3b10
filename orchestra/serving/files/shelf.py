"""Files of a tenant: taken in with a bound, told, given out, forgotten."""

from __future__ import annotations

import asyncio
import os
import re
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from orchestra.access.principal import principal
from orchestra.book.filing.entries import FiledFile, FilePurpose
from orchestra.book.filing.filing import Filing
from orchestra.core.errors import DiskFull, FileTooLarge, UnknownFile, UsageError
from orchestra.serving.files.words import FileList, FileObject
from orchestra.serving.guards.body_limits import BodyBound

MOST_FILE_BYTES = 200 * 2**20  # of one, as at OpenAI for a batch
UPLOADS = (  # what else is in such a body is its parts' names
    (re.compile("/v1/files"), BodyBound(MOST_FILE_BYTES + 2**20, MOST_FILE_BYTES + 2**20)),
)
MOST_FILES, MOST_BYTES = 1000, 4 * 2**30  # of a tenant
EXPIRES_S = 30 * 86_400  # of an input of a batch, as at OpenAI, and of what came of it
LEAST_EXPIRES_S = 3600
PIECE = 2**20
MOST_NAME_CHARS = 255


@dataclass(frozen=True, slots=True)
class Shelf:
    """The files of a filing, as who asks may see them."""

    filing: Filing

    async def take(
        self, content: BinaryIO, name: str, purpose: FilePurpose, expires_s: int | None
    ) -> FileObject:
        """Keep a file. Raises `UsageError` for an empty one, `FileTooLarge` and `FilesFull`."""
        now = int(time.time())
        if expires_s is None and purpose == "batch":
            expires_s = EXPIRES_S
        id = f"file-{uuid.uuid4().hex}"
        path = self.filing.path_of(id)
        size = await asyncio.to_thread(_copied, content, path)
        filed = FiledFile(
            id,
            principal().tenant,
            purpose,
            _plain_name(name),
            size,
            now,
            None if expires_s is None else now + expires_s,
        )
        try:
            self.filing.add_file(filed, most_files=MOST_FILES, most_bytes=MOST_BYTES)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return told(filed)

    def list(self, purpose: str | None, after: str | None, limit: int, newest: bool) -> FileList:
        """A page of them. Raises `UnknownFile` for an `after` that is not there."""
        if after is not None:
            self.find(after)
        found = self.filing.list_files(
            principal().tenant, purpose=purpose, after=after, limit=limit + 1, newest=newest
        )
        return FileList.of([told(file) for file in found], limit)

    def find(self, id: str) -> FiledFile:
        """One of them. Raises `UnknownFile`."""
        found = self.filing.file(id, principal().tenant)
        if found is None or (found.expires is not None and found.expires <= time.time()):
            raise UnknownFile(
                f"There is no file {id[:80]!r}: it was never sent, was deleted, or its time is "
                "over. See GET /v1/files."
            )
        return found

    def delete(self, id: str) -> None:
        """Forget one. Raises `UnknownFile`, and `FileInUse` while a batch reads it."""
        self.find(id)
        self.filing.delete_file(id, principal().tenant)


def told(file: FiledFile) -> FileObject:
    """A file as clients read it."""
    return FileObject(
        id=file.id,
        bytes=file.bytes,
        created_at=file.created,
        expires_at=file.expires,
        filename=file.filename,
        purpose=file.purpose,
    )


def _plain_name(name: str) -> str:
    """The name of a file without a folder, or what no header and no terminal bears."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(c for c in last if c.isprintable())[-MOST_NAME_CHARS:] or "file"


def _copied(content: BinaryIO, path: Path) -> int:
    """Write `content` to `path`, whole or not at all; its bytes."""
    size = 0
    try:
        with path.open("xb") as file:
            while piece := content.read(PIECE):
                size += len(piece)
                if size > MOST_FILE_BYTES:
                    raise FileTooLarge(
                        f"The file has more than {MOST_FILE_BYTES:,} bytes. Send it in parts."
                    )
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if not size:
            raise UsageError("The file is empty. Send one that has content.")
    except OSError as error:
        path.unlink(missing_ok=True)
        raise DiskFull(
            f"The file cannot be kept: {error.strerror}. Free space on the server's disk."
        ) from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return size
