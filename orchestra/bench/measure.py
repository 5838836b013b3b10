"""Measures the models of a fleet: each is asked all it can take, one at a time, and scored.

What is asked is paid for within an account of its own, so a bench has a budget like any job. A
model that cannot be reached or loaded has a row that says why; the others are measured.
"""

from __future__ import annotations

import asyncio
import math
import os
import platform
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import Any

from orchestra.app import Fleet
from orchestra.bench.footprint import Footprint, footprint, size_bytes
from orchestra.bench.questions import Question
from orchestra.book.messages import OpenAccount
from orchestra.core.call import Call, Reply
from orchestra.core.card import Card
from orchestra.core.errors import (
    AccessRefused,
    BookError,
    BudgetExceeded,
    CheckpointInvalid,
    ConfirmationNeeded,
    InvalidFleet,
    ModelUnavailable,
    OrchestraError,
)
from orchestra.core.job import Budget, ErrorRecord
from orchestra.core.money import limit_micro
from orchestra.core.pricing import Work
from orchestra.core.stats import Interval, wilson
from orchestra.core.values import folded
from orchestra.graph.caller import Ticket
from orchestra.images.store import pixel_hash
from orchestra.routing.candidates import price_unknown

ACCOUNT = "bench"
FAILED = "\0failed"
# After these the next question would fail, too: the model is not there.
LOST = (ModelUnavailable, AccessRefused, CheckpointInvalid, BudgetExceeded)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """What is to be measured: models (all hosted ones if none are named), and within what money.

    `per_kind` bounds the questions of each kind of a task. `memory` loads each local model once
    more, in a process of its own.
    """

    models: tuple[str, ...] = ()
    budget: Budget = field(default_factory=Budget)
    per_kind: int | None = None
    memory: bool = True


@dataclass(frozen=True, slots=True)
class Score:
    """One task, or one kind of its questions: `right` of `asked`.

    `baseline` is the share of the commonest true answer, `wrong` are answers that are neither
    right nor an abstention, `p50_ms` is the median of the calls that were made.
    """

    task: str
    kind: str
    asked: int
    right: int
    wrong: int
    abstained: int
    accuracy: float
    baseline: float
    interval: Interval | None
    p50_ms: float | None


@dataclass(frozen=True, slots=True)
class _Verdict:
    question: Question
    value: str | None
    seconds: float | None


@dataclass(slots=True)
class Measurements:
    """What a model did: scores, seconds of each call, and the first error of each kind.

    `cpu_seconds` are those that a local engine metered: unlike the others they are the same on a
    busy machine.
    """

    scores: list[Score] = field(default_factory=list)
    parts: list[Score] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)
    failed: int = 0
    cost_usd: Decimal = Decimal(0)


def percentile_ms(seconds: Sequence[float], share: float) -> float | None:
    """The time in ms that `share` of `seconds` did not pass (nearest rank); None of none."""
    if not seconds:
        return None
    ranked = sorted(seconds)
    return ranked[max(0, math.ceil(share * len(ranked)) - 1)] * 1000


