"""Runs batches in the background: one process of those that share a filing, until each is over.

What a line came to is recorded at once, so a process that dies loses what was under way alone: the
next one goes on with the lines that have no record, and calls that were paid for are answered by
the book. A line that something else is needed for (a model that does not answer) is tried again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from contextvars import Context
from pathlib import Path

from pydantic import BaseModel

from orchestra.access.principal import Principal, asking
from orchestra.book.database import FileLock
from orchestra.book.filing.entries import FiledBatch, LineOutcome
from orchestra.book.filing.filing import Filing
from orchestra.core.errors import BookLocked, OrchestraError
from orchestra.observe.log import log_bug
from orchestra.serving.batches.entry import Entrance
from orchestra.serving.batches.lines import (
    CANCELLED,
    EXPIRED,
    MOST_LINES,
    BadLine,
    Line,
    Run,
    bad,
    gave_up,
    not_run,
    raw_lines,
    read_line,
    run_line,
)
from orchestra.serving.batches.output import end_batch
from orchestra.serving.courier import Courier

LOCK = "work.lock"
POLL_S = 1.0  # how soon a batch is begun that another process took in
AGAIN_S = 15.0  # after a defect, or for a filing that another process works on
SWEEP_S = 600.0
IN_FLIGHT, IN_FLIGHT_EACH = 16, 8  # lines under way, of all batches and of one
TRIES = 8
FIRST_DELAY_S, MOST_DELAY_S = 1.0, 60.0
Endpoints = Mapping[str, tuple[type[BaseModel], Run]]


class BatchWork:
    """The batches of `filing`, each line run by its endpoint.

    A line passes `entrance`, as a request passes the guards of the HTTP face: it is told who asks,
    and says how they stand now, or raises; the line runs inside of it.
    """

    def __init__(
        self,
        filing: Filing,
        endpoints: Endpoints,
        entrance: Entrance,
        courier: Courier | None = None,
        first_delay_s: float = FIRST_DELAY_S,
    ) -> None:
        self._filing = filing
        self._endpoints = endpoints
        self._entrance = entrance
        self._courier = courier or Courier(filing)
        self._first_delay_s = first_delay_s
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self._wake = asyncio.Event()
        self._is_ending = False
        self._task: asyncio.Task[None] | None = None
        self._swept = 0.0

    def begin(self) -> None:
        """Work from now on, in this event loop; what is begun goes on."""
        if self._task is None or self._task.done():
            self._is_ending = False
            # A request may begin it, whose own context has nothing to do with it.
            self._task = asyncio.create_task(self._keep_on(), context=Context())
        self._wake.set()

    async def end(self, grace_s: float = 10.0) -> None:
        """Begin no more lines, wait for those under way, and leave the rest to who comes next."""
        self._is_ending = True
        self._wake.set()
        if self._task is None:
            return
        _, late = await asyncio.wait({self._task}, timeout=grace_s)
        if late:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _keep_on(self) -> None:
        while not self._is_ending:
            try:
                lock = FileLock(self._filing.folder / LOCK)
            except BookLocked:
                await self._nap(AGAIN_S)
                continue
            try:
                await self._work()
            except OrchestraError as error:  # a full disk, for one: what is filed stays
                log_bug(error)
                await self._nap(AGAIN_S)
            finally:
                lock.free()

    async def _work(self) -> None:
        under_way: dict[str, asyncio.Task[None]] = {}
        telling = asyncio.create_task(self._tell())
        try:
            while not self._is_ending:
                self._sweep()
                for id in self._filing.open_batches():
                    if id not in under_way or under_way[id].done():
                        under_way[id] = asyncio.create_task(self._run(id))
                await self._nap(POLL_S)
            if under_way:
                await asyncio.wait(under_way.values())
            await self._courier.deliver()
        finally:
            for task in (telling, *under_way.values()):
                task.cancel()

    async def _tell(self) -> None:
        """Deliver messages beside the batches, whose lines do not wait for it."""
        while True:
            try:
                await self._courier.deliver()
            except Exception as error:  # a full disk, for one: they are tried again
                log_bug(error)
                await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(POLL_S)

    def _sweep(self) -> None:
        if time.monotonic() - self._swept > SWEEP_S:
            self._swept = time.monotonic()
            self._filing.expire_files(int(time.time()))

    async def _nap(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        if not self._is_ending:
            self._wake.clear()

    async def _run(self, id: str) -> None:
        """A batch to its end, or to that of the service."""
        batch = self._filing.batch(id)
        if batch is None:
            return
        try:
            if await self._begun(batch):
                await self._run_lines(id)
        except* FileNotFoundError:  # it was deleted as the batch was taken in, or by hand
            message = f"The file {batch.input_file!r} is gone. Send it again, and a new batch."
            await self._failed(id, "file_not_found", message)
        except* Exception as errors:  # the other batches go on; this one is tried again
            for error in errors.exceptions:
                log_bug(error)
            await self._nap(AGAIN_S)

    async def _begun(self, batch: FiledBatch) -> bool:
        """Whether its lines can be run; a file without any ends the batch."""
        if batch.total:
            return True
        total = await asyncio.to_thread(_count, self._filing.path_of(batch.input_file))
        if 0 < total <= MOST_LINES:
            self._filing.move_batch(batch.id, "in_progress", int(time.time()), total=total)
            return True
        code = "empty_file" if not total else "too_many_lines"
        message = f"The file has {total:,} lines, and 1 to {MOST_LINES:,} are taken. Split it."
        await self._failed(batch.id, code, message)
        return False

    async def _failed(self, id: str, code: str, message: str) -> None:
        problem = {"code": code, "message": message, "line": None, "param": "input_file_id"}
        await end_batch(self._filing, id, "failed", [problem])

    async def _run_lines(self, id: str) -> None:
        batch = self._filing.batch(id)
        if batch is None or batch.is_over:
            return
        lines = self._lines(batch)
        turn = asyncio.Lock()

        async def work() -> None:
            while not self._is_stopped(batch):
                async with turn:
                    line = await anext(lines, None)
                if line is None:
                    return
                done = await self._outcome(batch, line)
                if done is not None:
                    self._filing.note_line(batch.id, done)

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT_EACH):
                group.create_task(work())
        if not self._is_ending:
            await self._ended(batch)

    async def _lines(self, batch: FiledBatch) -> AsyncIterator[Line | BadLine]:
        """The lines that have no record, in their order."""
        kind, _ = self._endpoints[batch.endpoint]
        done, seen = self._filing.lines_done(batch.id), set[str]()
        raw = raw_lines(self._filing.path_of(batch.input_file))
        number = 0
        while (line := await asyncio.to_thread(next, raw, None)) is not None:
            read = await asyncio.to_thread(read_line, number, line, batch.endpoint, kind, seen)
            if number not in done:
                yield read
            number += 1

    async def _outcome(self, batch: FiledBatch, line: Line | BadLine) -> LineOutcome | None:
        """What a line comes to; None where it was not to be run any more."""
        if isinstance(line, BadLine):
            return bad(line)
        run = self._endpoints[batch.endpoint][1]
        who = Principal(batch.tenant, batch.key, weight=batch.weight, lane="batch")
        delay_s, last = self._first_delay_s, None
        for _ in range(TRIES):
            async with self._slots:
                if self._is_stopped(batch):
                    return None
                try:
                    async with self._entrance(who, batch.endpoint) as now:
                        with asking(now):
                            return await run_line(line, run)
                except OrchestraError as error:
                    if not error.retryable:  # it may not ask any more
                        return gave_up(line, error)
                    last = error
            told_s = getattr(last, "retry_after_s", None) or 0.0
            if await self._waited(batch, max(delay_s, told_s)):
                return None
            delay_s = min(2 * delay_s, MOST_DELAY_S)
        return None if last is None else gave_up(line, last)

    async def _waited(self, batch: FiledBatch, seconds: float) -> bool:
        """Wait before the next try; whether the batch was stopped meanwhile."""
        until = time.monotonic() + seconds
        while not (is_stopped := self._is_stopped(batch)) and time.monotonic() < until:
            await asyncio.sleep(min(0.5, seconds))
        return is_stopped

    def _is_stopped(self, batch: FiledBatch) -> bool:
        """Whether no more lines of it are begun: the service ends, or it was cancelled, or late."""
        if self._is_ending or time.time() >= batch.expires:
            return True
        found = self._filing.batch(batch.id)
        return found is None or found.status == "cancelling"

    async def _ended(self, batch: FiledBatch) -> None:
        found = self._filing.batch(batch.id)
        if found is not None and found.status == "cancelling":
            await asyncio.to_thread(self._leave_out, batch, "batch_cancelled", CANCELLED)
            await end_batch(self._filing, batch.id, "cancelled")
        elif len(self._filing.lines_done(batch.id)) < batch.total:
            await asyncio.to_thread(self._leave_out, batch, "batch_expired", EXPIRED)
            await end_batch(self._filing, batch.id, "expired")
        else:
            self._filing.move_batch(batch.id, "finalizing", int(time.time()))
            await end_batch(self._filing, batch.id, "completed")

    def _leave_out(self, batch: FiledBatch, code: str, why: str) -> None:
        """Record of each line that was not run why that is so."""
        kind, _ = self._endpoints[batch.endpoint]
        done, seen = self._filing.lines_done(batch.id), set[str]()
        for number, raw in enumerate(raw_lines(self._filing.path_of(batch.input_file))):
            line = read_line(number, raw, batch.endpoint, kind, seen)
            if number not in done:
                self._filing.note_line(batch.id, not_run(number, line.custom_id, code, why))


def _count(path: Path) -> int:
    """The lines of a file, as far as they may go."""
    count = 0
    for _ in raw_lines(path):
        count += 1
        if count > MOST_LINES:
            break
    return count
