"""Runs a few rows along several routes, to learn what routes cost, take and answer.

The calls are those of the batch: they are paid from its account, and the batch that follows finds
their replies in its book. It decides nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestra.batch.folder import BATCH_ACCOUNT
from orchestra.batch.progress import Progress
from orchestra.batch.row_run import SILENT, RowRun
from orchestra.batch.tables.row import Row
from orchestra.book.messages import ReadSpent
from orchestra.core.errors import ModelUnavailable
from orchestra.core.job import CallRecord, Result
from orchestra.core.pricing import Work, cost_micro
from orchestra.routing.routes import Route

LEAST_WAVES = 3  # the pace of a batch is judged by how it differs between them


@dataclass(frozen=True, slots=True)
class CallSeen:
    """A call of the sample: its price as if it had been made, its work, and both as expected.

    `work_s` is CPU time, or for a model elsewhere time divided by the calls under way at once;
    it is 0 for a reply that was there already. One that was not `made` was spared.
    """

    node: str
    model: str
    cost_micro: float
    work_s: float
    expected_micro: float
    expected_s: float
    reused: bool
    is_conditional: bool = False
    made: bool = True


@dataclass(frozen=True, slots=True)
class RowSeen:
    """One row along one route."""

    ordinal: int
    kind: str
    route: Route
    result: Result
    calls: tuple[CallSeen, ...]


@dataclass(slots=True)
class Sample:
    """What a sample came to.

    `paces` are seconds of a wave for each second of its calls' work, `row_s` seconds of a row
    in waves without calls.
    """

    seen: list[RowSeen] = field(default_factory=list)
    paces: list[float] = field(default_factory=list)
    row_s: list[float] = field(default_factory=list)
    spent_micro: int = 0
    seconds: float = 0.0

    def add(self, other: Sample) -> None:
        """Count `other` in."""
        self.seen += other.seen
        self.paces += other.paces
        self.row_s += other.row_s
        self.spent_micro += other.spent_micro
        self.seconds += other.seconds


async def run_sample(
    rows: RowRun,
    drawn: Mapping[str, Sequence[Row]],
    routes: Mapping[str, Route],
    *,
    in_flight: int,
    progress: Progress,
) -> Sample:
    """Run each kind's rows along its route, in waves that mix the kinds.

    Raises `ModelUnavailable` when a model is silent, `BudgetExceeded` when the cap is used up.
    """
    started, sample = time.monotonic(), Sample()
    before = await rows.ledger.send(ReadSpent(BATCH_ACCOUNT))
    work = [(kind, row) for kind, some in drawn.items() if kind in routes for row in some]
    waves = max(1, min(LEAST_WAVES, len(work) // 2), -(-len(work) // in_flight))
    for first in range(waves):  # strided, so that each wave has rows of each kind
        began = time.monotonic()
        tries = [_try(rows, kind, row, routes[kind], in_flight) for kind, row in work[first::waves]]
        seen = await _all(tries)
        _note_pace(sample, seen, time.monotonic() - began)
        sample.seen += seen
        spent = await rows.ledger.send(ReadSpent(BATCH_ACCOUNT))
        for _ in seen:
            progress.row(spent.cost_micro)
    sample.spent_micro = (
        await rows.ledger.send(ReadSpent(BATCH_ACCOUNT))
    ).cost_micro - before.cost_micro
    sample.seconds = time.monotonic() - started
    return sample


def _note_pace(sample: Sample, seen: Sequence[RowSeen], seconds: float) -> None:
    """A wave with calls tells their pace, one without what a row takes beside them."""
    work = sum(call.work_s for row in seen for call in row.calls)
    if work > 0:
        sample.paces.append(seconds / work)
    elif seen:
        sample.row_s.append(seconds / len(seen))


async def _all(tries: Sequence[Awaitable[RowSeen]]) -> list[RowSeen]:
    """The rows of a wave; what one raised is raised once none is under way any more."""
    ended = await asyncio.gather(*tries, return_exceptions=True)
    for end in ended:
        if isinstance(end, BaseException):
            raise end
    return [end for end in ended if isinstance(end, RowSeen)]


async def _try(rows: RowRun, kind: str, row: Row, route: Route, in_flight: int) -> RowSeen:
    result = await rows.rehearse(row, dict(route.models))
    silent = next((error for error in result.errors if error.type in SILENT), None)
    if silent is not None:
        raise ModelUnavailable(f"The sample could not be run: {silent.message}")
    return RowSeen(row.ordinal, kind, route, result, tuple(_calls(rows, result, in_flight)))


def _calls(rows: RowRun, result: Result, in_flight: int) -> list[CallSeen]:
    planned: dict[str, Any] = {node["node"]: node for node in result.plan.get("nodes", ())}
    seen: list[CallSeen] = []
    for call in result.calls:
        node = planned.get(call.node)
        if node is not None:
            first = all(earlier.node != call.node for earlier in seen)
            seen.append(_call_seen(rows, call, node, in_flight, first))
    called = {call.node for call in seen}
    return seen + [
        CallSeen(
            node=name,
            model=_models(node),
            cost_micro=0.0,
            work_s=0.0,
            expected_micro=node["expected_cost_usd"] * 1e6,
            expected_s=node["latency_ms"] / 1000,
            reused=True,
            is_conditional=True,
            made=False,
        )
        for name, node in planned.items()
        if node["only"] is not None and name not in called
    ]


def _call_seen(
    rows: RowRun, call: CallRecord, planned: Any, in_flight: int, first: bool
) -> CallSeen:
    """All visits of a node are expected together, so its first call has what is expected."""
    cost = float(call.cost_usd) * 1e6
    if call.error is None:
        work = Work(call.input_tokens, call.output_tokens, call.image_count)
        cost = float(cost_micro(rows.fleet.file.card(call.model), work))
    return CallSeen(
        node=call.node,
        model=_models(planned),
        cost_micro=cost,
        work_s=0.0 if call.reused else call.cpu_s or call.seconds / in_flight,
        expected_micro=planned["expected_cost_usd"] * 1e6 * first,
        expected_s=planned["latency_ms"] / 1000 * first,
        reused=call.reused,
        is_conditional=planned["only"] is not None,
    )


def _models(planned: Any) -> str:
    """The model of a planned node or, in a cascade, both."""
    better = planned["escalation"]
    return planned["model"] if better is None else f"{planned['model']}>{better['model']}"
