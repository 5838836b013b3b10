"""What estimates were worth on texts that were left out, with intervals; it fits nothing.

`gain` is what asking the model of the best estimate adds to the mean score over the best single
model, which is chosen without the text's fold. `lift` is what ordering texts by the estimated gain
of the dearer model adds over sending as many at random, averaged over all shares (the area between
the two curves). Both are bootstrapped over whole groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from orchestra.core.job import Word
from orchestra.core.stats import Estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
RESAMPLES = 2000
STEP = (
    1000  # estimates are told in thousandths: what differs by less is a tie, and the cheaper wins
)
BINS = 10


class RoutingEvidence(Word):
    """What is claimed of estimates, and on how many texts in how many groups it rests.

    `skill` is the share of the squared error of a model's mean rate that the estimates remove.
    `left_out` names groups whose labels were not believed.
    """

    texts: int
    groups: int
    best: str
    gain: Estimate
    lift: Estimate
    skill: Mapping[str, Estimate]
    left_out: tuple[str, ...] = ()

    @property
    def refuses(self) -> str | None:
        """Why no text is routed by the estimates; None where they gain beyond noise."""
        gain, lift = self.gain, self.lift
        if gain.low > 0 or (lift.low > 0 and gain.value >= 0):
            return None
        return (
            f"no gain beyond noise on {self.texts} texts left out: asking the model of the best "
            f"estimate gains {gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}] over "
            f"{self.best}, ordering by estimates {lift.value:+.3f} "
            f"[{lift.low:+.3f}, {lift.high:+.3f}]; label more rows"
        )


def told(estimates: Floats) -> Floats:
    """Estimates as they are told and compared: in thousandths."""
    return np.round(estimates * STEP) / STEP


def evidence_of(
    estimates: Floats,
    scores: Floats,
    groups: Ints,
    fold: Ints,
    models: Sequence[str],
    seed: int = 0,
    left_out: tuple[str, ...] = (),
) -> RoutingEvidence:
    """That of left-out `estimates` (texts, M) of `scores`; `models` stand cheapest first."""
    rows, single = np.arange(len(scores)), best_single(scores, fold)
    routed = scores[rows, told(estimates).argmax(axis=1)]
    best = int(scores.mean(axis=0).argmax())
    rest = np.square(estimates - scores)
    plain = np.square(rates_without(scores, fold) - scores)
    skill = {
        name: mean_interval(plain[:, at] - rest[:, at], groups, seed, plain[:, at])
        for at, name in enumerate(models)
    }
    return RoutingEvidence(
        texts=len(scores),
        groups=len(np.unique(groups)),
        best=models[best],
        gain=mean_interval(routed - scores[rows, single], groups, seed),
        lift=mean_interval(_lifts(estimates, scores, 0, best), groups, seed),
        skill=skill,
        left_out=left_out,
    )


def best_single(scores: Floats, fold: Ints) -> Ints:
    """For each text the model with the best mean score outside its fold."""
    best = np.zeros(len(scores), dtype=np.int64)
    for held in np.unique(fold):
        best[fold == held] = rates_of(scores, fold != held).argmax()
    return best


def rates_without(scores: Floats, fold: Ints) -> Floats:
    """Mean scores (texts, M) outside each text's fold."""
    rates = np.zeros_like(scores)
    for held in np.unique(fold):
        rates[fold == held] = rates_of(scores, fold != held)
    return rates


def rates_of(scores: Floats, kept: NDArray[np.bool_]) -> Floats:
    """Mean scores (M,) of some texts, of all where that is none."""
    return scores[kept].mean(axis=0) if kept.any() else scores.mean(axis=0)


def _lifts(estimates: Floats, scores: Floats, cheap: int, dear: int) -> Floats:
    """Each text's part of the area between ordering by estimated gain and random order."""
    gain = estimates[:, dear] - estimates[:, cheap]
    order = np.argsort(np.argsort(gain, kind="stable"), kind="stable")
    place = (order + 0.5) / len(gain)
    return (scores[:, dear] - scores[:, cheap]) * (place - 0.5)


def mean_interval(values: Floats, groups: Ints, seed: int, over: Floats | None = None) -> Estimate:
    """The mean of `values`, or their sum over that of `over`, with its 95% interval over groups."""
    numbers = np.unique(groups, return_inverse=True)[1].ravel()
    sums = np.bincount(numbers, weights=values)
    bases = np.bincount(numbers, weights=over)
    draw = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for at in range(RESAMPLES):
        times = np.bincount(draw.integers(0, len(sums), len(sums)), minlength=len(sums))
        means[at] = (times @ sums) / max(float(times @ bases), 1e-12)
    low, high = np.quantile(means, (0.025, 0.975))
    value = float(sums.sum() / max(float(bases.sum()), 1e-12))
    return Estimate(low=float(low), value=value, high=float(high))


def bands(estimates: Floats, scores: Floats) -> list[list[tuple[float, float, float]]]:
    """For each model (estimate, low, high) at tenths of the texts, by estimate: the 95% interval
    of their mean score, by the normal approximation with the spread of a share at least."""
    found: list[list[tuple[float, float, float]]] = []
    for own, right in zip(estimates.T, scores.T, strict=True):
        parts = np.array_split(np.argsort(own, kind="stable"), min(BINS, max(1, len(own) // 10)))
        knots: list[tuple[float, float, float]] = []
        for part in parts:
            mean, share = float(own[part].mean()), float(right[part].mean())
            smooth = (share * len(part) + 2) / (len(part) + 4)  # Agresti and Coull 1998
            half = 1.96 * np.sqrt(smooth * (1 - smooth) / (len(part) + 4))
            low, high = max(0.0, smooth - half), min(1.0, smooth + half)
            knots.append((mean, min(low, mean), max(high, mean)))
        found.append(knots)
    return found
