"""Scores of names for texts: the nearer a name's centre to a text's place, the higher.

A name's centre is what its wordings promise, then moved by the texts that are known to bear it
(a posterior mean with the name as prior). Shapes: N texts, K names, W numbers of a place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
PROMISED = 0.6  # how far from the middle texts of a name lie, in usual offsets
TRUST = 2.0  # so many texts weigh as much as the name itself


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """`centres` (K, W) of the names, of which `taught` (K) texts are known.

    `nothing` (M, W) are places of texts that are known to be none of them.
    """

    centres: Floats
    taught: Floats
    nothing: Floats

    @classmethod
    def of(cls, names: Floats, places: Floats, owners: Sequence[int]) -> Head:
        """The head of names' directions (K, W) and texts' places whose owner is a name, or -1."""
        owner = np.asarray(owners, np.int64)
        weights = np.zeros((len(owner), len(names)), np.float32)
        known = owner >= 0
        weights[known, owner[known]] = 1
        return cls.weighted(names, places, weights, places[~known])

    @classmethod
    def weighted(cls, names: Floats, places: Floats, weights: Floats, nothing: Floats) -> Head:
        """The same of texts that bear names by `weights` (N, K)."""
        count = weights.sum(axis=0)
        summed = weights.T @ places + TRUST * PROMISED * names
        return cls(summed / (count + TRUST)[:, None], count, nothing)

    def scores(self, places: Floats) -> Floats:
        """(N, K): squared distance from the middle less that from the centre."""
        return 2 * places @ self.centres.T - (self.centres**2).sum(axis=1)

    def nothing_score(self, places: Floats) -> Floats | None:
        """(N,): the same of the texts known to be none of the names; None without any."""
        if not len(self.nothing):
            return None
        near = 0.5 * self.nothing + 0.5 * self.nothing.mean(axis=0)
        return (2 * places @ near.T - (near**2).sum(axis=1)).max(axis=1)
