"""What many chains say of a token's features, as one sparse table of plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workers.tagging.chain import Chain


@dataclass(slots=True)
class Emission:
    """The weights of feature `f` are `weights[starts[f]:starts[f + 1]]`, in `columns`."""

    features: dict[str, int]
    starts: np.ndarray
    columns: np.ndarray
    weights: np.ndarray
    width: int

    @classmethod
    def of(cls, chains: Sequence[Chain]) -> tuple[Emission, list[int]]:
        """The table of `chains`, and the column at which each one's labels begin."""
        offsets = np.cumsum([0, *(len(chain.transition) for chain in chains)])
        entries: dict[str, list[tuple[int, float]]] = {}
        for chain, offset in zip(chains, offsets[:-1], strict=True):
            for (name, label), weight in chain.weights.items():
                entries.setdefault(name, []).append((int(offset) + label, weight))
        rows = list(entries.values())
        flat = [entry for row in rows for entry in row]
        table = cls(
            {name: at for at, name in enumerate(entries)},
            np.cumsum([0, *map(len, rows)]),
            np.array([column for column, _ in flat], np.int32),
            np.array([weight for _, weight in flat], np.float32),
            int(offsets[-1]),
        )
        return table, [int(offset) for offset in offsets[:-1]]

    def scores(self, rows: Sequence[Sequence[str]]) -> np.ndarray:
        """The scores [token, column] of tokens by their features; unknown ones say nothing."""
        known = self.features
        places = [(known[name], at) for at, row in enumerate(rows) for name in row if name in known]
        ids = np.array([feature for feature, _ in places], dtype=int)
        tokens = np.array([at for _, at in places], dtype=int)
        starts = self.starts[ids]
        counts = self.starts[ids + 1] - starts
        shift = np.repeat(starts - np.concatenate([[0], counts.cumsum()[:-1]])[: len(ids)], counts)
        taken = shift + np.arange(counts.sum())
        cells = np.repeat(tokens, counts) * self.width + self.columns[taken]
        sums = np.bincount(cells, self.weights[taken], len(rows) * self.width)
        return sums.reshape(len(rows), self.width)
