"""Runs one row: its job, within the batch's budget, to its record in the book or its question.

It knows no table, no pause and no output, so the same unit runs in the batch's own process or
beside workers elsewhere. The row's result, the end of its account and its mark as finished are
one message to the ledger, so a row is done and paid, or neither.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from langgraph.graph.state import CompiledStateGraph

from orchestra.batch.folder import BATCH_ACCOUNT
from orchestra.batch.parked import WaitingRow
from orchestra.batch.spec import BatchSpec, row_key
from orchestra.batch.tables.row import Row
from orchestra.book.ledger import RowLedger
from orchestra.book.messages import Candidate, CloseAccount, FinishRow, ReadSpent, Spent
from orchestra.core.errors import (
    AccessRefused,
    BookError,
    BudgetExceeded,
    DuplicateId,
    InvalidFleet,
    ModelUnavailable,
    OrchestraError,
    PlanError,
    RateLimited,
    UsageError,
)
from orchestra.core.job import Budget, CallRecord, ErrorRecord, Job, Language, Result
from orchestra.fleet.opened import MOST_PLANS, OpenFleet
from orchestra.graph.accounts import open_account
from orchestra.graph.intake import Intake, take_in
from orchestra.graph.probe import answers
from orchestra.graph.run import resume_job, run_job
from orchestra.graph.threads import ThreadRecord, read_thread
from orchestra.observe.genai import note_result, workflow_span
from orchestra.routing.introspect import view
from orchestra.routing.plan import Plan
from orchestra.routing.routes import plan_along

Models = Mapping[str, str]  # by node
# A row that met one of these is not done: it waits for a resume. Each row would meet a refused key,
# or a part of the request that its card asks for and the server refuses.
SILENT = frozenset(
    kind.__name__ for kind in (ModelUnavailable, RateLimited, AccessRefused, InvalidFleet)
)
ROW_ACCOUNT = "row:"  # what the accounts of rows, and the threads that they wait as, begin with
REFUND_POLL_S = 1.0  # rows of other processes refund without a word to this one


@dataclass(frozen=True, slots=True)
class Ran:
    """How a row ended: it is in the book, its model was silent, or the budget has no room.

    A row that waits for a person is in the book as well. One that is not may be run again; `why`
    says what to do. One over budget was left so that others could be served, and an answer that was
    refused left its row as it was. `answered` are the models that answered it, `silent` those that
    did not; `is_billed`: a call of those may have been billed, and is booked under `account`.
    `failed` would record a row whose model was silent as it stands.
    """

    end: Literal["finished", "waiting", "silent", "no room", "over budget", "refused"]
    why: str = ""
    answered: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    is_billed: bool = False
    account: str = ""
    failed: FinishRow | None = None

    @property
    def is_recorded(self) -> bool:
        """Whether the row is in the book: its result, or its question."""
        return self.end in ("finished", "waiting")


class RowRun:
    """Runs rows of the settled batch `spec` on one fleet, which spends into its `ledger`.

    `budget` is the whole batch's; `tags` are noted with what the rows spend.
    """

    def __init__(
        self,
        fleet: OpenFleet,
        ledger: RowLedger,
        graph: CompiledStateGraph,
        spec: BatchSpec,
        budget: Budget,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.fleet = fleet
        self.ledger = ledger
        self.graph = graph
        self.columns = spec.columns
        self._work = spec.work
        self._name = Path(spec.graph).name if isinstance(spec.graph, str) else graph.get_name()
        self._language: Language = spec.language or "auto"
        self._base = spec.base
        self._budget = row_budget(budget)
        self._tags = tags or {}
        self._stopping = False
        self._refunded = asyncio.Event()
        self._noted: set[str] = set()
        self._plans: dict[tuple[Any, ...], Plan] = {}

    def stop(self) -> None:
        """Start no row that has to wait for room; those under way end as they would."""
        self._stopping = True
        self._refund()

    def key(self, row: Row) -> str:
        """The row's key in the journal."""
        return row_key(self._work, self.columns.row_id(row), row.ordinal)

    def candidate(self, row: Row) -> Candidate:
        """The row as the ledger admits it. Rows are admitted in the table's order."""
        named = row.error is None and self.columns.has_id(row)
        row_id = self.columns.row_id(row) if named else None
        return Candidate(self.key(row), row.ordinal, row_id, row.again)

    def duplicate(self, row: Row, owner: int) -> ErrorRecord:
        """The error of a row whose id the row `owner` has claimed."""
        error = DuplicateId(
            f"The id {self.columns.row_id(row)!r} of row {row.ordinal} is used by row {owner} "
            "already. Give each row its own id, or choose another --id-column."
        )
        return ErrorRecord.of("job", error)

    async def run(self, row: Row, account: str | None = None, models: Models | None = None) -> Ran:
        """Run an admitted row to its end in the book, under `account` or one of its own.

        `models` by node is the route it takes, with the nodes that are not named left out;
        without it the planner's own. Raises `BookError` when the book fails: then nothing may go
        on as if it had not.
        """
        account = account or row_account(row)
        try:
            with workflow_span(self._name) as seen:
                result, opened = await self._answer(row, account, models)
                note_result(seen, result)
        except _NoRoom as full:
            return Ran("no room", str(full))
        answered, silent = heard_from(result)
        end = self._end_of(row, result, account if opened else None)
        if silent:
            if opened:
                await self._give_back(account)
            why = next(error.message for error in result.errors if error.type in SILENT)
            is_billed = any(call.cost_usd for call in result.calls if _is_silent(call))
            return Ran("silent", why, answered, silent, is_billed, account, end)
        if opened and (over := await self._why_over(result.errors)):
            await self._give_back(account)
            return Ran("no room", over)
        await self._record(end)
        return Ran("waiting" if result.questions else "finished", answered=answered)

    async def resume(self, parked: WaitingRow, answer: Any) -> Ran:
        """Go on with a row that waits, in the account and along the route that it began with.

        Where nothing came of it the row waits as before, and what was paid for is not paid again.
        Raises `BookError`.
        """
        try:
            record, intake = await read_thread(self.fleet, parked.thread_id)
            await self._reopen(record)
        except _NoRoom as full:
            return Ran("no room", str(full))
        except UsageError as error:
            return Ran("refused", str(error))
        try:
            with workflow_span(self._name) as seen:
                result = await self._go_on(parked, record, intake, answer)
                note_result(seen, result)
            left = await self._why_left(parked, record, result)
        except (UsageError, PlanError) as error:
            await self._give_back(record.account)
            return Ran("refused", str(error))
        if left is not None:
            await self._give_back(record.account)
            return left
        ended = None if result.questions else parked.thread_id
        row = (parked.key, parked.ordinal, parked.row_id, parked.source)
        await self._record(self._finish(*row, result, record.account, again=True, thread=ended))
        return Ran("waiting" if result.questions else "finished")

    async def _reopen(self, record: ThreadRecord) -> None:
        """Hold what the row held before it waited. Raises `_NoRoom`."""
        account, job, ceiling = record.account, record.job, record.ceiling
        while True:
            refunded = self._refunded
            try:
                return await open_account(
                    self.fleet, account, job, ceiling, parent=BATCH_ACCOUNT, hold=True
                )
            except BudgetExceeded as error:
                await self._wait_for_room(refunded, error)

    async def _go_on(
        self, parked: WaitingRow, record: ThreadRecord, intake: Intake, answer: Any
    ) -> Result:
        """What the row came to. Raises `UsageError` and `PlanError` where it never began."""
        # A breakpoint asks nothing, and a saver of the user's own may have gone on since.
        is_asked = parked.open_ids and (record.questions or record.checkpoint)
        given = answer if is_asked else None
        try:
            return await resume_job(
                self.fleet, self.graph, record, intake, given, parent=BATCH_ACCOUNT
            )
        except (BookError, UsageError, PlanError):
            raise
        except OrchestraError as error:
            return Result(status="failed", errors=(ErrorRecord.of("job", error),))

    async def _why_left(
        self, parked: WaitingRow, record: ThreadRecord, result: Result
    ) -> Ran | None:
        """Why a row that has gone on waits as before; None where it came to something.

        Where a saver of the user's own has gone on beyond the answer, it cannot be given again.
        """
        if record.checkpoint is None:
            return None
        news = [error for error in result.errors if error not in parked.result.errors]
        silent = next((error.message for error in news if error.type in SILENT), None)
        if silent is not None:
            return Ran("silent", silent)
        over = await self._why_over(news)
        return None if over is None else Ran("no room", over)

    async def _why_over(self, errors: Sequence[ErrorRecord]) -> str | None:
        """Why calls were refused, where others cost more than what was held for them."""
        refused = [error.message for error in errors if error.type == BudgetExceeded.__name__]
        if refused and (await self.ledger.send(ReadSpent(BATCH_ACCOUNT))).is_over:
            return refused[0]
        return None

    async def _record(self, end: FinishRow) -> None:
        await self.ledger.send(end)
        self._noted.update(end.names)
        self._refund()

    async def _give_back(self, account: str) -> None:
        """What a row holds and has not spent is free for others."""
        await self.ledger.send(CloseAccount(account))
        self._refund()

    def lost(self, row: Row, why: str) -> Ran:
        """A row that ended each process it was run in, whatever its models are."""
        error = ErrorRecord.of("job", ModelUnavailable(why))
        end = self._end_of(row, Result(status="failed", errors=(error,)), None)
        return Ran("silent", why, is_billed=True, account=row_account(row), failed=end)

    async def answers(self, model: str) -> bool:
        """Whether `model` answers a short question of no row now. Raises `BookError`."""
        return await answers(self.fleet, model, BATCH_ACCOUNT)

    def _end_of(self, row: Row, result: Result, account: str | None) -> FinishRow:
        """What records the row with `result`."""
        row_id, source = self.columns.row_id(row), self.columns.source(row, self._base)
        place = (self.key(row), row.ordinal, row_id, source)
        return self._finish(*place, result, account, again=row.again)

    def _finish(
        self,
        key: str,
        ordinal: int,
        row_id: str,
        source: str,
        result: Result,
        account: str | None,
        *,
        again: bool,
        thread: str | None = None,
    ) -> FinishRow:
        return FinishRow(
            key=key,
            ordinal=ordinal,
            row_id=row_id,
            status=result.status,
            record_json=result.model_dump_json(),
            account=account,
            names=tuple(name for name in result.fields if name not in self._noted),
            again=again,
            thread=thread,
            source=source,
        )

    async def rehearse(self, row: Row, models: Models | None) -> Result:
        """Run a row along a route without recording it; the batch will find its calls paid.

        Raises `BudgetExceeded` when there is no room, and `BookError`.
        """
        account = row_account(row)
        try:
            result, opened = await self._answer(row, account, models)
        except _NoRoom as full:
            raise BudgetExceeded(str(full)) from None
        if opened:
            await self.ledger.send(CloseAccount(account))
        self._refund()
        return result

    async def _answer(self, row: Row, account: str, models: Models | None) -> tuple[Result, bool]:
        """The row's result, and whether an account was opened for it."""
        if row.error is not None:
            return Result(status="failed", errors=(row.error,)), False
        try:
            fine = view(self.graph).is_fine
            intake = await take_in(self.fleet, self._job(row), self._base, fine=fine)
            return await self._run_within_budget(intake, account, self._plan(intake, models))
        except BookError:
            raise
        except OrchestraError as error:
            # A node of the user's that raised leaves the account open, with all that it holds.
            opened = await self._has_opened(account)
            return Result(status="failed", errors=(ErrorRecord.of("job", error),)), opened

    async def _has_opened(self, account: str) -> bool:
        """Whether the row's account was opened: what was raised came from inside its graph."""
        try:
            await self.ledger.send(ReadSpent(account))
        except BookError:
            return False
        return True

    def _job(self, row: Row) -> Job:
        job = self.columns.job(row, self._language)
        return job.model_copy(update={"budget": self._budget, "tags": self._tags})

    def _plan(self, intake: Intake, models: Models | None) -> Plan | None:
        """The plan along a route, made once for each shape; None is the planner's own."""
        if models is None or intake.is_lost:
            return None
        key = (intake.shape, tuple(models.items()))
        known = self._plans.get(key)
        if known is None:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            seen = view(self.graph)
            fleet, limits = self.fleet, self._budget
            known = plan_along(seen, intake.shape, limits, fleet.file, models, fleet.policy)
            self._plans[key] = known
        return known

    async def _run_within_budget(
        self, intake: Intake, account: str, planned: Plan | None
    ) -> tuple[Result, bool]:
        """Run once the row's ceiling fits; refunds of finished rows make room."""
        while True:
            refunded = self._refunded
            try:
                result = await run_job(
                    self.fleet,
                    self.graph,
                    intake,
                    account=account,
                    parent=BATCH_ACCOUNT,
                    planned=planned,
                )
                return result, bool(result.plan)
            except BudgetExceeded as error:
                if await self._has_opened(account):
                    raise  # a node's own budget is used up: no refund of another row would help
                await self._wait_for_room(refunded, error)

    async def _wait_for_room(self, refunded: asyncio.Event, error: BudgetExceeded) -> None:
        """Wait for what other rows give back. Raises `_NoRoom` where that is nothing."""
        if self._stopping or not _is_open(await self.ledger.send(ReadSpent(BATCH_ACCOUNT))):
            raise _NoRoom(str(error)) from None
        with suppress(TimeoutError):
            await asyncio.wait_for(refunded.wait(), timeout=REFUND_POLL_S)

    def _refund(self) -> None:
        """Wake the rows that wait; one that is about to wait has seen what is free now."""
        refunded, self._refunded = self._refunded, asyncio.Event()
        refunded.set()


