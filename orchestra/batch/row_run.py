"""Runs one row: its job, within the batch's budget, to its record in the book.

It knows no table, no pause and no output, so the same unit runs in the batch's own process or
beside workers elsewhere. The row's result, the end of its account and its mark as finished are
one message to the ledger, so a row is done and paid, or neither.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from langgraph.graph.state import CompiledStateGraph

from orchestra.batch.folder import BATCH_ACCOUNT
from orchestra.batch.spec import BatchSpec
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
    RateLimited,
)
from orchestra.core.job import Budget, CallRecord, ErrorRecord, Job, Language, Result
from orchestra.fleet.opened import MOST_PLANS, OpenFleet
from orchestra.graph.intake import Intake, take_in
from orchestra.graph.probe import answers
from orchestra.graph.run import run_job
from orchestra.routing.introspect import view
from orchestra.routing.plan import Plan
from orchestra.routing.routes import plan_along

Models = Mapping[str, str]  # by node
# A row that met one of these is not done: it waits for a resume. Each row would meet a refused key,
# or a part of the request that its card asks for and the server refuses.
SILENT = frozenset(
    kind.__name__ for kind in (ModelUnavailable, RateLimited, AccessRefused, InvalidFleet)
)
REFUND_POLL_S = 1.0  # rows of other processes refund without a word to this one


@dataclass(frozen=True, slots=True)
class Ran:
    """How a row ended: it is in the book, its model was silent, or the budget has no room.

    A row that is not in the book may be run again; `why` says what to do. One over budget was left
    so that others could be served. `answered` are the models that answered it, `silent` those that
    did not; `is_billed`: a call of those may have been billed, and is booked under `account`.
    `failed` would record a row whose model was silent as it stands.
    """

    end: Literal["finished", "silent", "no room", "over budget"]
    why: str = ""
    answered: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    is_billed: bool = False
    account: str = ""
    failed: FinishRow | None = None


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
        self._identity = spec.identity
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
        return row_key(self._identity, self.columns.row_id(row), row.ordinal)

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
            result, opened = await self._answer(row, account, models)
        except _NoRoom as full:
            return Ran("no room", str(full))
        answered, silent = heard_from(result)
        end = self._end_of(row, result, account if opened else None)
        if silent:
            if opened:
                await self.ledger.send(CloseAccount(account))
                self._refund()
            why = next(error.message for error in result.errors if error.type in SILENT)
            is_billed = any(call.cost_usd for call in result.calls if _is_silent(call))
            return Ran("silent", why, answered, silent, is_billed, account, end)
        refused = [error for error in result.errors if error.type == BudgetExceeded.__name__]
        if refused and opened and (await self.ledger.send(ReadSpent(BATCH_ACCOUNT))).is_over:
            await self.ledger.send(CloseAccount(account))
            self._refund()
            return Ran("no room", refused[0].message)  # calls cost more than what was held for them
        await self.ledger.send(end)
        self._noted.update(end.names)
        self._refund()
        return Ran("finished", answered=answered)

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
        return FinishRow(
            key=self.key(row),
            ordinal=row.ordinal,
            row_id=self.columns.row_id(row),
            status=result.status,
            record_json=result.model_dump_json(),
            account=account,
            names=tuple(name for name in result.fields if name not in self._noted),
            again=row.again,
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
            intake = await take_in(self.fleet, self._job(row), self._base)
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


def row_key(identity: Mapping[str, str], row_id: str, ordinal: int) -> str:
    """The journal's key of a row: the batch, the row's id, and its place in the table."""
    text = json.dumps([dict(sorted(identity.items())), row_id, ordinal])
    return hashlib.sha256(text.encode()).hexdigest()


def row_account(row: Row) -> str:
    """A new account for one try at a row."""
    return f"row:{row.ordinal}:{uuid.uuid4().hex[:8]}"


def _is_open(spent: Spent) -> bool:
    """Whether rows under way hold a part of the budget, which they may give back."""
    return bool(spent.open_cost_micro or spent.open_tokens)


def row_budget(budget: Budget) -> Budget:
    """The limits that hold for each row by itself; what is spent is held by the batch."""
    return Budget(latency_ms=budget.latency_ms, memory_gib=budget.memory_gib)
