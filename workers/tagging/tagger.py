"""A tagger of a user's own fields: chains propose, strings and a ranker decide, a curve calibrates.

Each stage learns from what the one before it says of rows that it did not see (stacking, Wolpert
1992), so that neither overtrusts the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from orchestra.quality.curve import choose
from orchestra.quality.curve import fit as fit_curve
from workers.encoder.content import Encoded
from workers.tagging.candidates import ValueCandidate, candidates
from workers.tagging.encoded import encoded, encoded_all
from workers.tagging.neural import StateTagger, train_states
from workers.tagging.ranker import Ranker, fit
from workers.tagging.rows import TaggedRow, tagged_row
from workers.tagging.spans import SpanModel, train_spans
from workers.tagging.strings import Strings

FOLDS = 3  # of the rows, from which later stages learn
STEPS = np.linspace(0, 1, 101)  # where the curve is kept
LEAST, MOST = 0.25, 0.6  # of the threshold
LISTS = 0.05  # a field whose filled rows have several values this often may have several
BESIDE = 0.5  # of the best candidate's probability, for a further value of such a field
RANKERS = 3  # averaged: one begins by chance
Candidates = dict[str, list[ValueCandidate]]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class TaggedValue:
    """A value that stands in a text, from `start` to `end`, and how likely it is the field's."""

    value: str
    start: int
    end: int
    probability: float


@dataclass(slots=True)
class Tagger:
    """What was learnt. A field is answered from `threshold` on, which had the best F1."""

    spans: SpanModel
    states: StateTagger | None
    strings: Strings
    rankers: list[Ranker]
    levels: np.ndarray
    threshold: float
    lists: frozenset[str]

    def readings(self, text: str, group: str = "") -> dict[str, list[TaggedValue]]:
        """For each field of the group every candidate, the likeliest first; none is above 1."""
        row = tagged_row(text, group)
        views = _views(row, self.spans, self.states, encoded(row.text) if self.states else None)
        found = candidates(row, views, self.strings)
        return {name: self._read(own) for name, own in found.items()}

    def answers(self, text: str, group: str = "") -> dict[str, list[TaggedValue]]:
        """The values that are likely enough; a field without one is left out."""
        found = {}
        for name, all_of in self.readings(text, group).items():
            if all_of and all_of[0].probability >= self.threshold:
                most = all_of[0].probability * BESIDE
                several = name in self.lists
                found[name] = [one for at, one in enumerate(all_of)
                               if at == 0 or (several and one.probability >= most)]  # fmt: skip
        return found

    def _read(self, own: Sequence[ValueCandidate]) -> list[TaggedValue]:
        if not own:
            return []
        chances = np.interp(_chances(self.rankers, own), STEPS, self.levels)
        order = np.argsort(-chances, kind="stable")
        return [
            TaggedValue(own[at].value, own[at].start, own[at].start + len(own[at].value),
                    float(chances[at]))
            for at in order.tolist()
        ]  # fmt: skip


def train(rows: Sequence[TaggedRow], say: Say = lambda line: None, *, seed: int = 0) -> Tagger:
    """Train on labelled rows; the same rows and seed give the same tagger."""
    rng = np.random.default_rng(seed)
    fold = rng.permutation(len(rows)) % FOLDS
    strings = Strings(rows)
    told = encoded_all([row.text for row in rows])
    found: list[Candidates] = [{} for _ in rows]
    for held in range(FOLDS):
        inside = np.flatnonzero(fold != held).tolist()
        spans, states = _first(rows, told, inside, seed)
        for at in np.flatnonzero(fold == held).tolist():
            views = _views(rows[at], spans, states, told[at] if told else None)
            found[at] = candidates(rows[at], views, strings, at)
        say(f"part {held + 1} of {FOLDS + 1}")
    spans, states = _first(rows, told, range(len(rows)), seed)
    rankers = _rankers(rows, found)
    levels, threshold = _calibrated(rows, found, fold)
    say(f"part {FOLDS + 1} of {FOLDS + 1}")
    return Tagger(spans, states, strings, rankers, levels, threshold, _lists(rows))


def _first(rows: Sequence[TaggedRow], told: Sequence[Encoded], inside: Sequence[int],
           seed: int) -> tuple[SpanModel, StateTagger | None]:  # fmt: skip
    """The first stage, learnt from some of the rows."""
    some = [rows[at] for at in inside]
    spans = train_spans(some)
    if not told or not spans.single:
        return spans, None
    return spans, train_states(some, [told[at] for at in inside], seed=seed)


def _views(row: TaggedRow, spans: SpanModel, states: StateTagger | None,
           told: Encoded | None) -> dict[str, np.ndarray]:  # fmt: skip
    """For each field the probabilities [view, first token, tokens - 1] of all spans."""
    found = spans.probabilities(row)
    if states is None or told is None or not found:
        return found
    more = states.probabilities(row, told)
    return {name: np.concatenate([views, more[name][None]]) for name, views in found.items()}


def _rankers(rows: Sequence[TaggedRow], found: Sequence[Candidates]) -> list[Ranker]:
    questions, right = [], []
    for row, own in zip(rows, found, strict=True):
        for name, some in own.items():
            if some and name in row.values:
                questions.append(np.stack([one.features for one in some]))
                right.append(np.array([one.value in row.values[name] for one in some]))
    return [fit(questions, right, seed=seed) for seed in range(RANKERS)] if questions else []


def _chances(rankers: Sequence[Ranker], own: Sequence[ValueCandidate]) -> np.ndarray:
    features = np.stack([one.features for one in own])
    return np.mean([ranker.probabilities(features) for ranker in rankers], axis=0)


def _calibrated(
    rows: Sequence[TaggedRow], found: Sequence[Candidates], fold: np.ndarray
) -> tuple[np.ndarray, float]:
    """The curve of right answers by probability, and the threshold of best F1.

    Both are of rows that the ranker asked did not see.
    """
    chance: list[float] = []
    right: list[bool] = []
    group: list[int] = []
    for held in range(FOLDS):
        inside = [at for at in range(len(rows)) if fold[at] != held]
        rankers = _rankers([rows[at] for at in inside], [found[at] for at in inside])[:1]
        for at in np.flatnonzero(fold == held).tolist():
            for name, own in found[at].items():
                if own and name in rows[at].values:
                    chances = _chances(rankers, own)
                    best = int(chances.argmax())
                    chance.append(float(chances[best]))
                    right.append(own[best].value in rows[at].values[name])
                    group.append(at)
    p, y, ones = np.array(chance), np.array(right, float), np.ones(len(chance))
    curve = fit_curve(choose(p, y, ones, np.array(group)), p, y, ones)
    levels = np.clip(curve(STEPS), 0, 1)
    values = sum(len(given) for row in rows for given in row.values.values())
    return levels, _best_threshold(np.interp(p, STEPS, levels), y, values)


def _best_threshold(p: np.ndarray, y: np.ndarray, values: int) -> float:
    order = np.argsort(-p, kind="stable")
    hits = y[order].cumsum()
    score = 2 * hits / (np.arange(1, len(p) + 1) + values)
    return float(np.clip(p[order][int(score.argmax())], LEAST, MOST))


def _lists(rows: Sequence[TaggedRow]) -> frozenset[str]:
    filled: dict[str, list[int]] = {}
    for row in rows:
        for name, given in row.values.items():
            if given:
                filled.setdefault(name, []).append(len(given) > 1)
    return frozenset(name for name, some in filled.items() if sum(some) > LISTS * len(some))
