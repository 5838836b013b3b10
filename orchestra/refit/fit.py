"""Fits how long a model's calls take from calls that were made; it knows no book and no file.

A call's time is its parts (fixed, tokens, images) times how much it was slowed by what it stood
beside. Parts are fitted on the tokens a call had, the spread on what its plan could have known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from orchestra.book.timings import TimedCall
from orchestra.core.latency import AnswerLength, Latency, Overhead
from orchestra.refit.robust import fit_shares, high

ALTERNATIONS = 8
FEWEST_OF_ASK = 10  # calls of one ask that tell the length of its answers
FEWEST_BESIDE = 10  # calls beside others that tell how much these slow
SHORTEST_MS = 0.01


@dataclass(frozen=True, slots=True)
class TimedJob:
    """A job's own time: `overhead_ms` in which no model worked, with so many calls and photos.

    `account` is where its calls stand in the book, `whole_ms` from its photos' intake to its end.
    """

    overhead_ms: float
    calls: int
    images: int
    account: str = ""
    whole_ms: float = 0.0


def predicted_ms(latency: Latency, call: TimedCall, local: frozenset[str]) -> float:
    """What a plan that knew what stood beside would have said of `call`.

    `local` are the models that share this machine.
    """
    known = latency.answer_of(call.ask)
    tokens_in, tokens_out = call.input_tokens, call.output_tokens
    if known is not None:
        tokens_in, tokens_out = map(round, known.tokens(call.text_bytes))
    own, neighbours = _beside(call, local)
    return latency.milliseconds(tokens_in, tokens_out, call.images, own, neighbours)


def fit_latency(calls: Sequence[TimedCall], old: Latency | None, local: frozenset[str]) -> Latency:
    """The latency of one model from its `calls`; what they do not tell stays as in `old`."""
    parts, slowdown = _fit_parts(calls, old or Latency(), local)
    fitted = Latency(
        calls=len(calls),
        fixed_ms=figure(parts[0]),
        ms_per_input_token=figure(parts[1]),
        ms_per_output_token=figure(parts[2]),
        ms_per_image=figure(parts[3]),
        cold_start_ms=old.cold_start_ms if old else 0.0,
        slowdown_per_call=figure(slowdown[0]),
        slowdown_per_neighbour=figure(slowdown[1]),
        answers=_answers(calls, old),
    )
    shares = np.array(
        [call.ms / max(predicted_ms(fitted, call, local), SHORTEST_MS) for call in calls]
    )
    return fitted.model_copy(update={"p99_ratio": figure(max(1.0, high(shares)))})


def fit_overhead(jobs: Sequence[TimedJob]) -> Overhead:
    """The time of jobs beside their models' from `jobs`."""
    values = np.array([max(job.overhead_ms, SHORTEST_MS) for job in jobs])
    features = np.array([(1.0, job.calls, job.images) for job in jobs])
    parts = _fit_varying(features, values)
    fitted = Overhead(
        jobs=len(jobs),
        job_ms=figure(parts[0]),
        ms_per_call=figure(parts[1]),
        ms_per_image=figure(parts[2]),
    )
    shares = values / np.maximum(features @ parts, SHORTEST_MS)
    return fitted.model_copy(update={"p99_ratio": figure(max(1.0, high(shares)))})


def _fit_parts(
    calls: Sequence[TimedCall], old: Latency, local: frozenset[str]
) -> tuple[np.ndarray, np.ndarray]:
    """(fixed, per token in, per token out, per image) and (per call, per neighbour), in turn."""
    times = np.array([max(call.ms, SHORTEST_MS) for call in calls])
    work = np.array([(1.0, c.input_tokens, c.output_tokens, c.images) for c in calls])
    beside = np.array([_beside(call, local) for call in calls])
    known = (beside > 0).sum(axis=0) >= FEWEST_BESIDE
    slowdown = np.array([old.slowdown_per_call, old.slowdown_per_neighbour])
    slowdown[known] = 0.0
    parts = np.zeros(4)
    for _ in range(ALTERNATIONS if known.any() else 1):
        parts = _fit_varying(work * (1 + beside @ slowdown)[:, None], times)
        alone = np.maximum(work @ parts, SHORTEST_MS)
        if known.any():
            slowdown[known] = _fit_slowdown(alone, beside, slowdown, known, times)
    return parts, slowdown


def _fit_slowdown(
    alone: np.ndarray,
    beside: np.ndarray,
    slowdown: np.ndarray,
    known: np.ndarray,
    times: np.ndarray,
) -> np.ndarray:
    """The slowdowns that `known` calls tell, from those that stood beside something."""
    busy = (beside[:, known] > 0).any(axis=1)
    explained = alone * (1 + beside[:, ~known] @ slowdown[~known])
    features = (alone[:, None] * beside[:, known])[busy]
    return fit_shares(features, (times - explained)[busy], times[busy])


def _fit_varying(features: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Parts of the features; one that never varies is told by the first, which is fixed."""
    varies = np.ptp(features / features[:, :1], axis=0) > 0
    varies[0] = True
    parts = np.zeros(features.shape[1])
    parts[varies] = fit_shares(features[:, varies], values)
    return parts


def _answers(calls: Sequence[TimedCall], old: Latency | None) -> tuple[AnswerLength, ...]:
    """Lengths by ask: those that the calls tell, and the old ones that they do not."""
    by_ask: dict[str, list[TimedCall]] = {}
    for call in calls:
        by_ask.setdefault(call.ask, []).append(call)
    known = {entry.ask: entry for entry in (old.answers if old else ())}
    for ask, group in by_ask.items():
        if len(group) >= FEWEST_OF_ASK:
            known[ask] = _answer(ask, group)
    return tuple(known[ask] for ask in sorted(known))


def _answer(ask: str, calls: Sequence[TimedCall]) -> AnswerLength:
    features = np.array([(1.0, call.text_bytes) for call in calls])
    tokens_in = _fit_varying(features, np.array([max(call.input_tokens, 1.0) for call in calls]))
    tokens_out = _fit_varying(features, np.array([max(call.output_tokens, 1.0) for call in calls]))
    return AnswerLength(
        ask=ask,
        calls=len(calls),
        input_tokens=figure(tokens_in[0]),
        input_tokens_per_byte=figure(tokens_in[1]),
        output_tokens=figure(tokens_out[0]),
        output_tokens_per_byte=figure(tokens_out[1]),
    )


def _beside(call: TimedCall, local: frozenset[str]) -> tuple[float, float]:
    """Calls on the same model, and neighbours, as a plan counts them."""
    own = float(call.beside.get(call.model, 0))
    if call.model not in local:
        return own, 0.0
    others = (n for name, n in call.beside.items() if name != call.model and name in local)
    return own, float(sum(others) + call.siblings)


def figure(value: float) -> float:
    """Five significant digits: what people read, and enough for any clock."""
    return float(f"{value:.5g}")
