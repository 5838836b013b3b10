"""Runs a graph over every row of a table: bounded, within a budget, resumable after a kill.

It knows no graph. A row's result, the settlement of its account and its mark as finished are
one transaction, so a row is done and paid, or neither.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

from langgraph.graph.state import CompiledStateGraph

from orchestra.batch.columns import Columns
from orchestra.batch.folder import BATCH_ACCOUNT, Folder, row_key
from orchestra.batch.output import FIELDS, Summary, write_outputs
from orchestra.batch.progress import Progress, Silent
from orchestra.batch.tables import Row, Table
from orchestra.budget.money import limit_micro
from orchestra.errors import (
    BatchPaused,
    BookError,
    BudgetExceeded,
    DuplicateId,
    ModelUnavailable,
    OrchestraError,
)
from orchestra.fleet.fleet import Fleet
from orchestra.graph.run import Intake, run_job, take_in
from orchestra.job import Budget, ErrorRecord, Job, Result

DEFAULT_IN_FLIGHT = 32
PROBE_DELAYS_S = (1.0, 2.0, 4.0, 8.0, 15.0)


Language = Literal["en", "zh", "auto"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a batch runs. `probe_delays_s` are the waits before a silent model is asked again."""

    budget: Budget = field(default_factory=Budget)
    limit: int | None = None
    in_flight: int = DEFAULT_IN_FLIGHT
    language: Language = "auto"
    probe_delays_s: tuple[float, ...] = PROBE_DELAYS_S
    progress: Progress = field(default_factory=Silent)
    resume: str = ""


def row_budget(budget: Budget) -> Budget:
    """The limits that hold for each row by itself; what is spent is held by the batch."""
    return Budget(latency_ms=budget.latency_ms, memory_gib=budget.memory_gib)


class Batch:
    """One run over a table. Use `run_batch`."""

    def __init__(
        self,
        fleet: Fleet,
        graph: CompiledStateGraph,
        table: Table,
        columns: Columns,
        folder: Folder,
        identity: dict[str, str],
        options: Options,
    ) -> None:
        self.fleet = fleet
        self.graph = graph
        self.table = table
        self.columns = columns
        self.folder = folder
        self.book = folder.book
        self.identity = identity
        self.options = options
        self._stop = ""
        self._unavailable: list[Row] = []
        self._why_unavailable = ""
        self._refunded = asyncio.Event()
        self._fields: list[str] = json.loads(self.book.meta(FIELDS) or "[]")

    async def run(self) -> Summary:
        """Run what is not finished, then write the outputs."""
        started = time.monotonic()
        recovered = self.book.recover()
        if recovered.presumed:
            self.options.progress.say(
                f"{recovered.presumed} calls were on their way when the last run died; they are "
                "counted at their worst case, marked presumed."
            )
        self._open_account()
        total = self.table.count()
        total = total if self.options.limit is None else min(total, self.options.limit)
        self.options.progress.start(total, sum(self.book.counts().values()))
        try:
            async with _stopped_by_signals(self._ask_to_stop):
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
        )
        if self._unavailable:
            raise BatchPaused(
                f"{self._why_unavailable} The batch is paused: {summary.pending} rows wait, none "
                f"of them failed. Once the model answers, continue with:\n  {self.options.resume}"
            )
        return summary

    def _open_account(self) -> None:
        cost = self.options.budget.cost_usd
        limits = (None if cost is None else limit_micro(cost), self.options.budget.tokens)
        try:
            self.book.spent(BATCH_ACCOUNT)
        except BookError:
            self.book.open_account(BATCH_ACCOUNT, label="batch")
        self.book.set_limits(BATCH_ACCOUNT, cost_micro=limits[0], tokens=limits[1])

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
        self._refunded.set()

    async def _run_rows(self) -> None:
        rows = iter(self.table.rows())
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
                await self._feed(iter(waiting[1:]))
                await self._feed(rows)
            else:
                self._unavailable = waiting

    async def _probe(self, row: Row) -> bool:
        """Whether a row that had no answer gets one now."""
        await self._run_row(row)
        answered = not self._unavailable
        self._unavailable.clear()
        return answered

    async def _feed(self, rows: Iterable[Row]) -> None:
        """Start rows until the table, the limit, the budget or a silent model ends it."""
        under_way: set[asyncio.Task[None]] = set()
        try:
            for row in rows:
                if self.options.limit is not None and row.ordinal > self.options.limit:
                    break
                if not self._is_new(row):
                    continue
                while len(under_way) >= self.options.in_flight:
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

    def _is_new(self, row: Row) -> bool:
        return not self.book.is_finished(self._key(row))

    def _key(self, row: Row) -> str:
        return row_key(self.identity, self.columns.row_id(row), row.ordinal)

    async def _run_row(self, row: Row) -> None:
        account = f"row:{row.ordinal}:{uuid.uuid4().hex[:8]}"
        try:
            result, opened = await self._answer(row, account)
        except _NoRoom:
            return
        silent = [error for error in result.errors if error.type == ModelUnavailable.__name__]
        if silent:
            if opened:
                self.book.close_account(account)
            self._unavailable.append(row)
            self._why_unavailable = silent[0].message
            return
        self._note_fields(result)
        self.book.finish_row(
            self._key(row),
            ordinal=row.ordinal,
            row_id=self.columns.row_id(row),
            status=result.status,
            record_json=result.model_dump_json(),
            close=account if opened else None,
        )
        self._refunded.set()
        self.options.progress.row(self.book.spent(BATCH_ACCOUNT).cost_micro)

    def _note_fields(self, result: Result) -> None:
        """Keep the names of all fields met, for the columns of the outputs."""
        new = [name for name in result.fields if name not in self._fields]
        if new:
            self._fields += new
            self.book.set_meta(FIELDS, json.dumps(self._fields))

    async def _answer(self, row: Row, account: str) -> tuple[Result, bool]:
        """The row's result, and whether an account was opened for it."""
        if row.error is not None:
            return Result(status="failed", errors=(row.error,)), False
        try:
            self._claim_id(row)
            job = self._job(row)
            intake = await take_in(self.fleet, job, self.table.path.parent)
            return await self._run_within_budget(intake, account)
        except BookError:
            raise
        except OrchestraError as error:
            return Result(status="failed", errors=(ErrorRecord.of("job", error),)), False

    def _job(self, row: Row) -> Job:
        budget = row_budget(self.options.budget)
        job = self.columns.job(row, self.options.language, None)
        return job.model_copy(update={"budget": budget})

    def _claim_id(self, row: Row) -> None:
        if not self.columns.has_id(row):
            return
        row_id = self.columns.row_id(row)
        first = self.book.claim_id(row_id, row.ordinal)
        if first is not None and first != row.ordinal:
            raise DuplicateId(
                f"The id {row_id!r} of row {row.ordinal} is used by row {first} already. "
                "Give each row its own id, or choose another --id-column."
            )

    async def _run_within_budget(self, intake: Intake, account: str) -> tuple[Result, bool]:
        """Run once the row's ceiling fits; refunds of finished rows make room."""
        while True:
            self._refunded.clear()
            try:
                result = await run_job(
                    self.fleet, self.graph, intake, account=account, parent=BATCH_ACCOUNT
                )
                return result, bool(result.plan)
            except BudgetExceeded as error:
                if self._stop:
                    raise _NoRoom from None
                if not self.book.spent(BATCH_ACCOUNT).open_cost_micro:
                    self._ask_to_stop(f"The budget is used up ({error})")
                    raise _NoRoom from None
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._refunded.wait(), timeout=1.0)


class _NoRoom(Exception):
    """The batch's budget has no room for another row."""


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
