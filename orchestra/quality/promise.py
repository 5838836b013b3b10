"""Thresholds that keep a promise: the share of right answers is at least a target, surely enough.

Learn then test (Angelopoulos et al. 2021): thresholds are tested in an order that does not depend
on the labels, each by the exact binomial tail, and the walk ends at the first that is not proven.
So the chance that a threshold which breaks its promise is returned is at most `RISK`. With weights
or copies the number of answers is the effective one, rounded down. It knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from orchestra.quality.held_out import Answers
from orchestra.quality.policy import Accuracy

RISK = 0.05
STARTS = 3  # the walk begins at three places, each with a third of the risk
STEPS = 25


@dataclass(frozen=True, slots=True)
class Proven:
    """A threshold, how right the answers are that keep it, and their weighted part of all."""

    threshold: float
    right: Accuracy
    kept: float


def tail(right: int, rows: int, target: float) -> float:
    """The chance of `right` or more right answers of `rows`, were each right with `target`."""
    if right <= 0:
        return 1.0
    if target >= 1:
        return 1.0 if right <= rows else 0.0
    logs = [
        math.lgamma(rows + 1)
        - math.lgamma(count + 1)
        - math.lgamma(rows - count + 1)
        + count * math.log(target)
        + (rows - count) * math.log1p(-target)
        for count in range(right, rows + 1)
    ]
    return min(1.0, math.fsum(math.exp(one) for one in logs)) if target > 0 else 1.0


def least_rows(target: float, risk: float = RISK / STARTS) -> int:
    """How many answers, all right, prove `target`."""
    return math.ceil(math.log(risk) / math.log(target)) if 0 < target < 1 else 1


def is_proven(share: float, rows: float, target: float, risk: float) -> bool:
    """Whether `share` right of `rows` (effective) answers proves more than `target`."""
    whole = math.floor(rows + 1e-9)
    right = math.floor(share * whole + 1e-9)
    return whole > 0 and tail(right, whole, target) <= risk


def selective(answers: Answers, target: float) -> Proven | None:
    """The lowest confidence from which answers keep `target`, or None when none is proven.

    Two more starts stand beside the smallest part that could prove it: half of all, and all.
    """
    order = np.argsort(-answers.confidence, kind="stable")
    rows = len(order)
    first = least_rows(target)
    if rows < first:
        return None
    cuts = sorted({*np.linspace(first, rows, min(STEPS, rows - first + 1)).astype(int).tolist()})
    thresholds = sorted({float(answers.confidence[order[cut - 1]]) for cut in cuts}, reverse=True)

    def kept(threshold: float) -> Answers:
        return answers.part(answers.confidence >= threshold)

    def proves(threshold: float) -> bool:
        part = kept(threshold)
        return is_proven(part.share, part.effective, target, RISK / STARTS)

    found = lowest_proven(thresholds, proves)
    if found is None:
        return None
    part = kept(found)
    return Proven(found, part.accuracy, float(part.weight.sum() / answers.weight.sum()))


def lowest_proven(thresholds: Sequence[float], proves: Callable[[float], bool]) -> float | None:
    """The last threshold of the longest proven walk down from one of the starts.

    `thresholds` fall, and are chosen without the labels; `proves` tests at a third of the risk.
    """
    starts = sorted({0, len(thresholds) // 2, len(thresholds) - 1})
    best: float | None = None
    for start in starts:
        for threshold in thresholds[start:]:
            if not proves(threshold):
                break
            best = threshold if best is None else min(best, threshold)
    return best
