"""Runs a graph over every row of a table: bounded, within a budget, resumable after a kill.

It knows no graph, and not how a row is run (`row_run`): it feeds rows, pauses when a model falls
silent, stops at a signal or when the budget is used up, and writes the outputs.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from langgraph.graph.state import CompiledStateGraph

from orchestra.batch.columns import Columns
from orchestra.batch.folder import BATCH_ACCOUNT, Folder
from orchestra.batch.output.files import write_outputs
from orchestra.batch.output.summary import Summary
from orchestra.batch.plan.allocation import Allotment
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.progress import Progress, Silent
from orchestra.batch.row_run import Language, Models, Ran, RowOptions, RowRun
from orchestra.batch.tables.table import Row, Table
from orchestra.book.ledger import RowLedger
from orchestra.book.messages import AdmitRows, ReadSpent
from orchestra.core.errors import BatchPaused
from orchestra.core.job import Budget
from orchestra.fleet.opened import OpenFleet

DEFAULT_IN_FLIGHT = 32
PROBE_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 15.0)
ROWS_A_PAGE = 64  # admitted together, in one transaction


@dataclass(frozen=True, slots=True)
class Options:
    """How a batch runs. `probe_delays_s` are the waits before a silent model is asked again.

    `allotment` says which route each row takes, and `plan` is what the batch was to come to.
    """

    budget: Budget = field(default_factory=Budget)
    limit: int | None = None
    in_flight: int = DEFAULT_IN_FLIGHT
    language: Language = "auto"
    base: Path | None = None  # of photo paths; None is the table's folder
    probe_delays_s: tuple[float, ...] = PROBE_DELAYS_S
    progress: Progress = field(default_factory=Silent)
    resume: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    plan: BatchPlan | None = None
    allotment: Allotment | None = None


class Batch:
    """One run over a table. Use `run_batch`."""

    def __init__(
        self,
        fleet: OpenFleet,
        ledger: RowLedger,
        graph: CompiledStateGraph,
        table: Table,
        columns: Columns,
        folder: Folder,
        identity: dict[str, str],
        options: Options,
    ) -> None:
        self.fleet = fleet
        self.table = table
        self.columns = columns
        self.folder = folder
        self.book = folder.book
        self.ledger: RowLedger = ledger
        self.options = options
        self.rows = RowRun(
            fleet,
            ledger,
            graph,
            columns,
            RowOptions(
                identity,
                options.budget,
                options.language,
                options.base or table.path.parent,
                options.tags,
            ),
        )
        self._stop = ""
        self._unavailable: list[Row] = []
        self._why_unavailable = ""

    async def run(self) -> Summary:
        """Run what is not finished, then write the outputs."""
        started = time.monotonic()
        presumed = self.book.recover()
        if presumed:
            self.options.progress.say(
                f"{presumed} calls were on their way when the last run died; they are "
                "counted at their worst case, marked presumed."
            )
        self.folder.open_account(self.options.budget)
        total = self.table.count()
        total = total if self.options.limit is None else min(total, self.options.limit)
        self.options.progress.start(total, sum(self.book.counts().values()))
        try:
            async with _stopped_by_signals(self._ask_to_stop), self.hosting():
                await self._run_rows()
        finally:
            self.options.progress.stop()
            self._add_seconds(time.monotonic() - started)
        summary = write_outputs(
            self.folder,
            self.table,
            self.columns,
            self.fleet.file,
            limit=self.options.limit,
            stopped=self._stop,
            plan=self.options.plan,
            is_allotted=self.options.allotment is not None,
        )
        if self._unavailable:
            raise BatchPaused(
                f"{self._why_unavailable} The batch is paused: {summary.pending} rows wait, none "
                f"of them failed. Once the model answers, continue with:\n  {self.options.resume}"
            )
        return summary

    @property
    def in_flight(self) -> int:
        """Rows under way at once."""
        return self.options.in_flight

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
            self.options.progress.say(
                f"{why}: finishing the rows in flight. Continue later with:\n"
                f"  {self.options.resume}"
            )
        self.stop_rows()

    async def _run_rows(self) -> None:
        """Run all rows; those left over budget again, for as long as some find room."""
        allotment = self.options.allotment
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
            for delay_s in self.options.probe_delays_s:
                if not self._unavailable or self._stop:
                    return
                self.options.progress.say(
                    f"{self._why_unavailable} Paused; trying again in {delay_s:g} s."
                )
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
        rows = islice(self.table.rows(), self.options.limit)
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
            self.options.progress.row(spent.cost_micro)

    async def _run_allotted(self, row: Row) -> Ran:
        """Run a row along the dearest of its routes that there is room for."""
        allotment = self.options.allotment
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
