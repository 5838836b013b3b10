"""The bench of a fleet: a row for each model, of scores, latency, memory and size.

A model that cannot be reached or loaded has a row that says why; the others are measured.
"""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestra.app import Fleet
from orchestra.bench.footprint import Footprint, footprint, size_bytes
from orchestra.bench.measure import ACCOUNT, Measurements, measure, percentile_ms
from orchestra.bench.questions import Question
from orchestra.core.card import Card
from orchestra.core.errors import BookError, ConfirmationNeeded, InvalidFleet, OrchestraError
from orchestra.core.job import Budget, ErrorRecord
from orchestra.core.money import limit_micro

Row = dict[str, Any]
UNLIMITED = Budget()


@dataclass(frozen=True, slots=True)
class BenchSettings:
    """What is to be measured: models (all hosted ones if none are named), and within what money.

    `per_kind` bounds the questions of each kind of a task. `memory` loads each local model once
    more, in a process of its own.
    """

    models: tuple[str, ...] = ()
    budget: Budget = UNLIMITED
    per_kind: int | None = None
    memory: bool = True


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
    await fleet.ledger.open_account(ACCOUNT, cost_micro=limit)
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


def _check_money(cards: Sequence[Card], budget: Budget) -> None:
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
    measured, memory, error = Measurements(card.name, card.role), None, None
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
        "latency_p50_ms": _rounded(measured.percentile_ms(0.5)),
        "latency_p95_ms": _rounded(measured.percentile_ms(0.95)),
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
