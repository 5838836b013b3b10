"""The statistics everyone shares: intervals of shares, totals and paired differences, at 95%.

Shares use Wilson's score interval (1927). Totals of a stratified sample use Student's t over the
strata's spread, with the noise of the rows still to come added: what is asked is where the actual
total will lie, not its mean.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from orchestra.core.job import Word

Z_95 = 1.959963984540054
RESAMPLES = 1000  # of a bootstrap, seeded, so that it prints the same twice
SEED = 20
Interval = tuple[float, float]
EXACT_T = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764}


class Estimate(Word):
    """A figure with its 95% interval."""

    low: float
    value: float
    high: float

    def holds(self, actual: float) -> bool:
        """Whether the interval contains `actual`."""
        return self.low <= actual <= self.high

    @property
    def interval(self) -> tuple[float, float, float]:
        """Low end, figure and high end."""
        return self.low, self.value, self.high

    def times(self, factor: float) -> Estimate:
        """The same of `factor` as much."""
        return Estimate(low=self.low * factor, value=self.value * factor, high=self.high * factor)


@dataclass(frozen=True, slots=True)
class Stratum:
    """What was seen of a part: `seen` values of rows, standing for `rows` rows to come.

    `least` is a variance that their own is not taken to be under.
    """

    seen: Sequence[float]
    rows: int
    least: float = 0.0


def t_95(freedom: int) -> float:
    """The 97.5% quantile of Student's t, by its expansion in 1/freedom (Abramowitz 26.7.5)."""
    if freedom in EXACT_T:
        return EXACT_T[freedom]
    z = Z_95
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    fourth = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    terms = (first, second, third, fourth)
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))


def spread_of(strata: Sequence[Stratum], least: float = 0.0) -> tuple[float, int]:
    """Standard error of the total of all rows to come, and its degrees of freedom.

    A stratum seen once has the pooled variance of the others. No variance is under `least`, as
    a few rows that are alike do not say that all are.
    """
    known = [stratum for stratum in strata if len(stratum.seen) > 1]
    freedom = sum(len(stratum.seen) - 1 for stratum in known)
    if not freedom:
        return math.inf, 1
    pooled = sum(variance(s.seen) * (len(s.seen) - 1) for s in known) / freedom
    total = 0.0
    for stratum in strata:
        count = len(stratum.seen)
        own = max(least, stratum.least, variance(stratum.seen) if count > 1 else pooled)
        total += own * (stratum.rows + (stratum.rows**2 / count if count else 0))
    return math.sqrt(total), freedom


def pace_of(paces: Sequence[float]) -> tuple[float, float, int]:
    """Mean of measured paces, the relative error of the next one, and degrees of freedom."""
    mean = fmean(paces)
    if len(paces) < 2 or mean <= 0:
        return mean, math.inf, 1
    error = math.sqrt(variance(paces) * (1 + 1 / len(paces)))
    return mean, error / mean, len(paces) - 1


@dataclass(frozen=True, slots=True)
class Right:
    """How right the rows seen of a stratum were, 0 to 1 each, and the stratum's share of all."""

    seen: Sequence[float]
    share: float
    rows: int


def share_of(strata: Sequence[Right]) -> Estimate | None:
    """The share of all rows that will be right; None where a stratum was not seen at all.

    Strata without rows served have nothing right.
    """
    value = spread = 0.0
    for stratum in strata:
        if not stratum.share:
            continue
        count = len(stratum.seen)
        if not count:
            return None
        value += stratum.share * fmean(stratum.seen)
        # Half a row right and half a row wrong are added, so that a few alike are not certain.
        likely = (sum(stratum.seen) + 0.5) / (count + 1)
        noise = likely * (1 - likely)
        spread += stratum.share**2 * noise * (1 / count + 1 / max(1, stratum.rows))
    if not spread:
        return Estimate(low=value, value=value, high=value)
    size = max(value * (1 - value), 0.25 / 10) / spread
    low, high = wilson(value * size, size) or (0.0, 1.0)
    return Estimate(low=low, value=value, high=high)


def effective_rows(weights: Sequence[float]) -> float:
    """Kish's number of equal rows that say as much as these weighted ones."""
    squares = math.fsum(weight * weight for weight in weights)
    return math.fsum(weights) ** 2 / squares if squares else 0.0


def wilson(right: float, total: float, z: float = Z_95) -> Interval | None:
    """The Wilson score interval of `right` out of `total`, 95% unless `z` says; None of nothing."""
    if total <= 0:
        return None
    share, z2 = right / total, z * z
    centre = share + z2 / (2 * total)
    spread = z * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    scale = 1 + z2 / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)


def paired_interval(only_a: float, only_b: float, rows: float) -> Interval:
    """95% interval of B's share less A's: Wald's with half a row added to each of four cells."""
    total, first, second = rows + 2, only_a + 0.5, only_b + 0.5
    middle = (second - first) / total
    spread = Z_95 * math.sqrt(first + second - (second - first) ** 2 / total) / total
    return max(-1.0, middle - spread), min(1.0, middle + spread)


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided exact probability of rows that differ parting at least this unevenly by chance."""
    differing, fewer = only_a + only_b, min(only_a, only_b)
    below = sum(math.comb(differing, count) for count in range(fewer + 1))
    return min(1.0, 2 * below / 2**differing)


def bootstrap(differences: Sequence[float]) -> Interval:
    """95% percentile interval of the mean, rows drawn again; seeded, so that it prints the same."""
    draw = random.Random(SEED)
    count = len(differences)
    means = sorted(math.fsum(draw.choices(differences, k=count)) / count for _ in range(RESAMPLES))
    return means[round(0.025 * (RESAMPLES - 1))], means[round(0.975 * (RESAMPLES - 1))]
