"""Learns from scored texts how well each model answers a text, and measures it on texts left out.

Texts that are equal, and those of one group (a subject, a brand), are left out together. Members
are fitted anew for each fold; the weights with which a fold's texts are estimated come from what
members said of the other folds' left-out texts, so that no estimate has looked at its own label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestra.core.errors import InvalidLabels
from orchestra.quality.learned.columns import ReadTexts, Vectors
from orchestra.quality.learned.cues import NAMES
from orchestra.quality.learned.evidence import RoutingEvidence, bands, evidence_of
from orchestra.quality.learned.learner import MEMBERS, TREES, Members, TextLearner, Weights
from orchestra.quality.learned.nearness import bounds_of, nearness

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
FOLDS = 5
LEAST_TEXTS, LEAST_GROUPS = 40, 5
# A group is suspect from this many standard errors below guessing, if it has enough rows to tell.
SUSPECT_ERRORS, SUSPECT_ROWS = 3.0, 30
OPTION_COUNT = NAMES.index("option_count")


@dataclass(frozen=True, slots=True)
class Scored:
    """Texts as read, `scores` (texts, M) from 0 to 1, `models` cheapest first, groups by number."""

    read: ReadTexts
    scores: Floats
    models: tuple[str, ...]
    groups: Ints
    names: tuple[str, ...]  # of the groups, by number
    texts: Ints  # equal texts have one number

    def part(self, rows: Ints) -> Scored:
        """Some of the rows."""
        return Scored(
            self.read.part(rows),
            self.scores[rows],
            self.models,
            self.groups[rows],
            self.names,
            self.texts[rows],
        )

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class Learnt:
    """A learner fitted to all texts, and what it was worth on texts left out.

    `estimates` (texts, M) and `near` (texts,) are of texts left out, of which `fold` (texts,) was
    not fitted to.
    """

    learner: TextLearner
    evidence: RoutingEvidence
    bands: list[list[tuple[float, float, float]]]
    estimates: Floats
    near: Floats
    fold: Ints


def scored(
    texts: Sequence[str],
    scores: Mapping[str, Sequence[float]],
    vectors: Vectors | None,
    groups: Sequence[str] | None = None,
) -> Scored:
    """The texts to learn from, read; `scores` by model, cheapest first.

    Without groups each different text is its own. Raises `InvalidLabels` where they do not fit
    together or are too few.
    """
    _check(texts, scores, groups)
    text_numbers, names = _numbered(texts)
    numbers = text_numbers
    if groups is not None:
        numbers, names = _numbered(groups)
    if len(names) < LEAST_GROUPS:
        raise InvalidLabels(
            f"The texts fall into {len(names)!r} groups, and {LEAST_GROUPS} are needed to leave "
            "some out. Label texts of more groups, or pass no groups."
        )
    table = np.array(list(scores.values()), dtype=np.float64).T
    return Scored(ReadTexts.of(texts, vectors), table, tuple(scores), numbers, names, text_numbers)


def learn(
    data: Scored,
    *,
    seed: int = 0,
    folds: int = FOLDS,
    trees: int = TREES,
    progress: Callable[[int], None] | None = None,
) -> Learnt:
    """Fit `data`; `progress` is told of each fold that is done."""
    believed = np.flatnonzero(~np.isin(data.groups, suspect_groups(data)))
    fold = folds_of(data, folds, seed)
    said = np.zeros((MEMBERS, *data.scores.shape))
    distance, covered, rates = np.zeros(len(data)), np.zeros(len(data)), np.zeros_like(data.scores)
    for held in range(int(fold.max()) + 1):
        test, train = split(data, fold, held, believed)
        members = Members.of(data.read.part(train), data.scores[train], seed + held, trees)
        part = data.read.part(test)
        said[:, test], distance[test] = members.say(part)
        covered[test], rates[test] = members.covers(part), members.rates
        if progress:
            progress(held + 1)
    estimates, near = _crossed(said, distance, covered, rates, data.scores, fold)
    members = Members.of(data.read.part(believed), data.scores[believed], seed, trees)
    whole = Weights.of(said[:, believed], data.scores[believed], rates[believed])
    suspects = tuple(data.names[at] for at in suspect_groups(data))
    evidence = evidence_of(
        estimates, data.scores, data.groups, fold, data.models, seed, left_out=suspects
    )
    learner = TextLearner(members, whole, bounds_of(distance[believed]))
    return Learnt(learner, evidence, bands(estimates, data.scores), estimates, near, fold)


def _crossed(
    said: Floats, distance: Floats, covered: Floats, rates: Floats, scores: Floats, fold: Ints
) -> tuple[Floats, Floats]:
    """Estimates and nearness of each fold's texts, by weights and bounds of the others."""
    estimates, near = np.zeros_like(scores), np.zeros(len(scores))
    for held in np.unique(fold):
        test, others = fold == held, fold != held
        if not others.any():
            others = test
        weights = Weights.of(said[:, others], scores[others], rates[others])
        near[test] = nearness(distance[test], bounds_of(distance[others])) * covered[test]
        apart = weights.blend(said[:, test]) * near[test, None]
        estimates[test] = np.clip(rates[test] + apart, 0, 1)
    return estimates, near


