"""Scores a ranking of questions as a router; it knows neither the texts nor who ranked them.

A router sends the questions with the highest scores to the strong model. The curve is accuracy
against the share of strong calls at eleven thresholds, the deciles of the scores, and its two ends.
APGR (Ong et al., RouteLLM, 2024) is the area between that curve and the weak model's accuracy, as a
share of the same area of the strong model: 0.5 is what routing at random gets. CPT(p) is the share
of strong calls at which the curve first recovers the share p of the gap between the models.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 500
DECILES = np.linspace(0, 1, 11)
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, slots=True)
class RoutingScore:
    """APGR, and CPT50 and CPT80 in percent of strong calls, each with a 95% interval.

    `lift` is the area between the curve and routing at random, in accuracy: unlike APGR it stays
    finite where the models are equally good.
    """

    apgr: Interval
    cpt50: Interval
    cpt80: Interval
    lift: Interval


def curve(score: Floats, weak: Floats, strong: Floats) -> tuple[Floats, Floats]:
    """Share of strong calls (ascending) and accuracy, at the eleven thresholds and both ends."""
    thresholds = np.quantile(score, DECILES)[::-1]
    order = np.argsort(-score, kind="stable")
    gained = np.concatenate(([0.0], np.cumsum((strong - weak)[order])))
    calls = np.searchsorted(-score[order], -thresholds, side="right")
    calls = np.concatenate(([0], calls, [len(score)]))
    return calls / len(score), (weak.sum() + gained[calls]) / len(score)


def apgr(score: Floats, weak: Floats, strong: Floats) -> float:
    """Average performance gap recovered; 0.5, as at random, where there is no gap to recover."""
    return _apgr(*curve(score, weak, strong))


def cpt(score: Floats, weak: Floats, strong: Floats, part: float) -> float:
    """Percent of strong calls at which the curve, between its points a line, recovers `part`."""
    return _cpt(*curve(score, weak, strong), part)


def lift(score: Floats, weak: Floats, strong: Floats) -> float:
    """Area between the curve and the straight line of routing at random, in accuracy."""
    return _lift(*curve(score, weak, strong))


def _apgr(share: Floats, accuracy: Floats) -> float:
    gap = float(accuracy[-1] - accuracy[0])
    return float(np.trapezoid(accuracy - accuracy[0], share)) / gap if gap else 0.5


def _cpt(share: Floats, accuracy: Floats, part: float) -> float:
    need = accuracy[0] + part * (accuracy[-1] - accuracy[0])
    at = int(np.argmax(accuracy >= need))
    if at == 0:
        return 0.0
    step = (need - accuracy[at - 1]) / (accuracy[at] - accuracy[at - 1])
    return 100 * float(share[at - 1] + step * (share[at] - share[at - 1]))


def _lift(share: Floats, accuracy: Floats) -> float:
    # Above the weak model first: two models that are equally good have a lift of exactly 0.
    gained = accuracy - accuracy[0]
    return float(np.trapezoid(gained, share) - gained[-1] / 2)


def routing_score(
    score: Floats,
    weak: Floats,
    strong: Floats,
    groups: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> RoutingScore:
    """All of it, with percentile bootstrap intervals over the questions, or over whole `groups`."""

    def measures(rows: NDArray[np.int64] | slice) -> list[float]:
        points = curve(score[rows], weak[rows], strong[rows])
        return [_apgr(*points), _cpt(*points, 0.5), _cpt(*points, 0.8), _lift(*points)]

    draws = [measures(rows) for rows in resamples(len(score), groups, seed)]
    low, high = np.quantile(np.array(draws), (0.025, 0.975), axis=0)
    values = zip(measures(slice(None)), low.tolist(), high.tolist(), strict=True)
    return RoutingScore(*(Interval(*value) for value in values))


def difference(
    score: Floats,
    other: Floats,
    weak: Floats,
    strong: Floats,
    groups: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> Interval:
    """By how much the APGR of `score` passes that of `other` on the same questions."""

    def measure(rows: NDArray[np.int64] | slice) -> float:
        labels = weak[rows], strong[rows]
        return apgr(score[rows], *labels) - apgr(other[rows], *labels)

    draws = [measure(rows) for rows in resamples(len(score), groups, seed)]
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(measure(slice(None)), float(low), float(high))


def resamples(count: int, groups: NDArray[np.int64] | None, seed: int) -> list[NDArray[np.int64]]:
    """Rows of each bootstrap draw: questions with replacement, or whole groups with theirs."""
    draw = np.random.default_rng(seed)
    if groups is None:
        return [draw.integers(0, count, count) for _ in range(RESAMPLES)]
    members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    picks = draw.integers(0, len(members), (RESAMPLES, len(members)))
    return [np.concatenate([members[at] for at in pick]) for pick in picks]