def heard_from(result: Result) -> tuple[frozenset[str], frozenset[str]]:
    """The models that answered in a row just now, and those that it found silent.

    A model that did both is among the silent.
    """
    stages = {error.stage for error in result.errors if error.type in SILENT}
    unanswered = [call for call in result.calls if _is_silent(call)]
    silent = {call.model for call in unanswered if call.node in stages}
    # A model may fall silent before its call is made: then the plan says which one it was.
    early = stages - {call.node for call in unanswered}
    silent |= {node["model"] for node in result.plan.get("nodes", ()) if node["node"] in early}
    if stages and not silent:  # a node of the user's own asked a model beside the plan
        silent = {call.model for call in unanswered}
    answered = {c.model for c in result.calls if c.error is None and not (c.reused or c.cached)}
    return frozenset(answered - silent), frozenset(silent)


def _is_silent(call: CallRecord) -> bool:
    return call.error is not None and call.error.type in SILENT


class _NoRoom(Exception):
    """The batch's budget has no room for another row."""


def row_account(row: Row) -> str:
    """A new account for one try at a row."""
    return f"{ROW_ACCOUNT}{row.ordinal}:{uuid.uuid4().hex[:8]}"


def _is_open(spent: Spent) -> bool:
    """Whether rows under way hold a part of the budget, which they may give back."""
    return bool(spent.open_cost_micro or spent.open_tokens)


def row_budget(budget: Budget) -> Budget:
    """The limits that hold for each row by itself; what is spent is held by the batch."""
    return Budget(latency_ms=budget.latency_ms, memory_gib=budget.memory_gib)