async def bench(
    fleet: Fleet,
    questions: Sequence[Question],
    settings: BenchSettings,
    *,
    say: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """A row for each model of `settings`; `say` is told what is being done.

    Raises `InvalidFleet` for an unknown model or a fleet without hosted ones, and
    `ConfirmationNeeded` for paid models without a budget of money.
    """
    cards = [fleet.file.card(name) for name in settings.models] or [
        card for card in fleet.file.models if card.is_hosted
    ]
    if not cards:
        raise InvalidFleet(
            f"The fleet {fleet.name!r} is for planning only: no card says how to reach its model. "
            "Use --fleet mini, or add a worker or an endpoint to a card."
        )
    _check_money(cards, settings.budget)
    limit = None if settings.budget.cost_usd is None else limit_micro(settings.budget.cost_usd)
    await fleet.ledger.send(OpenAccount(ACCOUNT, cost_micro=limit))
    bounded = _bounded(questions, settings.per_kind)
    rows: list[Row] = []
    for card in cards:
        say(f"measuring {card.name} ...")
        rows.append(await _row(fleet, card, bounded, settings))
    return rows


def machine() -> dict[str, Any]:
    """What the measurements depend on beside the fleet."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpus": os.cpu_count(),
        "load": [round(load, 1) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
    }


async def measure(fleet: Fleet, card: Card, questions: Sequence[Question]) -> Measurements:
    """Ask `card` what it can take of `questions`.

    The model loads, and answers the first question once, before the clock starts. A question that
    fails counts as wrong. Raises what loading raises, `BudgetExceeded`, and what says that the
    model is not to be reached.
    """
    measured = Measurements()
    fitting = [question for question in questions if question.needs <= set(card.capabilities)]
    if not fitting:
        return measured
    client = fleet.client(card.name)
    await client.prepare()
    await _warm(fleet, card, _call_for(card, fitting[0].call))
    verdicts: list[_Verdict] = []
    for question in fitting:
        answer, seconds = await _answer(fleet, card, _call_for(card, question.call), measured)
        verdicts.append(_Verdict(question, _value(answer, question), seconds))
    by_task: dict[str, list[_Verdict]] = {}
    for verdict in verdicts:
        by_task.setdefault(verdict.question.task, []).append(verdict)
    measured.scores = [_score(task, "", found) for task, found in by_task.items()]
    measured.parts = [part for task, found in by_task.items() for part in _parts(task, found)]
    return measured


def _parts(task: str, verdicts: Sequence[_Verdict]) -> list[Score]:
    """A score for each kind of a task's questions, where there is more than one."""
    by_kind: dict[str, list[_Verdict]] = {}
    for verdict in verdicts:
        by_kind.setdefault(verdict.question.kind, []).append(verdict)
    return [_score(task, kind, found) for kind, found in by_kind.items() if len(by_kind) > 1]


def _call_for(card: Card, call: Call) -> Call:
    """`call` as the card's host wants it."""
    return replace(
        call,
        thinking_tokens=card.limits.thinking_tokens,
        schema_in_prompt=card.hosting.schema_in_prompt,
    )


async def _warm(fleet: Fleet, card: Card, call: Call) -> None:
    """One call that is not timed; of a local model it costs nobody money."""
    if card.hosting.endpoint is not None:
        await _answer(fleet, card, call, Measurements())
        return
    try:
        await fleet.client(card.name).complete(call)
    except OrchestraError as error:
        if isinstance(error, LOST):
            raise


async def _answer(
    fleet: Fleet, card: Card, call: Call, measured: Measurements
) -> tuple[Reply | OrchestraError, float | None]:
    """One call of the account and its seconds; None where an identical one had been answered."""
    ticket = Ticket(
        node="bench",
        card=card,
        account=ACCOUNT,
        ceiling=Work(
            card.limits.context_tokens - call.written_tokens, call.written_tokens, len(call.images)
        ),
        images=tuple(pixel_hash(image) for image in call.images),
        prompt_hash="",
        left_s=None,
    )
    answer, record = await fleet.caller.call(fleet.client(card.name), call, ticket)
    measured.cost_usd += record.cost_usd
    if isinstance(answer, LOST):
        raise answer
    if isinstance(answer, OrchestraError):
        measured.failed += 1
        measured.errors.setdefault(answer.kind, str(answer))
        return answer, None
    if record.reused:
        return answer, None
    measured.seconds.append(record.seconds)
    measured.cpu_seconds.append(answer.usage.cpu_s)
    return answer, record.seconds


def _value(answer: Reply | OrchestraError, question: Question) -> str | None:
    """The value given; None for an abstention; of a failure, a value that is never right."""
    if isinstance(answer, OrchestraError):
        return FAILED
    value = answer.value.get(question.field) if isinstance(answer.value, dict) else answer.text
    return None if value is None else folded(str(value))


def _score(task: str, kind: str, found: Sequence[_Verdict]) -> Score:
    truths = [None if v.question.truth is None else folded(v.question.truth) for v in found]
    right = sum(v.value == truth for v, truth in zip(found, truths, strict=True))
    abstained = sum(v.value is None for v in found)
    rightly = sum(v.value is None and truth is None for v, truth in zip(found, truths, strict=True))
    p50_ms = percentile_ms([v.seconds for v in found if v.seconds is not None], 0.5)
    return Score(
        task=task,
        kind=kind,
        asked=len(found),
        right=right,
        wrong=len(found) - abstained - (right - rightly),
        abstained=abstained,
        accuracy=round(right / len(found), 4),
        baseline=round(Counter(truths).most_common(1)[0][1] / len(found), 4),
        interval=wilson(right, len(found)),
        p50_ms=None if p50_ms is None else round(p50_ms, 2),
    )


def _check_money(cards: Sequence[Card], budget: Budget) -> None:
    unpriced = [card for card in cards if card.price.unknown]
    if unpriced and budget.cost_usd is not None:
        raise price_unknown(unpriced)
    paid = [card.name for card in cards if card.hosting.endpoint and card.price.is_paid]
    if paid and budget.cost_usd is None:
        raise ConfirmationNeeded(
            f"Measuring {', '.join(paid)} costs money by the prices on the cards. "
            "Say the most that may be spent: --cost-usd 1"
        )


def _bounded(questions: Sequence[Question], per_kind: int | None) -> list[Question]:
    """The first `per_kind` questions of each kind, or all."""
    counts: dict[tuple[str, str], int] = {}
    kept: list[Question] = []
    for question in questions:
        key = (question.task, question.kind)
        counts[key] = counts.get(key, 0) + 1
        if per_kind is None or counts[key] <= per_kind:
            kept.append(question)
    return kept


async def _row(
    fleet: Fleet, card: Card, questions: Sequence[Question], settings: BenchSettings
) -> Row:
    measured, memory, error = Measurements(), None, None
    try:
        measured = await measure(fleet, card, questions)
        if card.hosting.worker is not None and settings.memory:
            memory = await asyncio.to_thread(footprint, fleet.name, card.name)
    except BookError:
        raise
    except OrchestraError as cause:
        error = ErrorRecord.of(card.name, cause)
    return _as_row(card, measured, memory, size_bytes(card, fleet.folder), error)


def _as_row(
    card: Card,
    measured: Measurements,
    memory: Footprint | None,
    size: int | None,
    error: ErrorRecord | None,
) -> Row:
    grown = None if memory is None else round(memory.after_mib - memory.before_mib, 1)
    return {
        "model": card.name,
        "role": card.role,
        "capabilities": list(card.capabilities),
        "error": None if error is None else {"type": error.type, "message": error.message},
        "scores": [asdict(score) for score in measured.scores],
        "parts": [asdict(score) for score in measured.parts],
        "latency_p50_ms": _rounded(percentile_ms(measured.seconds, 0.5)),
        "latency_p95_ms": _rounded(percentile_ms(measured.seconds, 0.95)),
        "cpu_p50_ms": _rounded(percentile_ms(measured.cpu_seconds, 0.5)) or None,
        "calls": len(measured.seconds),
        "memory_mib": grown,
        "memory": None if memory is None else asdict(memory),
        "size_mb": None if size is None else round(size / 1e6, 2),
        "cost_usd": str(measured.cost_usd),
        "failed": measured.failed,
        "errors": measured.errors,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
