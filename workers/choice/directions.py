"""Where names point in the space: by their wordings, their descriptions and their place in a tree.

A path ("Home > Kitchen > Mugs") points where its leaf does, alone and beside its parent, and a
little where its ancestors do, so that two leaves of one name stay apart. Shapes: K names, W.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workers.choice.goods import Goods
from workers.choice.names import said, same
from workers.choice.options import ChoiceOptions
from workers.choice.space import Space
from workers.choice.taxonomy import steps

Floats = NDArray[np.floating[Any]]
Embed = Callable[[Sequence[str]], Floats]
Pointed = Callable[[Floats, Sequence[str]], Floats]
FULL = 200  # so many names have all their wordings embedded; more are said once each
WORDINGS = 3
DESCRIBED = 0.5  # what a description weighs beside the wordings of its name
BESIDE, ABOVE = 0.5, 0.3  # what the leaf beside its parent and the ancestors weigh, the leaf 1


def directions(options: ChoiceOptions, embed: Embed, space: Space, goods: Goods) -> Floats:
    """Unit directions (K, W) of the options' names."""

    def pointed(vectors: Floats, names: Sequence[str]) -> Floats:
        return goods.pointed(vectors, names, space)

    paths = [steps(name) for name in options.names]
    leaves = _pointed(
        [path[-1] for path in paths], dict(options.descriptions), options, embed, pointed
    )
    if all(len(path) == 1 for path in paths):
        return leaves
    beside = _single([_beside(path) for path in paths], embed, pointed)
    above = sorted({node for path in paths for node in path[:-1]})
    at = {node: row for row, node in enumerate(above)}
    nodes = _single(above, embed, pointed)
    for row, path in enumerate(paths):
        if len(path) > 1:
            mean = nodes[[at[node] for node in path[:-1]]].mean(axis=0)
            leaves[row] += BESIDE * beside[row] + ABOVE * mean
    return leaves / np.linalg.norm(leaves, axis=1, keepdims=True)


def _beside(path: tuple[str, ...]) -> str:
    return ", ".join(reversed(path[-2:]))


def _single(names: Sequence[str], embed: Embed, pointed: Pointed) -> Floats:
    return pointed(embed([same(name) for name in names]), names)


def _pointed(
    leaves: Sequence[str],
    descriptions: dict[str, str],
    options: ChoiceOptions,
    embed: Embed,
    pointed: Pointed,
) -> Floats:
    most = WORDINGS if len(leaves) <= FULL else 1
    wordings = [said(leaf, most) for leaf in leaves]
    vectors = iter(embed([wording for each in wordings for wording in each]))
    means = np.stack([np.mean([next(vectors) for _ in each], axis=0) for each in wordings])
    told = [at for at, name in enumerate(options.names) if name in descriptions]
    if told:
        texts = [f"{leaves[at]}: {descriptions[options.names[at]]}" for at in told]
        means[told] = (1 - DESCRIBED) * means[told] + DESCRIBED * embed(texts)
    return pointed(means, leaves)