def folds_of(data: Scored, folds: int, seed: int) -> Ints:
    """Each text's fold: whole groups, about equally many texts a fold."""
    ids, counts = np.unique(data.groups, return_counts=True)
    sizes = np.zeros(min(folds, len(ids)), dtype=np.int64)
    of_group = np.zeros(int(ids.max()) + 1, dtype=np.int64)
    for place in np.random.default_rng(seed).permutation(len(ids)):
        of_group[ids[place]] = np.argmin(sizes)
        sizes[of_group[ids[place]]] += counts[place]
    return of_group[data.groups]


def split(data: Scored, fold: Ints, held: int, believed: Ints) -> tuple[Ints, Ints]:
    """Left-out rows of a fold, and those to fit: neither their groups nor their texts elsewhere."""
    test = np.flatnonzero(fold == held)
    kept = (fold != held) & ~np.isin(data.texts, data.texts[test])
    return test, np.intersect1d(np.flatnonzero(kept), believed)


def suspect_groups(data: Scored) -> list[int]:
    """Groups in which a model is right less often than guessing among the options would be.

    That is a broken grading (answers that were not parsed), which says nothing of the texts.
    """
    chance = 1 / data.read.cues[:, OPTION_COUNT]  # NaN where there are none: never suspect
    suspects: list[int] = []
    ids, counts = np.unique(data.groups, return_counts=True)
    for group in ids[counts >= SUSPECT_ROWS]:
        rows = data.groups == group
        count, guessed = int(rows.sum()), float(chance[rows].mean())
        error = np.sqrt(guessed * (1 - guessed) / count)
        if float(data.scores[rows].mean(axis=0).min()) < guessed - SUSPECT_ERRORS * error:
            suspects.append(int(group))
    return suspects


def _numbered(names: Sequence[str]) -> tuple[Ints, tuple[str, ...]]:
    known, numbers = np.unique(np.array(names, dtype=object), return_inverse=True)
    return numbers.ravel().astype(np.int64), tuple(map(str, known))


def _check(
    texts: Sequence[str], scores: Mapping[str, Sequence[float]], groups: Sequence[str] | None
) -> None:
    if not scores:
        raise InvalidLabels(f"No model has scores: {scores!r}. Pass a score a text for each model.")
    if len(texts) < LEAST_TEXTS:
        raise InvalidLabels(
            f"{len(texts)!r} texts are labelled, and {LEAST_TEXTS} are the fewest to learn from. "
            "Label more."
        )
    for name, own in scores.items():
        if len(own) != len(texts):
            raise InvalidLabels(
                f"There are {len(own)!r} labels of {name} for {len(texts)} texts. Pass one a text."
            )
        wrong = next((one for one in own if not 0 <= one <= 1), None)
        if wrong is not None:
            raise InvalidLabels(
                f"{wrong!r} is no label of {name!r}. Write 1 for right, 0 for wrong, or a share."
            )
    if groups is not None and len(groups) != len(texts):
        raise InvalidLabels(
            f"There are {len(groups)!r} groups for {len(texts)} texts. Pass one a text, or none."
        )
