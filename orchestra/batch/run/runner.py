"""Runs a graph over every row of a table: bounded, within a budget, resumable after a kill.

It knows no graph, and not how a row is run (`row_run`): it feeds rows, pauses when a model answers
nobody, runs rows again that a model fails on by themselves (`silence`), stops at a signal or when
the budget is used up, and writes the outputs.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice, repeat

from orchestra.batch.folder import BATCH_ACCOUNT, Folder, resume_command
from orchestra.batch.output.files import write_outputs
from orchestra.batch.output.summary import Summary
from orchestra.batch.plan.allocation import Allotment
from orchestra.batch.plan.batch_plan import BatchPlan
from orchestra.batch.progress import Progress
from orchestra.batch.request import Request
from orchestra.batch.retry import retried_kinds
from orchestra.batch.row_run import ROW_ACCOUNT, Models, Ran, RowRun
from orchestra.batch.run.silence import Silence, Unanswered
from orchestra.batch.spec import RunSettings
from orchestra.batch.tables.table import Row
from orchestra.book.book import Book
from orchestra.book.ledger import RowLedger
from orchestra.book.messages import AdmitRows, CountAttempt, ReadSpent
from orchestra.core.errors import BatchPaused
from orchestra.fleet.opened import OpenFleet

ROWS_A_PAGE = 64  # admitted together, in one transaction
STOPPED_BY = {
    signal.SIGINT: "Interrupted",
    signal.SIGTERM: "Terminated",  # by a scheduler, a container's stop or a shutdown
}
ATTEMPTS = 3  # at a row whose model has no server, and so no `attempts` on its card


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
        self._silence = Silence()
        self._delays_s = self._new_delays()
        self._again: set[int] = set()  # ordinals of finished rows that are run again
        self._heard: set[str] = set()  # models that have answered in this run
        self._why_silent = ""
        self._is_paused = False
        self._resume = resume_command(sys.argv)

    @property
    def book(self) -> Book:
        """The batch's book, while this process has it."""
        return self.folder.book

    async def run(self) -> Summary:
        """Run what is not finished, then write the outputs."""
        started = time.monotonic()
        take_over(self.fleet, self.folder, self.progress)
        self.folder.open_account(self.settings.budget)
        total = self.request.table.count()
        total = total if self.settings.limit is None else min(total, self.settings.limit)
        self._take_up(total)
        self.progress.start(total, sum(self.book.counts().values()) - len(self._again))
        try:
            async with _stopped_by_signals(self._ask_to_stop), self.hosting():
                await self._run_rows()
        finally:
            self.progress.stop()
            self.folder.add_seconds(time.monotonic() - started)
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
        if self._is_paused:
            raise BatchPaused(
                f"{self._why_silent} The batch is paused: {summary.pending} rows wait, none of "
                f"them failed. Once the model answers, continue with:\n  {self._resume}"
            )
        return summary

    def _take_up(self, total: int) -> None:
        """Find the finished rows, of the first `total`, that this run takes up again."""
        kinds = retried_kinds(self.settings.retry_failed)
        found = self.book.with_errors(kinds).values()
        self._again = {ordinal for ordinal in found if ordinal <= total}
        if self._again:
            self.progress.say(f"{len(self._again)} rows that have an error are run again.")

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

    async def answers(self, model: str) -> bool:
        """Whether `model` answers a short question of no row now."""
        return await self.rows.answers(model)

    def stop_rows(self) -> None:
        """Start no row that would have to wait for room."""
        self.rows.stop()

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
            if allotment is None or self._is_over:
                return
            if not (allotment.left and allotment.served):
                return
            allotment.renew()

    @property
    def _is_over(self) -> bool:
        """Whether no more rows are to be started in this run."""
        return bool(self._stop) or self._is_paused

    async def _run_once(self) -> None:
        """Run each row that is not finished, and again those that a model failed on."""
        async with aclosing(self._admitted()) as rows:
            while True:
                await self._feed(rows)
                is_full = self._silence.is_full
                await self._run_again()
                if self._is_over or not is_full:
                    return

    async def _run_again(self) -> None:
        """Run the rows that a model failed on until none is left, after pauses."""
        delays_s = self.settings.probe_delays_s or (0.0,)
        for delay_s in chain(delays_s, repeat(delays_s[-1])):
            own, unclear = self._silence.take()
            if self._is_over or not (own or unclear):
                return
            self.progress.say(
                f"{len(own) + len(unclear)} rows wait for a model that answers others: "
                f"{self._why_silent} They are run again in {delay_s:g} s."
            )
            await asyncio.sleep(delay_s)
            await self._feed(_each(own), is_again=True)
            await self._feed(_each(unclear), is_again=True, is_alone=True)

    async def _admitted(self) -> AsyncGenerator[Row]:
        """Rows that are not finished, a page at a time; one with another row's id has an error."""
        rows = islice(self.request.table.rows(), self.settings.limit)
        while page := list(islice(rows, ROWS_A_PAGE)):
            page = [replace(row, again=True) if row.ordinal in self._again else row for row in page]
            owners = await self.ledger.send(AdmitRows([self.rows.candidate(row) for row in page]))
            for row, owner in zip(page, owners, strict=True):
                if owner == row.ordinal:
                    yield row
                elif owner is not None:
                    yield replace(row, error=self.rows.duplicate(row, owner))

    async def _feed(
        self, rows: AsyncIterator[Row], *, is_again: bool = False, is_alone: bool = False
    ) -> None:
        """Start rows until the table, the limit, the budget or a silent model ends it.

        Rows that are run alone are started one after the other.
        """
        under_way: set[asyncio.Task[None]] = set()
        try:
            async for row in rows:
                at_once = 1 if is_alone else self.in_flight
                # While a row is in doubt those under way may tell, and no other is started.
                while under_way and (len(under_way) >= at_once or self._silence.in_doubt):
                    await _one_done(under_way)
                if self._is_over or not await self._is_answered():
                    break
                run = self._run_row(row, is_again=is_again, is_alone=at_once == 1)
                under_way.add(asyncio.create_task(run))
                await asyncio.sleep(0)
                if self._silence.is_full and not is_again:
                    break
            while under_way:
                await _one_done(under_way)
            if not self._is_over:
                await self._is_answered()
        finally:
            # Only after a failure that no row may cause (a full disk, a cancelled batch).
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _is_answered(self) -> bool:
        """Whether the models in doubt answer: they are asked at once, then after pauses."""
        models = self._silence.models
        if not self._silence.in_doubt or await self._asked(models):
            return True
        suspects = self._silence.outage()
        for delay_s in self._delays_s:
            self.progress.say(f"{self._why_silent} Paused; trying again in {delay_s:g} s.")
            await asyncio.sleep(delay_s)
            if self._stop:
                return False
            if not models or await self._asked(models):  # where none is known the next row tells
                await self._count(suspects)
                return True
        self._is_paused = True
        return False

    async def _asked(self, models: Collection[str]) -> bool:
        """Whether all of `models` answer a question now, which tells of the rows in doubt."""
        answered = [model for model in sorted(models) if await self.answers(model)]
        await self._count(self._silence.vouch(answered, when_alone=True))
        return bool(answered) and len(answered) == len(models)

    async def _count(self, failures: Sequence[Unanswered]) -> None:
        """Count failures that are the rows' own; a row that has no attempt left is recorded."""
        for one in failures:
            ran = one.ran
            if ran.failed is None:
                continue
            tried = await self.ledger.send(CountAttempt(ran.failed.key, ran.account))
            if tried >= self._attempts(ran.silent):
                self._silence.drop(one.row)
                await self.ledger.send(ran.failed)
                if self.allotment is not None:
                    self.allotment.ended(one.row.ordinal, is_finished=True)
                await self._end(one.row)

    def _attempts(self, models: Collection[str]) -> int:
        """How often a row may fail on `models` while they answer others."""
        if self.settings.attempts is not None:
            return self.settings.attempts
        endpoints = [self.fleet.file.card(model).hosting.endpoint for model in models]
        return max((one.attempts for one in endpoints if one is not None), default=ATTEMPTS)

    def _new_delays(self) -> Iterator[float]:
        """The pauses of an outage: they go on where one follows another without a row between."""
        return iter(self.settings.probe_delays_s)

    async def _run_row(self, row: Row, *, is_again: bool, is_alone: bool) -> None:
        ran = await self._run_allotted(row)
        if ran.end == "silent":
            self._why_silent = ran.why
            known = replace(ran, silent=ran.silent or frozenset(self._heard))
            self._silence.fell(Unanswered(row, known, is_alone, is_again))
        elif ran.end == "no room":
            self._ask_to_stop(f"The budget is used up ({ran.why})")
        elif ran.is_recorded:
            self._delays_s = self._new_delays()
            await self._end(row)
        self._heard |= ran.answered
        if ran.answered:
            await self._count(self._silence.vouch(ran.answered, when_alone=False))

    async def _end(self, row: Row) -> None:
        """A row is in the book."""
        self._again.discard(row.ordinal)
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
        allotment.ended(row.ordinal, ran.is_recorded)
        return Ran("over budget") if ran.end == "no room" else ran


def take_over(fleet: OpenFleet, folder: Folder, progress: Progress) -> None:
    """Settle what an earlier run left when it died."""
    presumed = folder.book.recover(fleet.file.unbilled)
    folder.book.drop_strays(ROW_ACCOUNT)
    if presumed:
        progress.say(
            f"{presumed} calls were on their way when the last run died; they are counted at their "
            "worst case, of models here at what they usually cost, marked presumed."
        )


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
    """First Ctrl-C or SIGTERM asks the batch to stop; the second one ends it at once."""
    loop, held = asyncio.get_running_loop(), list[signal.Signals]()

    def first(why: str) -> None:
        release()
        stop(why)

    def release() -> None:
        while held:
            loop.remove_signal_handler(held.pop())

    try:
        for number, why in STOPPED_BY.items():
            loop.add_signal_handler(number, first, why)
            held.append(number)
    except (NotImplementedError, RuntimeError, ValueError):  # Windows, or a thread of its own
        release()
    try:
        yield
    finally:
        release()
