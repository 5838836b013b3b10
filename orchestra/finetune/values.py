"""How many values are read rightly: micro precision, recall and F1 over fields, pairs of runs.

A value is right only if it equals one that is known of its field, to the letter. It knows no model.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from orchestra.core.stats import RESAMPLES, SEED, Interval

Values = Mapping[str, Sequence[str]]


class Counts(NamedTuple):
    """Of one row or of many: values that are right, that were given, and that are true."""

    right: int
    given: int
    true: int


@dataclass(frozen=True, slots=True)
class ValueScore:
    """Micro scores of rows."""

    counts: Counts

    @property
    def precision(self) -> float:
        """The share of given values that are right; 0 without any."""
        return self.counts.right / self.counts.given if self.counts.given else 0.0

    @property
    def recall(self) -> float:
        """The share of true values that were given; 0 without any."""
        return self.counts.right / self.counts.true if self.counts.true else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return _f1(*self.counts)

    def as_json(self) -> dict[str, Any]:
        """As reports hold it, shares to four places."""
        shares = {"f1": self.f1, "precision": self.precision, "recall": self.recall}
        return {**{name: round(share, 4) for name, share in shares.items()},
                **self.counts._asdict()}  # fmt: skip


def counted(given: Values, true: Values, fields: Iterable[str]) -> Counts:
    """One row's counts over `fields`; a value that is given twice counts once."""
    right = said = known = 0
    for name in fields:
        read, wanted = set(given.get(name, ())), set(true.get(name, ()))
        right, said, known = right + len(read & wanted), said + len(read), known + len(wanted)
    return Counts(right, said, known)


def total(rows: Iterable[Counts]) -> ValueScore:
    """The score of rows together."""
    right = given = true = 0
    for row in rows:
        right, given, true = right + row.right, given + row.given, true + row.true
    return ValueScore(Counts(right, given, true))


def gain(before: Sequence[Counts], after: Sequence[Counts]) -> Interval:
    """95% interval of the F1 after less that before, on the same rows drawn again together."""
    draw = random.Random(SEED)
    places = range(len(before))
    differences = []
    for _ in range(RESAMPLES):
        rows = draw.choices(places, k=len(before))
        first, second = (total(side[at] for at in rows).f1 for side in (before, after))
        differences.append(second - first)
    differences.sort()
    return differences[round(0.025 * (RESAMPLES - 1))], differences[round(0.975 * (RESAMPLES - 1))]


def texts_of(value: Any) -> list[str]:
    """The values of a field of an answer, as texts; none of None."""
    if value is None or value == "":
        return []
    if isinstance(value, list):
        return [text for one in value for text in texts_of(one)]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [f"{value:g}" if isinstance(value, float) else str(value)]


def _f1(right: int, given: int, true: int) -> float:
    return 2 * right / (given + true) if given + true else 0.0
