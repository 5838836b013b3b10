"""Compares what plans said with what calls took, and proposes better latencies; writes nothing.

A part of the jobs is held out: models are fitted on the others, and errors before and after are
those of calls that the fit has not seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestra.book.timings import TimedCall
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import NothingLearnt
from orchestra.core.identity import snapshot
from orchestra.core.latency import Latency, Overhead, WholeJobs
from orchestra.refit.fit import TimedJob, fit_latency, fit_overhead, predicted_ms
from orchestra.refit.robust import median_gain
from orchestra.refit.whole import FOLDS, fit_whole, fold_of

FEWEST_CALLS = 60  # a third of them held out still tells a median
FEWEST_JOBS = 60


@dataclass(frozen=True, slots=True)
class ModelFit:
    """One model's calls: median relative errors of plans before and after, on calls held out.

    `gain` is the 95% interval of the fall of that median. `in_bound` is the share of calls held out
    that kept the new bound. `latency` is None where what was known stays, and `why` says so.
    """

    model: str
    calls: int
    held_out: int
    before: float | None = None
    after: float | None = None
    gain: tuple[float, float] | None = None
    in_bound: float | None = None
    latency: Latency | None = None
    why: str = ""

    def public(self) -> dict[str, Any]:
        """As printed by `refit --json`."""
        return {
            "model": self.model,
            "calls": self.calls,
            "held_out": self.held_out,
            "error_before": self.before,
            "error_after": self.after,
            "gain_95": self.gain,
            "in_bound": self.in_bound,
            "latency": None if self.latency is None else self.latency.model_dump(mode="json"),
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Refit:
    """A fleet with its latencies fitted anew, beside what it was."""

    old: FleetFile
    new: FleetFile
    models: tuple[ModelFit, ...]
    overhead: Overhead | None
    whole_jobs: WholeJobs | None = None

    def public(self) -> dict[str, Any]:
        """As printed by `refit --json`."""
        return {
            "fleet": self.old.name,
            "snapshot": snapshot(self.old),
            "new_snapshot": snapshot(self.new),
            "models": [fit.public() for fit in self.models],
            "overhead": None if self.overhead is None else self.overhead.model_dump(mode="json"),
            "whole_jobs": self.whole_jobs and self.whole_jobs.model_dump(mode="json"),
        }


def refit(file: FleetFile, calls: Iterable[TimedCall], jobs: Sequence[TimedJob] = ()) -> Refit:
    """Fit the latencies of `file`'s models to `calls`, its overhead and whole jobs to `jobs`.

    Raises `NothingLearnt` when no model gains beyond noise, or none has calls enough.
    """
    calls = list(calls)
    by_model: dict[str, list[TimedCall]] = {}
    for call in calls:
        by_model.setdefault(call.model, []).append(call)
    fits = tuple(_fitted(card, by_model.get(card.name, []), file.local) for card in file.models)
    found = {fit.model: fit.latency for fit in fits if fit.latency is not None}
    if not found:
        whys = "; ".join(f"{fit.model}: {fit.why}" for fit in fits)
        raise NothingLearnt(
            f"The fleet {file.name!r} keeps its latencies ({whys}). "
            "Run more jobs on it, then fit again."
        )
    overhead = fit_overhead(jobs) if len(jobs) >= FEWEST_JOBS else None
    # A spread of other latencies would promise what nobody measured, so an old one is dropped.
    whole = fit_whole(file, frozenset(found), calls, jobs)
    new = with_latencies(file.model_copy(update={"whole_jobs": whole}), found, overhead)
    return Refit(file, new, fits, overhead, whole)


def with_latencies(
    file: FleetFile, found: dict[str, Latency], overhead: Overhead | None
) -> FleetFile:
    """`file` with the latencies that were found, by model; the others stay."""
    cards = tuple(
        card.model_copy(update={"latency": found[card.name]}) if card.name in found else card
        for card in file.models
    )
    return file.model_copy(update={"models": cards, "overhead": overhead or file.overhead})


def _fitted(card: Card, calls: Sequence[TimedCall], local: frozenset[str]) -> ModelFit:
    held = [call for call in calls if _is_held_out(call)]
    tested = [call for call in held if call.planned_ms is not None]
    if len(calls) < FEWEST_CALLS or len(tested) < FEWEST_CALLS // FOLDS // 2:
        why = f"{len(calls)} timed calls, and {FEWEST_CALLS} are needed"
        return ModelFit(card.name, len(calls), len(held), why=why)
    fitted = fit_latency([c for c in calls if not _is_held_out(c)], card.latency, local)
    actual = np.array([max(call.ms, 0.01) for call in tested])
    said = np.array([call.planned_ms for call in tested], dtype=float)
    says = np.array([predicted_ms(fitted, call, local) for call in tested])
    before, after = np.abs(said - actual) / actual, np.abs(says - actual) / actual
    gain = median_gain(before, after)
    is_better = gain[0] > 0
    return ModelFit(
        model=card.name,
        calls=len(calls),
        held_out=len(held),
        before=float(np.median(before)),
        after=float(np.median(after)),
        gain=gain,
        in_bound=float(np.mean(actual <= says * fitted.p99_ratio)),
        latency=fitted if is_better else None,
        why="" if is_better else "no gain beyond noise on calls held out",
    )


def _is_held_out(call: TimedCall) -> bool:
    return fold_of(call.job) == 0
