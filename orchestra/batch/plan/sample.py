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
from orchestra.batch.row_run import SILENT, RowRun, heard_from
from orchestra.batch.tables.row import Row
from orchestra.book.messages import ReadSpent
from orchestra.core.errors import ModelUnavailable
from orchestra.core.job import CallRecord, Result
from orchestra.core.pricing import Work, cost_micro
from orchestra.routing.routes import Route

LEAST_WAVES = 3  # the pace of a batch is judged by how it differs between them


@dataclass(frozen=True, slots=True)
class SampledCall:
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
class SampledRow:
    """One row along one route."""

    row: Row
    kind: str
    route: Route
    result: Result
    calls: tuple[SampledCall, ...]


@dataclass(slots=True)
class Sample:
    """What a sample came to.

    `paces` are seconds of a wave for each second of its calls' work, `row_s` seconds of a row
    in waves without calls.
    """

    rows: list[SampledRow] = field(default_factory=list)
    paces: list[float] = field(default_factory=list)
    row_s: list[float] = field(default_factory=list)
    spent_micro: int = 0
    seconds: float = 0.0

    def add(self, other: Sample) -> None:
        """Count `other` in."""
        self.rows += other.rows
        self.paces += other.paces
        self.row_s += other.row_s
        self.spent_micro += other.spent_micro
        self.seconds += other.seconds

    @property
    def paid(self) -> list[tuple[int, Route]]:
        """Rows, by ordinal, whose calls along a route are in the book."""
        return [(sampled.row.ordinal, sampled.route) for sampled in self.rows]


async def run_sample(
    rows: RowRun,
    drawn: Mapping[str, Sequence[Row]],
    routes: Mapping[str, Route],
    *,
    in_flight: int,
    progress: Progress,
) -> Sample:
    """Run each kind's rows along its route, in waves that mix the kinds.

    Raises `ModelUnavailable` when a model is silent to all, `BudgetExceeded` at the cap.
    """
    started, sample = time.monotonic(), Sample()
    before = await rows.ledger.send(ReadSpent(BATCH_ACCOUNT))
    work = [(kind, row) for kind, some in drawn.items() if kind in routes for row in some]
    waves = max(1, min(LEAST_WAVES, len(work) // 2), -(-len(work) // in_flight))
    for first in range(waves):  # strided, so that each wave has rows of each kind
        began = time.monotonic()
        tries = [_run(rows, kind, row, routes[kind], in_flight) for kind, row in work[first::waves]]
        wave = await _all(tries)
        await _check_answered(rows, wave)
        _note_pace(sample, wave, time.monotonic() - began)
        sample.rows += wave
        spent = await rows.ledger.send(ReadSpent(BATCH_ACCOUNT))
        for _ in wave:
            progress.row(spent.cost_micro)
    after = await rows.ledger.send(ReadSpent(BATCH_ACCOUNT))
    sample.spent_micro = after.cost_micro - before.cost_micro
    sample.seconds = time.monotonic() - started
    return sample


def _note_pace(sample: Sample, wave: Sequence[SampledRow], seconds: float) -> None:
    """A wave with calls tells their pace, one without what a row takes beside them."""
    work = sum(call.work_s for row in wave for call in row.calls)
    if work > 0:
        sample.paces.append(seconds / work)
    elif wave:
        sample.row_s.append(seconds / len(wave))


async def _all(tries: Sequence[Awaitable[SampledRow]]) -> list[SampledRow]:
    """The rows of a wave; what one raised is raised once none is under way any more."""
    ended = await asyncio.gather(*tries, return_exceptions=True)
    for end in ended:
        if isinstance(end, BaseException):
            raise end
    return [end for end in ended if isinstance(end, SampledRow)]


async def _run(rows: RowRun, kind: str, row: Row, route: Route, in_flight: int) -> SampledRow:
    result = await rows.rehearse(row, dict(route.models))
    return SampledRow(row, kind, route, result, tuple(_calls(rows, result, in_flight)))


async def _check_answered(rows: RowRun, wave: Sequence[SampledRow]) -> None:
    """A row that a model fails on while it answers others failed; a model that answers nobody is
    the sample's error. Raises `ModelUnavailable`."""
    heard = [heard_from(sampled.result) for sampled in wave]
    answered = set[str]().union(*(models for models, _ in heard))
    for sampled, (_, silent) in zip(wave, heard, strict=True):
        error = next((one for one in sampled.result.errors if one.type in SILENT), None)
        if error is None:
            continue
        for model in silent - answered:
            if not await rows.answers(model):
                break
            answered.add(model)
        if not (silent and silent <= answered):
            raise ModelUnavailable(f"The sample could not be run: {error.message}")


def _calls(rows: RowRun, result: Result, in_flight: int) -> list[SampledCall]:
    """The calls that were made, then those that were spared."""
    planned: dict[str, Any] = {node["node"]: node for node in result.plan.get("nodes", ())}
    calls: list[SampledCall] = []
    for call in result.calls:
        node = planned.get(call.node)
        if node is not None:
            first = all(earlier.node != call.node for earlier in calls)
            calls.append(_made(rows, call, node, in_flight, first))
    called = {call.node for call in calls}
    spared = [
        _call(node, cost_micro=0.0, work_s=0.0, reused=True, made=False)
        for name, node in planned.items()
        if node["only"] is not None and name not in called
    ]
    return calls + spared


def _made(rows: RowRun, call: CallRecord, planned: Any, in_flight: int, first: bool) -> SampledCall:
    """All visits of a node are expected together, so its first call has what is expected."""
    cost = float(call.cost_usd) * 1e6
    if call.error is None:
        work = Work(call.input_tokens, call.output_tokens, call.image_count)
        cost = float(cost_micro(rows.fleet.file.card(call.model), work))
    work_s = 0.0 if call.reused else call.cpu_s or call.seconds / in_flight
    return _call(planned, cost_micro=cost, work_s=work_s, reused=call.reused, expected=first)


def _call(planned: Any, *, expected: bool = True, **figures: Any) -> SampledCall:
    """A call of a planned node; of a cascade's, both models are its model."""
    better, only = planned["escalation"], planned["only"]
    made = expected / ((only or {}).get("share") or 1.0)
    return SampledCall(
        node=planned["node"],
        model=planned["model"] if better is None else f"{planned['model']}>{better['model']}",
        expected_micro=planned["expected_cost_usd"] * 1e6 * made,
        expected_s=planned["latency_ms"] / 1000 * made,
        is_conditional=only is not None,
        **figures,
    )
