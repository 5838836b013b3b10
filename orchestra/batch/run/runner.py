"""Runs a graph over every row of a table: bounded, within a budget, resumable after a kill.

It knows no graph, and not how a row is run (`row_run`): it feeds rows, pauses when a model falls
silent, stops at a signal or when the budget is used up, and writes the outputs.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import islice

from orchestra.batch.folder import BATCH_ACCOUNT, Folder, resume_command
from orchestra.batch.output.files import write_outputs
from orchestra.batch.output.summary import Summary
from orchestra.batch.plan.allocation import Allotment
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.progress import Progress
from orchestra.batch.request import Request
from orchestra.batch.row_run import Models, Ran, RowRun
from orchestra.batch.spec import RunSettings
from orchestra.batch.tables.table import Row
from orchestra.book.book import Book
from orchestra.book.ledger import RowLedger
from orchestra.book.messages import AdmitRows, ReadSpent
from orchestra.core.errors import BatchPaused
from orchestra.fleet.opened import OpenFleet

ROWS_A_PAGE = 64  # admitted together, in one transaction


@dataclass(kw_only=True, eq=False)
class BatchRun:
    """One run over a table. Use `run_batch`.

    `allotment` says which route each row takes, and `plan` is what the batch was to come to.
    """

    fleet: OpenFleet
    ledger: RowLedger
    request: Request
    folder: Folder
    settings: RunSettings
    progress: Progress
    plan: BatchPlan | None = None
    allotment: Allotment | None = None

    def __post_init__(self) -> None:
        graph, spec = self.request.graph, self.request.spec
        budget, tags = self.settings.budget, self.settings.tags
        self.rows = RowRun(self.fleet, self.ledger, graph, spec, budget, tags)
        self._stop = ""
        self._unavailable: list[Row] = []
        self._why_unavailable = ""
        self._resume = resume_command(sys.argv)

    @property
    def book(self) -> Book:
        """The batch's book, while this process has it."""
        return self.folder.book

    async def run(self) -> Summary:
        """Run what is not finished, then write the outputs."""
        started = time.monotonic()
        presumed = self.book.recover()
        if presumed:
            self.progress.say(
                f"{presumed} calls were on their way when the last run died; they are "
                "counted at their worst case, marked presumed."
            )
        self.folder.open_account(self.settings.budget)
        total = self.request.table.count()
        total = total if self.settings.limit is None else min(total, self.settings.limit)
        self.progress.start(total, sum(self.book.counts().values()))
        try:
            async with _stopped_by_signals(self._ask_to_stop), self.hosting():
                await self._run_rows()
        finally:
            self.progress.stop()
            self._add_seconds(time.monotonic() - started)
        summary = write_outputs(
            self.folder,
            self.request.table,
            self.request.spec.columns,
            self.fleet.file,
            limit=self.settings.limit,
            stopped=self._stop,
            plan=self.plan,
            is_allotted=self.allotment is not None,
        )
        if self._unavailable:
            raise BatchPaused(
                f"{self._why_unavailable} The batch is paused: {summary.pending} rows wait, none "
                f"of them failed. Once the model answers, continue with:\n  {self._resume}"
            )
        return summary

    @property
    def in_flight(self) -> int:
        """Rows under way at once."""
        return self.settings.in_flight

    @asynccontextmanager
    async def hosting(self) -> AsyncIterator[None]:
        """Around the rows: here they run in this process, which has the book."""
        yield

    async def run_one(self, row: Row, models: Models | None = None) -> Ran:
        """Run an admitted row to its end in the book, along a route or the planner's own."""
        return await self.rows.run(row, models=models)

    def stop_rows(self) -> None:
        """Start no row that would have to wait for room."""
        self.rows.stop()

    def _add_seconds(self, seconds: float) -> None:
        before = float(self.book.meta("seconds") or 0)
        self.book.set_meta("seconds", str(before + seconds))

    def _ask_to_stop(self, why: str) -> None:
        if not self._stop:
            self._stop = why
            self.progress.say(
                f"{why}: finishing the rows in flight. Continue later with:\n  {self._resume}"
            )
        self.stop_rows()

    async def _run_rows(self) -> None:
        """Run all rows; those left over budget again, for as long as some find room."""
        allotment = self.allotment
        while True:
            await self._run_once()
            if allotment is None or self._stop or self._unavailable:
                return
            if not (allotment.left and allotment.served):
                return
            allotment.renew()

    async def _run_once(self) -> None:
        async with aclosing(self._admitted()) as rows:
            await self._feed(rows)
            for delay_s in self.settings.probe_delays_s:
                if not self._unavailable or self._stop:
                    return
                self.progress.say(f"{self._why_unavailable} Paused; trying again in {delay_s:g} s.")
                await asyncio.sleep(delay_s)
                waiting, self._unavailable = self._unavailable, []
                if await self._probe(waiting[0]):
                    await self._feed(_each(waiting[1:]))
                    await self._feed(rows)
                else:
                    self._unavailable = waiting

    async def _probe(self, row: Row) -> bool:
        """Whether a row that had no answer gets one now."""
        await self._run_row(row)
        answered = not self._unavailable
        self._unavailable.clear()
        return answered

    async def _admitted(self) -> AsyncGenerator[Row]:
        """Rows that are not finished, a page at a time; one with another row's id has an error."""
        rows = islice(self.request.table.rows(), self.settings.limit)
        while page := list(islice(rows, ROWS_A_PAGE)):
            owners = await self.ledger.send(AdmitRows([self.rows.candidate(row) for row in page]))
            for row, owner in zip(page, owners, strict=True):
                if owner == row.ordinal:
                    yield row
                elif owner is not None:
                    yield replace(row, error=self.rows.duplicate(row, owner))

    async def _feed(self, rows: AsyncIterator[Row]) -> None:
        """Start rows until the table, the limit, the budget or a silent model ends it."""
        under_way: set[asyncio.Task[None]] = set()
        try:
            async for row in rows:
                while len(under_way) >= self.in_flight:
                    await _one_done(under_way)
                if self._stop or self._unavailable:
                    self._put_back(row)
                    break
                under_way.add(asyncio.create_task(self._run_row(row)))
                await asyncio.sleep(0)
            while under_way:
                await _one_done(under_way)
        finally:
            # Only after a failure that no row may cause (a full disk, a cancelled batch).
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def _put_back(self, row: Row) -> None:
        if self._unavailable:
            self._unavailable.append(row)

    async def _run_row(self, row: Row) -> None:
        ran = await self._run_allotted(row)
        if ran.end == "silent":
            self._unavailable.append(row)
            self._why_unavailable = ran.why
        elif ran.end == "no room":
            self._ask_to_stop(f"The budget is used up ({ran.why})")
        elif ran.end == "finished":
            spent = await self.ledger.send(ReadSpent(BATCH_ACCOUNT))
            self.progress.row(spent.cost_micro)

    async def _run_allotted(self, row: Row) -> Ran:
        """Run a row along the dearest of its routes that there is room for."""
        allotment = self.allotment
        if allotment is None:
            return await self.run_one(row)
        spent = await self.ledger.send(ReadSpent(BATCH_ACCOUNT))
        ran = Ran("over budget")
        for route in allotment.choose(row.ordinal, spent.cost_micro):
            ran = await self.run_one(row, None if route is None else dict(route.models))
            if ran.end != "no room":
                break
        allotment.ended(row.ordinal, ran.end == "finished")
        return Ran("over budget") if ran.end == "no room" else ran


async def _each(rows: Sequence[Row]) -> AsyncIterator[Row]:
    for row in rows:
        yield row


async def _one_done(under_way: set[asyncio.Task[None]]) -> None:
    """Take finished tasks out of `under_way`; what one raised, which no row may, is raised."""
    done, _ = await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
    under_way -= done
    failures = [error for task in done if (error := task.exception()) is not None]
    if failures:
        raise failures[0]


@asynccontextmanager
async def _stopped_by_signals(stop: Callable[[str], None]) -> AsyncIterator[None]:
    """First Ctrl-C asks the batch to stop; the second one interrupts it at once."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        stop("Interrupted")
        loop.remove_signal_handler(signal.SIGINT)

    try:
        loop.add_signal_handler(signal.SIGINT, first)
    except (NotImplementedError, RuntimeError, ValueError):  # not the main thread
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
