"""Timed calls drawn from a known law, so that a fit can be compared with the truth."""

from __future__ import annotations

import random
from typing import Any

from orchestra.book.timings import TimedCall
from orchestra.core.latency import Latency

TRUTH = Latency(
    fixed_ms=5,
    ms_per_input_token=0.02,
    ms_per_output_token=0.3,
    slowdown_per_call=0.5,
    slowdown_per_neighbour=0.3,
)
LOCAL = frozenset({"a", "b"})
CARD: dict[str, Any] = {
    "role": "text",
    "capabilities": ["text"],
    "price": {"as_of": "2026-11-01", "usd_per_cpu_second": "0.01"},
    "profile": {"origin": "estimated", "fixed_ms": 20},
    "hosting": {"memory_gib": 1},
    "limits": {"context_tokens": 1000},
}
RAW = {"name": "shop", "models": [CARD | {"name": "a"}, CARD | {"name": "b"}]}


def drawn_calls(
    count: int,
    *,
    seed: int = 0,
    noise: float = 0.05,
    wild: float = 0.0,
    planned_ms: float | None = 20.0,
    busy: bool = True,
    model: str = "a",
) -> list[TimedCall]:
    """Calls of one ask whose answers grow with the text; `wild` is the share that took 8 times."""
    draw = random.Random(seed)
    return [_drawn(draw, job, noise, wild, planned_ms, busy, model) for job in range(count)]


def _drawn(
    draw: random.Random,
    job: int,
    noise: float,
    wild: float,
    planned_ms: float | None,
    busy: bool,
    model: str,
) -> TimedCall:
    text_bytes = draw.choice([80, 300, 600])
    sent, made = round(30 + 0.3 * text_bytes), round(10 + 0.05 * text_bytes + draw.random() * 2)
    own, others = (draw.choice([0, 0, 1, 2]), draw.choice([0, 1])) if busy else (0, 0)
    siblings = draw.choice([0, 1]) if busy else 0
    ms = TRUTH.milliseconds(sent, made, 0, own, others + siblings)
    ms *= draw.lognormvariate(0, noise) * (8 if draw.random() < wild else 1)
    beside = {name: n for name, n in ((model, own), ("b", others)) if n}
    return TimedCall(
        job, model, "asked", ms, text_bytes, sent, made, 0, beside, siblings, planned_ms
    )


def measured(call: TimedCall) -> dict[str, Any]:
    """What a book keeps of `call`."""
    return {
        "ms": call.ms,
        "at": call.at_ms,
        "ask": call.ask,
        "bytes": call.text_bytes,
        "work": [call.input_tokens, call.output_tokens, call.images],
        "beside": dict(call.beside),
        "siblings": call.siblings,
        "planned": call.planned_ms,
    }
