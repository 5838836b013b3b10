"""Category trees as options: the path of each leaf, from nested names or from links to parents.

A choice is made among leaves ("Home > Kitchen > Mugs"); `directions` lets ancestors count.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

JOINT = " > "
STEP = re.compile(r"\s*[>›»]\s*")


def steps(name: str) -> tuple[str, ...]:
    """The path that `name` is, from the root on; of a plain name itself."""
    found = tuple(step for step in STEP.split(name) if step)
    return found or (name,)


def deepest(names: tuple[str, ...], row: NDArray[np.floating[Any]], least: float) -> str | None:
    """The longest path above some of `names` that is at least as likely as `least`; None without.

    `row` holds the probability of each name; a category has those of its leaves together.
    """
    owners, paths = _above(names)
    if not paths:
        return None
    together = np.zeros(len(paths))
    for at, own in enumerate(owners):
        together[list(own)] += row[at]
    likely = [path for path, p in zip(paths, together, strict=True) if p >= least]
    return max(likely, key=lambda path: (path.count(JOINT), path), default=None)


@lru_cache(maxsize=64)
def _above(names: tuple[str, ...]) -> tuple[tuple[tuple[int, ...], ...], tuple[str, ...]]:
    """For each name the places of the paths above it, and these paths."""
    places: dict[str, int] = {}
    owners: list[tuple[int, ...]] = []
    for name in names:
        path = steps(name)
        above = [JOINT.join(path[:depth]) for depth in range(1, len(path))]
        owners.append(tuple(places.setdefault(each, len(places)) for each in above))
    return tuple(owners), tuple(places)
