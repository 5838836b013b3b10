"""Fits how likely an answer is right, given its confidence; it knows no model and no field.

Three fits, from plain to free: `rate` (the confidence says nothing), `platt` (a logistic curve in
the log odds of the confidence; Platt 1999, with his smoothed targets and a ridge of one
observation) and `isotonic` (pool adjacent violators; Zadrozny and Elkan 2002). None decreases.
Arrays: n answers, b resamples. Weights count answers: bootstrap draws are weights, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Method = Literal["rate", "platt", "isotonic"]
Curve = Callable[[Floats], Floats]

EDGE = 1e-6
STEPS = 25
ISOTONIC_ROWS = 100  # with fewer, steps follow single answers
INNER_FOLDS = 3


def log_odds(confidence: Floats) -> Floats:
    """log(c / (1 - c)), kept finite."""
    inside = np.clip(confidence, EDGE, 1 - EDGE)
    return np.log(inside / (1 - inside))


def log_loss(probability: Floats, right: Floats) -> Floats:
    """Each answer's loss in nats."""
    inside = np.clip(probability, EDGE, 1 - EDGE)
    return -(right * np.log(inside) + (1 - right) * np.log(1 - inside))


def fit(method: Method, confidence: Floats, right: Floats, weight: Floats) -> Curve:
    """The curve of `method` through n answers; `right` is 1 or 0."""
    if method == "platt":
        return _platt(confidence, right, weight)
    if method == "isotonic":
        return _isotonic(confidence, right, weight)
    level = _rate(right, weight)
    return lambda confidence: np.full(confidence.shape, level)


def choose(confidence: Floats, right: Floats, weight: Floats, group: NDArray[np.int64]) -> Method:
    """The fit of least log loss over inner folds of whole groups; the plainer one where equal."""
    methods: list[Method] = ["rate", "platt"]
    if len(right) >= ISOTONIC_ROWS:
        methods.append("isotonic")
    fold = group % INNER_FOLDS
    losses = []
    for method in methods:
        predicted = predict_held_out(method, confidence, right, weight, fold)
        losses.append(float(np.average(log_loss(predicted, right), weights=weight)))
    return methods[int(np.argmin(losses))]


def predict_held_out(
    method: Method | None,
    confidence: Floats,
    right: Floats,
    weight: Floats,
    fold: NDArray[np.int64],
    group: NDArray[np.int64] | None = None,
) -> Floats:
    """Each answer's probability by a fit that did not see its fold.

    Without a `method` each fold's training answers choose their own, over whole groups.
    """
    predicted = np.empty(len(right))
    for held in np.unique(fold):
        inside, outside = fold != held, fold == held
        if not inside.any():
            predicted[outside] = _rate(right, weight)
            continue
        seen = (confidence[inside], right[inside], weight[inside])
        own = method
        if own is None:
            own = choose(*seen, numbered((fold if group is None else group)[inside]))
        predicted[outside] = fit(own, *seen)(confidence[outside])
    return predicted


def numbered(group: NDArray[np.int64]) -> NDArray[np.int64]:
    """Groups as 0, 1, 2 and so on, so that folds of them are of like size."""
    return np.unique(group, return_inverse=True)[1].ravel().astype(np.int64)


def _rate(right: Floats, weight: Floats) -> float:
    """The share that is right, drawn to a half by one observation."""
    return float((np.sum(right * weight) + 0.5) / (np.sum(weight) + 1))


def _platt(confidence: Floats, right: Floats, weight: Floats) -> Curve:
    odds = log_odds(confidence)
    middle = float(np.average(odds, weights=weight))
    spread = float(np.sqrt(np.average((odds - middle) ** 2, weights=weight))) or 1.0
    x = (odds - middle) / spread
    target = _smoothed(right, weight)
    level, slope = (float(part) for part in _logistic(x[:, None], target, weight))
    if slope <= 0:  # a surer answer that is right less often would be noise, or a broken model
        share = float(np.average(target, weights=weight))
        level, slope = float(np.log(share / (1 - share))), 0.0

    def curve(at: Floats) -> Floats:
        return 1 / (1 + np.exp(-(level + slope * (log_odds(at) - middle) / spread)))

    return curve


def predict_jointly(
    features: Floats, right: Floats, weight: Floats, fold: NDArray[np.int64]
) -> Floats:
    """Each answer's probability by a logistic fit, outside its fold, to `features` (n, k).

    They are probabilities, and are taken as log odds.
    """
    odds = log_odds(features)
    x = (odds - odds.mean(axis=0)) / (odds.std(axis=0) + 1e-12)
    predicted = np.empty(len(right))
    for held in np.unique(fold):
        inside, outside = fold != held, fold == held
        slopes = _logistic(x[inside], _smoothed(right[inside], weight[inside]), weight[inside])
        predicted[outside] = 1 / (1 + np.exp(-(slopes[0] + x[outside] @ slopes[1:])))
    return predicted


def _smoothed(right: Floats, weight: Floats) -> Floats:
    """Platt's targets: as if one more answer of each kind had been seen."""
    good, bad = float(np.sum(weight * right)), float(np.sum(weight * (1 - right)))
    return np.where(right > 0, (good + 1) / (good + 2), 1 / (bad + 2))


def _logistic(x: Floats, target: Floats, weight: Floats) -> Floats:
    """Level and slopes by Newton's steps to the penalised maximum; x is (n, k)."""
    ones = np.column_stack([np.ones(len(x)), x])
    ridge = np.r_[0.0, np.ones(x.shape[1])]
    slopes = np.zeros(ones.shape[1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(ones @ slopes, -30, 30)))
        push = ones.T @ (weight * (target - p)) - ridge * slopes
        bend = (ones.T * (weight * p * (1 - p) + 1e-9)) @ ones + np.diag(ridge)
        step = np.linalg.solve(bend, push)
        slopes = slopes + np.clip(step, -5, 5)
        if np.abs(step).max() < 1e-8:
            break
    return slopes


def _isotonic(confidence: Floats, right: Floats, weight: Floats) -> Curve:
    """Steps joined by lines; each block is drawn to the mean by one observation."""
    prior = _rate(right, weight)
    order = np.argsort(confidence, kind="stable")
    blocks: list[list[float]] = []  # weight, weighted right, least and most confidence
    for at in order[weight[order] > 0]:
        own, place = float(weight[at]), float(confidence[at])
        blocks.append([own, own * float(right[at]), place, place])
        while len(blocks) > 1 and _falls(blocks[-2], blocks[-1]):
            last = blocks.pop()
            before = blocks[-1]
            before[0], before[1] = before[0] + last[0], before[1] + last[1]
            before[3] = last[3]
    places = [place for block in blocks for place in (block[2], block[3])]
    levels = [(block[1] + prior) / (block[0] + 1) for block in blocks for _ in (0, 1)]
    heights = np.maximum.accumulate(levels)
    return lambda at: np.interp(at, places, heights)


def _falls(before: list[float], last: list[float]) -> bool:
    """Whether two neighbours break the order, or stand at one confidence."""
    return before[1] / before[0] >= last[1] / last[0] or before[3] >= last[2]
