"""What a fit is worth on answers it has not seen: calibration error, gain, intervals, refusal.

Answers to one content (a text or photo that stands in several rows) are one group: they are held
out together and resampled together, so that copies are not taken for evidence. It knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from orchestra.core.stats import effective_rows, wilson
from orchestra.quality.curve import (
    Floats,
    Method,
    choose,
    fit,
    log_loss,
    numbered,
    predict_held_out,
    predict_jointly,
)
from orchestra.quality.policy import Accuracy

FOLDS = 5
RESAMPLES = 4000
CURVE_RESAMPLES = 200
KNOTS = 13
MOST_BINS = 10
ROWS_A_BIN = 10
LEAST_ROWS = 20
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Answers:
    """n judged answers of one model to one field: confidence, right (1 or 0), weight, group.

    `chance` is how often the value that was said is the true one of any row, where it is known.
    """

    confidence: Floats
    right: Floats
    weight: Floats
    group: NDArray[np.int64]
    chance: Floats | None = None

    def __len__(self) -> int:
        return len(self.right)

    @property
    def share(self) -> float:
        """The weighted share that is right."""
        return float(np.average(self.right, weights=self.weight)) if len(self) else 0.0

    def part(self, kept: NDArray[np.bool_]) -> Answers:
        """The answers where `kept`."""
        return replace(
            self,
            confidence=self.confidence[kept],
            right=self.right[kept],
            weight=self.weight[kept],
            group=self.group[kept],
            chance=None if self.chance is None else self.chance[kept],
        )

    def spread(self, parts: int) -> tuple[float, ...]:
        """Confidences in the middle of each of so many equal parts of the answers, least first."""
        if not len(self):
            return ()
        order = np.argsort(self.confidence)
        reached = np.cumsum(self.weight[order]) / self.weight.sum()
        at = np.searchsorted(reached, (np.arange(parts) + 0.5) / parts)
        return tuple(float(each) for each in self.confidence[order][at.clip(max=len(self) - 1)])

    @property
    def accuracy(self) -> Accuracy:
        """The share that is right, with its interval."""
        return Accuracy.of(self.share, self.effective, len(self))

    @property
    def effective(self) -> float:
        """How many equal, independent answers say as much (Kish 1965, over groups)."""
        return effective_rows(np.bincount(numbered(self.group), weights=self.weight).tolist())


@dataclass(frozen=True, slots=True)
class Bin:
    """One line of a reliability table: what was predicted, and the share that was right."""

    confidence: float
    probability: float
    right: Accuracy


@dataclass(frozen=True, slots=True)
class JudgedFit:
    """A fit with its knots (confidence, probability, low, high) and its held-out worth.

    `gain` is the log loss saved against knowing the mean rate alone, (low, mean, high); `refuses`
    says why the confidence may not be used, or None.
    """

    method: Method
    knots: tuple[tuple[float, float, float, float], ...]
    gain: tuple[float, float, float]
    ece_before: float
    ece_after: float
    bins: tuple[Bin, ...]
    refuses: str | None


def judge(answers: Answers, *, claims: int = 1, seed: int = 0) -> JudgedFit:
    """Fit `answers` and judge the fit; `claims` fits share the risk of a false one."""
    scaled = _scaled(answers)
    few = _too_few(answers)
    fold = _folds(answers.group, seed)
    seen = (scaled.confidence, scaled.right, scaled.weight)
    predicted = predict_held_out(None, *seen, fold, answers.group)
    rate = predict_held_out("rate", *seen, fold)
    risk = (1 - CONFIDENCE) / claims
    saved = log_loss(rate, scaled.right) - log_loss(predicted, scaled.right)
    gain = _interval(saved, scaled, risk, seed)
    refuses = few or _within_noise(answers, predicted, rate, gain)
    refuses = refuses or _by_chance(scaled, fold, risk, seed)
    method = "rate" if refuses else choose(*seen, numbered(answers.group))
    shown = rate if refuses else predicted
    return JudgedFit(
        method=method,
        knots=_knots(scaled, method, seed),
        gain=gain,
        ece_before=calibration_error(answers.confidence, answers),
        ece_after=calibration_error(shown, answers),
        bins=tuple(_bins(shown, answers)),
        refuses=refuses,
    )


def calibration_error(probability: Floats, answers: Answers) -> float:
    """Expected calibration error over bins of equal rows (Naeini et al. 2015)."""
    total = float(answers.weight.sum())
    error = 0.0
    for at in _split(probability):
        weight = answers.weight[at]
        gap = np.average(probability[at], weights=weight) - np.average(
            answers.right[at], weights=weight
        )
        error += float(weight.sum()) / total * abs(float(gap))
    return error


def _by_chance(answers: Answers, fold: NDArray[np.int64], risk: float, seed: int) -> str | None:
    """Why the confidence may only follow the value: common values are right by chance more often.

    Labels that were shuffled leave just that, and a model is often surer of common values.
    """
    if answers.chance is None or len(np.unique(answers.chance)) == 1:
        return None
    both = np.column_stack([answers.confidence, answers.chance])
    seen = (answers.right, answers.weight, fold)
    alone = log_loss(predict_jointly(both[:, 1:], *seen), answers.right)
    saved = alone - log_loss(predict_jointly(both, *seen), answers.right)
    low, middle, high = _interval(saved, answers, risk, seed)
    if low > 0:
        return None
    return (
        f"no gain beyond noise on {len(answers)} rows: beside how common the value is, the "
        f"confidence saves {middle:+.3f} [{low:+.3f}, {high:+.3f}] of log loss"
    )


def _scaled(answers: Answers) -> Answers:
    """Weights that sum to the effective number of answers, so that fits are not too sure."""
    scale = answers.effective / float(answers.weight.sum())
    return replace(answers, weight=answers.weight * scale, group=numbered(answers.group))


def _folds(group: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    numbers = numbered(group)
    places = np.random.default_rng(seed).permutation(int(numbers.max()) + 1)
    return (places[numbers] % FOLDS).astype(np.int64)


def _too_few(answers: Answers) -> str | None:
    rows, different = len(answers), len(np.unique(answers.group))
    if min(rows, different) < LEAST_ROWS:
        return (
            f"too few: {rows} judged answers to {different} different contents, and a curve takes "
            f"{LEAST_ROWS}; label more rows"
        )
    if len(np.unique(answers.right)) == 1:
        outcome = "right" if answers.right[0] else "wrong"
        return f"all {rows} judged answers are {outcome}, so there is nothing to tell apart"
    return None


def _within_noise(
    answers: Answers, predicted: Floats, rate: Floats, gain: tuple[float, float, float]
) -> str | None:
    if gain[0] > 0:
        return None
    weight = answers.weight
    fitted = float(np.average(log_loss(predicted, answers.right), weights=weight))
    plain = float(np.average(log_loss(rate, answers.right), weights=weight))
    return (
        f"no gain beyond noise on {len(answers)} rows: held-out log loss {fitted:.3f} with the "
        f"confidence, {plain:.3f} without it, gain {gain[1]:+.3f} "
        f"[{gain[0]:+.3f}, {gain[2]:+.3f}]"
    )


def _draws(answers: Answers, count: int, seed: int) -> NDArray[np.int64]:
    """How often each group is drawn in each of `count` resamples: (count, groups)."""
    groups = int(answers.group.max()) + 1
    rng = np.random.default_rng(seed)
    return rng.multinomial(groups, np.full(groups, 1 / groups), size=count)


def _interval(
    saved: Floats, answers: Answers, risk: float, seed: int
) -> tuple[float, float, float]:
    """Percentile bootstrap over groups of the weighted mean of `saved`."""
    groups = int(answers.group.max()) + 1
    sums = np.bincount(answers.group, weights=saved * answers.weight, minlength=groups)
    weights = np.bincount(answers.group, weights=answers.weight, minlength=groups)
    drawn = _draws(answers, RESAMPLES, seed)
    means = (drawn @ sums) / np.maximum(drawn @ weights, 1e-12)
    low, high = np.quantile(means, [risk / 2, 1 - risk / 2])
    return float(low), float(sums.sum() / weights.sum()), float(high)


def _knots(
    answers: Answers, method: Method, seed: int
) -> tuple[tuple[float, float, float, float], ...]:
    """The curve at quantiles of the confidences that were seen, with its 95% band."""
    at = np.unique(np.quantile(answers.confidence, np.linspace(0, 1, KNOTS)))
    own = fit(method, answers.confidence, answers.right, answers.weight)(at)
    drawn = _draws(answers, CURVE_RESAMPLES, seed)
    weights = (answers.weight * times[answers.group] for times in drawn)
    curves = (fit(method, answers.confidence, answers.right, weight) for weight in weights)
    band = np.array([curve(at) for curve in curves])
    low, high = np.quantile(band, [0.025, 0.975], axis=0)
    rows = answers.effective
    knots = []
    for place, p, least, most in zip(at, own, low, high, strict=True):
        # Resamples of answers that are all right agree too well: no band is under Wilson's.
        floor, ceiling = wilson(float(p) * rows, rows) or (0.0, 1.0)
        sure = (min(float(least), floor), max(float(most), ceiling))
        knots.append((float(place), float(p), *sure))
    return tuple(knots)


def _split(probability: Floats) -> list[NDArray[np.int64]]:
    bins = max(1, min(MOST_BINS, len(probability) // ROWS_A_BIN))
    return [part for part in np.array_split(np.argsort(probability, kind="stable"), bins)]


def _bins(probability: Floats, answers: Answers) -> list[Bin]:
    table = []
    for at in _split(probability):
        part = answers.part(np.isin(np.arange(len(answers)), at))
        mean = float(np.average(probability[at], weights=answers.weight[at]))
        sure = float(np.average(answers.confidence[at], weights=answers.weight[at]))
        table.append(Bin(sure, mean, part.accuracy))
    return table
