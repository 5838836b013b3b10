"""Estimates each text by trees that saw neither its group nor its like; it keeps no policy.

Everything that is chosen (which groups are believed, how deep trees are read) is chosen again
within each fold's training rows, so no estimate has looked at its own label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.learned.cues import NAMES
from benchmarks.learned.curve import Floats
from benchmarks.learned.forest import Forest, Growth, grow

Ints = NDArray[np.int64]
DEPTHS = (0, 2, 4, 8)
INNER_FOLDS, INNER_TREES = 2, 10
LEAF_SHARE, LEAST_LEAF, MOST_LEAF = 1 / 40, 5, 40
# A group is suspect from this many standard errors below guessing, if it has enough rows to tell.
SUSPECT_ERRORS, SUSPECT_ROWS = 3.0, 30
OPTION_COUNT = NAMES.index("option_count")


@dataclass(frozen=True, slots=True)
class Labelled:
    """Rows to learn from: cues (rows, F), right (rows, M) from 0 to 1, and the ids of groups and
    of texts (rows,): the same text has one id, in whatever group it stands."""

    cues: Floats
    right: Floats
    groups: Ints
    texts: Ints

    def part(self, rows: Ints) -> Labelled:
        """Some rows of it."""
        return Labelled(self.cues[rows], self.right[rows], self.groups[rows], self.texts[rows])

    def __len__(self) -> int:
        return len(self.cues)


def suspect_groups(labelled: Labelled) -> list[int]:
    """Groups in which a model is right less often than guessing among the options would be.

    That is a broken grading (answers that were not parsed), which says nothing of the texts.
    """
    chance = 1 / labelled.cues[:, OPTION_COUNT]  # NaN where there are none: never suspect
    suspects = []
    for group in np.unique(labelled.groups):
        rows = labelled.groups == group
        count, guessed = int(rows.sum()), float(chance[rows].mean())
        error = np.sqrt(guessed * (1 - guessed) / count)
        least = float(labelled.right[rows].mean(axis=0).min())
        if count >= SUSPECT_ROWS and least < guessed - SUSPECT_ERRORS * error:
            suspects.append(int(group))
    return suspects


def learn(labelled: Labelled, trees: int, seed: int) -> tuple[Forest, int]:
    """Trees on the groups that are believed, and the depth that did best on inner folds."""
    believed = labelled.part(_believed_rows(labelled))
    growth = Growth(trees, leaf_rows=_leaf_rows(len(believed)), depth=DEPTHS[-1])
    depth = _best_depth(believed, replace(growth, trees=INNER_TREES), seed)
    return grow(believed.cues, believed.right, growth, seed), depth


def held_out(
    labelled: Labelled,
    folds: int,
    trees: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Floats:
    """Each row's estimates (rows, M), by trees fitted without its group and without its text."""
    estimates = np.zeros_like(labelled.right)
    for number, (train, test) in enumerate(split(labelled, folds, seed)):
        forest, depth = learn(labelled.part(train), trees, seed + number)
        estimates[test] = forest.predict(labelled.cues[test], depth)
        if progress:
            progress(number + 1, depth)
    return estimates


def split(labelled: Labelled, folds: int, seed: int) -> Iterator[tuple[Ints, Ints]]:
    """Training and test rows of each fold: whole groups, about equally many rows a fold."""
    ids, counts = np.unique(labelled.groups, return_counts=True)
    sizes = np.zeros(min(folds, len(ids)), dtype=np.int64)
    fold_of = np.zeros(len(ids), dtype=np.int64)
    for place in np.random.default_rng(seed).permutation(len(ids)):
        fold_of[place] = np.argmin(sizes)
        sizes[fold_of[place]] += counts[place]
    fold = fold_of[np.searchsorted(ids, labelled.groups)]
    for number in range(len(sizes)):
        test = np.flatnonzero(fold == number)
        seen = np.isin(labelled.texts, labelled.texts[test])
        yield np.flatnonzero((fold != number) & ~seen), test


def _believed_rows(labelled: Labelled) -> Ints:
    return np.flatnonzero(~np.isin(labelled.groups, suspect_groups(labelled)))


def _leaf_rows(rows: int) -> int:
    return int(np.clip(rows * LEAF_SHARE, LEAST_LEAF, MOST_LEAF))


def _best_depth(labelled: Labelled, growth: Growth, seed: int) -> int:
    """The depth with the least squared error on inner folds; 0, the mean, where nothing helps."""
    errors = np.zeros(len(DEPTHS))
    for train, test in split(labelled, INNER_FOLDS, seed):
        part = labelled.part(train)
        if not len(part):
            continue
        forest = grow(part.cues, part.right, growth, seed)
        for at, depth in enumerate(DEPTHS):
            estimates = forest.predict(labelled.cues[test], depth)
            errors[at] += float(np.sum((estimates - labelled.right[test]) ** 2))
    return DEPTHS[int(np.argmin(errors))]
