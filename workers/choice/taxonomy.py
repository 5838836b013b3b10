"""Category trees as options: the path of each leaf, from nested names or from links to parents.

A choice is made among leaves ("Home > Kitchen > Mugs"); `directions` lets ancestors count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestra.core.errors import InvalidSchema
from orchestra.core.spelling import did_you_mean

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


def nested_paths(tree: Mapping[str, Any]) -> tuple[str, ...]:
    """The leaves' paths of names nested in mappings, lists and texts.

    Raises InvalidSchema where a branch contains itself, or a name stands twice beside itself.
    """
    paths = tuple(JOINT.join(path) for path in _walked(tree, (), ()))
    _check_twice(paths)
    return paths


def linked_paths(
    parents: Mapping[str, str | None] | Sequence[tuple[str, str | None]],
) -> tuple[str, ...]:
    """The leaves' paths of names with their parents, None for a root.

    Raises InvalidSchema for a name that stands twice, a parent that does not stand among the
    names, and a cycle.
    """
    pairs = list(parents.items()) if isinstance(parents, Mapping) else list(parents)
    _check_twice([name for name, _ in pairs])
    above = dict(pairs)
    inner = {parent for parent in above.values() if parent is not None}
    for parent in inner:
        if parent not in above:
            raise InvalidSchema(
                f"{parent!r} is a parent and no name. {did_you_mean(parent, above)}"
            )
    paths = {name: _climbed(name, above) for name in above}
    return tuple(JOINT.join(path) for name, path in paths.items() if name not in inner)


def _climbed(name: str, above: Mapping[str, str | None]) -> list[str]:
    path = [name]
    while (parent := above[path[-1]]) is not None:
        if parent in path:
            circle = JOINT.join([parent, *reversed(path)])
            raise InvalidSchema(
                f"The category {parent!r} is its own ancestor: {circle!r}. "
                "Give it another parent, or None for a root."
            )
        path.append(parent)
    return path[::-1]


def _walked(branch: Any, path: tuple[str, ...], seen: tuple[int, ...]) -> Iterator[tuple[str, ...]]:
    if id(branch) in seen:
        raise InvalidSchema(
            f"The branch {JOINT.join(path)!r} contains itself. Give each branch its own names."
        )
    if isinstance(branch, str):
        yield (*path, branch)
    elif isinstance(branch, Mapping):
        for name, below in branch.items():
            yield from _walked(below, (*path, str(name)), (*seen, id(branch)))
    elif isinstance(branch, Sequence):
        for below in branch:
            yield from _walked(below, path, (*seen, id(branch)))
    if not branch and path and not isinstance(branch, str):
        yield path


def _check_twice(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidSchema(f"The category {name!r} stands twice. Give it once, or two names.")
        seen.add(name)
