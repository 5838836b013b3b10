"""Fits a policy to labels and measures it on held-out groups; it knows no file and no fleet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.learned.cues import matrix
from benchmarks.learned.curve import Floats, Interval, resamples, routing_score
from benchmarks.learned.held_out import Ints, Labelled, held_out, learn, suspect_groups
from benchmarks.learned.policy import Evidence, Policy, covered_forms
from orchestra.core.errors import InvalidLabels

TREES = 60
FOLDS = 5
LEAST_TEXTS, LEAST_GROUPS = 20, 5


def fit(
    texts: Sequence[str],
    right: Mapping[str, Sequence[float]],
    groups: Sequence[str] | None = None,
    *,
    seed: int = 0,
    trees: int = TREES,
    folds: int = FOLDS,
) -> Policy:
    """Learn from labelled texts how likely each model is right.

    `right` holds for each model, cheapest first, a label from 0 (wrong) to 1 (right) for each
    text. Texts of one group (a subject, a brand) are held out together, so that the policy's
    intervals speak of groups never seen; without groups each different text is its own.
    Raises `InvalidLabels` when they do not fit together or are too few.
    """
    labelled, names = labelled_rows(texts, right, groups)
    estimates = held_out(labelled, folds, trees, seed)
    return policy_of(labelled, names, tuple(right), estimates, seed=seed, trees=trees)


def policy_of(
    labelled: Labelled,
    names: list[str],
    models: tuple[str, ...],
    estimates: Floats,
    *,
    seed: int = 0,
    trees: int = TREES,
) -> Policy:
    """Learn from all rows, and keep with it what the held-out `estimates` were worth."""
    evidence = measured(labelled, names, models, estimates, seed)
    forest, depth = learn(labelled, trees, seed)
    spread = float(np.std(estimates[:, -1] - estimates[:, 0]))
    return Policy(models, forest, depth, covered_forms(labelled.cues), spread, evidence)


def labelled_rows(
    texts: Sequence[str],
    right: Mapping[str, Sequence[float]],
    groups: Sequence[str] | None = None,
) -> tuple[Labelled, list[str]]:
    """The rows to learn from, and the groups' names by id. Raises `InvalidLabels`."""
    _check(texts, right, groups)
    text_ids = _ids(texts)
    group_ids = text_ids if groups is None else _ids(groups)
    table = np.array(list(right.values()), dtype=np.float64).T
    if len(np.unique(group_ids)) < LEAST_GROUPS:
        raise InvalidLabels(
            f"The texts fall into {len(np.unique(group_ids))!r} groups, and {LEAST_GROUPS} are "
            "needed to hold some out. Label texts of more groups, or pass no groups."
        )
    return Labelled(matrix(texts), table, group_ids, text_ids), sorted(set(groups or texts))


def _ids(names: Sequence[str]) -> Ints:
    return np.unique(np.array(names, dtype=object), return_inverse=True)[1].astype(np.int64)


def _check(
    texts: Sequence[str], right: Mapping[str, Sequence[float]], groups: Sequence[str] | None
) -> None:
    if not right:
        raise InvalidLabels(f"No model has labels: {right!r}. Pass a label a text for each model.")
    if len(texts) < LEAST_TEXTS:
        raise InvalidLabels(
            f"{len(texts)!r} texts are labelled, and {LEAST_TEXTS} are the fewest to learn from. "
            "Label more."
        )
    lengths = {f"labels of {model}": len(labels) for model, labels in right.items()}
    lengths |= {"groups": len(groups)} if groups is not None else {}
    for name, length in lengths.items():
        if length != len(texts):
            raise InvalidLabels(
                f"There are {length!r} {name} for {len(texts)!r} texts. Pass one for each text."
            )
    for model, labels in right.items():
        wrong = next((label for label in labels if not 0 <= label <= 1), None)
        if wrong is not None:
            raise InvalidLabels(
                f"{wrong!r} is no label of {model!r}. Use 0 for wrong, 1 for right, or between."
            )


def measured(
    labelled: Labelled, names: list[str], models: tuple[str, ...], estimates: Floats, seed: int
) -> Evidence:
    """What held-out estimates are worth, with intervals over the groups."""
    right = labelled.right
    routing = None
    if len(models) > 1:
        gain = estimates[:, -1] - estimates[:, 0]
        routing = routing_score(gain, right[:, 0], right[:, -1], labelled.groups, seed)
    return Evidence(
        texts=len(labelled),
        groups=len(np.unique(labelled.groups)),
        skill={
            model: _skill(estimates[:, at], right[:, at], labelled.groups, seed)
            for at, model in enumerate(models)
        },
        routing=routing,
        left_out=tuple(names[group] for group in suspect_groups(labelled)),
    )


def _skill(estimates: Floats, right: Floats, groups: Ints, seed: int) -> Interval:
    """The share of the squared error of the mean rate that the estimates remove."""
    error, base = (estimates - right) ** 2, (right.mean() - right) ** 2

    def removed(rows: Ints | slice) -> float:
        # A model that is always right, or always wrong, leaves nothing to explain.
        total = float(base[rows].sum())
        return 1 - float(error[rows].sum()) / total if total else 0.0

    draws = [removed(rows) for rows in resamples(len(right), groups, seed)]
    low, high = np.quantile(draws, (0.025, 0.975))
    return Interval(removed(slice(None)), float(low), float(high))
