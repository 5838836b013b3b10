"""How far whole jobs end beyond what is predicted of them; it knows no book and no graph.

Jobs are predicted as a plan would have: from latencies and the jobs' own time that were fitted on
other jobs (three folds), beside what was under way as the job began. A call that was sent
after another of its job had ended is taken to have waited for it, unless their plan had them side
by side.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from orchestra.book.timings import TimedCall
from orchestra.core.card import FleetFile
from orchestra.core.latency import Latency, Overhead, WholeJobs
from orchestra.refit.fit import TimedJob, figure, fit_latency, fit_overhead, predicted_ms
from orchestra.refit.robust import high

FEWEST_JOBS = 60  # with fewer, the largest of them would say little of 99 in 100
FOLDS = 3
TOLERANCE_MS = 0.01  # times are kept to a thousandth
MIXES = 2654435761  # a job's fold does not follow its number: kinds of jobs may alternate


def fold_of(job: int) -> int:
    """Which third of the jobs one is in."""
    return (job * MIXES >> 16) % FOLDS


def fit_whole(
    file: FleetFile,
    refitted: frozenset[str],
    calls: Sequence[TimedCall],
    jobs: Sequence[TimedJob],
) -> WholeJobs | None:
    """The spread of whole jobs around what plans say of them; None where too few tell.

    `refitted` are the models whose latency is fitted anew; the others keep what `file` has.
    """
    calls_of: dict[str, list[TimedCall]] = defaultdict(list)
    for call in calls:
        calls_of[call.account].append(call)
    known = [job for job in jobs if _is_timed(job, calls_of.get(job.account, ()))]
    shares: list[float] = []
    for fold in range(FOLDS):
        inside = [job for job in known if fold_of(calls_of[job.account][0].job) == fold]
        others = [job for job in known if fold_of(calls_of[job.account][0].job) != fold]
        rest = [call for call in calls if fold_of(call.job) != fold]
        if not inside or len(others) < FEWEST_JOBS // 2:
            continue
        latencies = _latencies(file, refitted, rest)
        own = fit_overhead(others)
        for job in inside:
            said = whole_ms(calls_of[job.account], job, latencies, own, file.local)
            if said is not None:
                shares.append(job.whole_ms / said)
    if len(shares) < FEWEST_JOBS:
        return None
    ratio = figure(max(1.0, high(np.array(shares))))
    return WholeJobs(jobs=len(shares), p99_ratio=ratio)


def whole_ms(
    calls: Sequence[TimedCall],
    job: TimedJob,
    latencies: Mapping[str, Latency],
    own: Overhead,
    local: frozenset[str],
) -> float | None:
    """Milliseconds that a plan expects of a job that made `calls`; None for a model unknown."""
    if any(call.model not in latencies for call in calls):
        return None
    first = min(calls, key=lambda call: call.at_ms)

    def predict(call: TimedCall) -> float:
        # What stood beside later calls was not known as the job was planned.
        planned = replace(call, beside=first.beside)
        return predicted_ms(latencies[call.model], planned, local)

    return own.milliseconds(job.calls, job.images) + chain_ms(calls, predict)


def chain_ms(calls: Sequence[TimedCall], predict: Callable[[TimedCall], float]) -> float:
    """The longest chain of calls that waited for each other, each as long as predicted."""
    ordered = sorted(calls, key=lambda call: call.at_ms)
    # Calls that were to run side by side may come one after the other by chance, on a busy machine.
    chance = 2 * _overlaps(ordered) < sum(call.siblings for call in ordered)
    chains: list[float] = []  # up to the end of each call
    for call in ordered:
        waited = (
            chain
            for before, chain in zip(ordered, chains, strict=False)
            if _ended(before, call) and not (chance and before.siblings and call.siblings)
        )
        chains.append(predict(call) + max(waited, default=0.0))
    return max(chains)


def _overlaps(ordered: Sequence[TimedCall]) -> int:
    """Pairs of calls of which neither had ended as the other was sent."""
    pairs = itertools.combinations(ordered, 2)
    return sum(not _ended(before, call) for before, call in pairs)


def _ended(before: TimedCall, call: TimedCall) -> bool:
    return before.at_ms + before.ms <= call.at_ms + TOLERANCE_MS


def _latencies(
    file: FleetFile, refitted: frozenset[str], calls: Sequence[TimedCall]
) -> dict[str, Latency]:
    found: dict[str, Latency] = {}
    for card in file.models:
        own = [call for call in calls if call.model == card.name]
        if card.name in refitted and own:
            found[card.name] = fit_latency(own, card.latency, file.local)
        elif card.latency is not None:
            found[card.name] = card.latency
    return found


def _is_timed(job: TimedJob, calls: Sequence[TimedCall]) -> bool:
    """Whether the book has the times of all calls of the job."""
    return len(calls) == job.calls > 0
