"""The end of a batch: what its lines came to as two files, and the message that tells of it."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from orchestra.book.filing.entries import BatchStatus, FiledBatch, FiledFile
from orchestra.book.filing.filing import Filing
from orchestra.core.errors import DiskFull
from orchestra.serving.files.shelf import EXPIRES_S


async def end_batch(
    filing: Filing, id: str, status: BatchStatus, problems: Sequence[dict[str, Any]] = ()
) -> None:
    """End a batch: its files are there before it says so, and are written again after a crash.

    Raises `DiskFull`, which leaves it as it was.
    """
    batch = filing.batch(id)
    if batch is None or batch.is_over:
        return
    now = int(time.time())
    output = await asyncio.to_thread(_written, filing, batch, False, now)
    errors = await asyncio.to_thread(_written, filing, batch, True, now)
    filing.end_batch(
        id,
        status,
        now,
        files=[file for file in (output, errors) if file is not None],
        output_file=output and output.id,
        error_file=errors and errors.id,
        problems=problems,
        message=event(f"batch.{status}", now, {"id": id, "tenant": batch.tenant}),
    )


def event(kind: str, at: int, data: dict[str, Any]) -> str:
    """What a webhook tells, in the form of OpenAI's: that something is so, never its content."""
    return json.dumps({"object": "event", "type": kind, "created_at": at, "data": data})


def _written(filing: Filing, batch: FiledBatch, is_failed: bool, now: int) -> FiledFile | None:
    """The file of the lines that were answered, or that failed; None without any."""
    outcomes = filing.outcomes(batch.id, is_failed=is_failed)
    first = next(outcomes, None)
    if first is None:
        return None
    kind = "errors" if is_failed else "output"
    id = f"file-{batch.id.removeprefix('batch_')}-{kind}"
    path = filing.path_of(id)
    try:
        _write_lines(path, first, outcomes)
    except OSError as error:
        raise DiskFull(
            f"The {kind} of the batch {batch.id!r} cannot be written: {error.strerror}. Free space "
            "on the server's disk; the batch then ends by itself."
        ) from error
    name, size = f"{batch.id}_{kind}.jsonl", path.stat().st_size
    return FiledFile(id, batch.tenant, "batch_output", name, size, now, now + EXPIRES_S)


def _write_lines(path: Path, first: str, rest: Iterator[str]) -> None:
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        file.write(first + "\n")
        file.writelines(f"{line}\n" for line in rest)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
