"""Extremely randomised trees over a table of numbers, in numpy; it knows no text and no model.

After Geurts, Ernst and Wehenkel (2006): each node draws some columns and one cut of each at random
and keeps the cut that lowers the squared error most, summed over the outputs. Cuts lie between
quantiles of the training rows, so a value beyond all that were seen counts as the largest of them,
and a missing value (NaN) counts as smaller than any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 64
LEAF = -1


@dataclass(frozen=True, slots=True)
class Growth:
    """How trees grow: their number, rows drawn for each (all, if there are fewer), rows that a leaf
    holds at least, columns tried at each node, and depth."""

    trees: int = 60
    tree_rows: int = 5000
    leaf_rows: int = 40
    tries: int = 10
    depth: int = 8


@dataclass(frozen=True, slots=True)
class Forest:
    """All trees' nodes one after the other: N nodes, T trees, M outputs, F columns.

    `edges` (F, BINS - 1) are the columns' quantiles, `roots` (T,) each tree's first node, `column`
    and `cut` (N,) the split (a row goes left when its bin is at most the cut), `left` (N,) the left
    child, the right one follows it, or LEAF; `value` (N, M) the mean outputs of the node's rows.
    """

    edges: NDArray[np.float32]
    roots: NDArray[np.int32]
    column: NDArray[np.int16]
    cut: NDArray[np.int16]
    left: NDArray[np.int32]
    value: NDArray[np.float32]

    def predict(self, table: NDArray[np.float64], depth: int) -> NDArray[np.float64]:
        """Mean outputs (rows, M) of the trees cut off at `depth`; 0 is the mean of all rows."""
        bins = binned(table, self.edges)
        rows = np.arange(len(table))
        total = np.zeros((len(table), self.value.shape[1]))
        for root in self.roots:
            node = np.full(len(table), root, dtype=np.int64)
            for _ in range(depth):
                inner = self.left[node] != LEAF
                if not inner.any():
                    break
                goes_right = bins[rows, self.column[node]] > self.cut[node]
                node = np.where(inner, self.left[node] + goes_right, node)
            total += self.value[node]
        return total / len(self.roots)


def quantiles(table: NDArray[np.float64]) -> NDArray[np.float32]:
    """The cuts that each column offers, from the values that are there."""
    edges = np.zeros((table.shape[1], BINS - 1), dtype=np.float32)
    for at, column in enumerate(table.T):
        known = column[~np.isnan(column)]
        if len(known):
            edges[at] = np.quantile(known, np.linspace(0, 1, BINS + 1)[1:-1])
    return edges


def binned(table: NDArray[np.float64], edges: NDArray[np.float32]) -> NDArray[np.int16]:
    """The bin of each value, 1 to BINS; 0 for a missing one."""
    bins = np.empty(table.shape, dtype=np.int16)
    for at, column in enumerate(table.astype(np.float32).T):
        bins[:, at] = np.searchsorted(edges[at], column, side="left") + 1
    bins[np.isnan(table)] = 0
    return bins


def grow(
    table: NDArray[np.float64],
    outputs: NDArray[np.float64],
    growth: Growth,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Forest:
    """Fit `outputs` (rows, M) from `table` (rows, F); the same seed gives the same forest."""
    edges = quantiles(table)
    bins, targets = binned(table, edges), outputs.astype(np.float32)
    draw = np.random.default_rng(seed)
    columns, cuts, lefts, values, roots = [], [], [], [], []
    first = 0
    for number in range(growth.trees):
        rows = draw.permutation(len(bins))[: growth.tree_rows]
        column, cut, left, value = _Tree(bins[rows], targets[rows], growth, draw).arrays()
        roots.append(first)
        columns.append(column)
        cuts.append(cut)
        lefts.append(np.where(left == LEAF, LEAF, left + first))
        values.append(value)
        first += len(column)
        if progress:
            progress(number + 1)
    return Forest(
        edges,
        np.array(roots, dtype=np.int32),
        np.concatenate(columns).astype(np.int16),
        np.concatenate(cuts).astype(np.int16),
        np.concatenate(lefts).astype(np.int32),
        np.concatenate(values).astype(np.float32),
    )


class _Tree:
    """One tree, grown level by level: all nodes of a level try their splits at once.

    Rows stand in the order of their nodes, so a node's sums are one slice's.
    """

    def __init__(
        self,
        bins: NDArray[np.int16],
        outputs: NDArray[np.float32],
        growth: Growth,
        draw: np.random.Generator,
    ) -> None:
        self.growth, self.draw = growth, draw
        self.column: list[int] = [0]
        self.cut: list[int] = [0]
        self.left: list[int] = [LEAF]
        self.value = [outputs.mean(axis=0)]
        level = _Level(bins, outputs, np.zeros(len(bins), dtype=np.int64), [0])
        for _ in range(growth.depth):
            level = self._split(level)
            if not level.nodes:
                break

    def arrays(self) -> tuple[NDArray, NDArray, NDArray, NDArray]:
        """Column, cut, left child and value of each node."""
        return (
            np.array(self.column),
            np.array(self.cut),
            np.array(self.left),
            np.array(self.value),
        )

    def _split(self, level: _Level) -> _Level:
        """Split what can be split of a level, and return the next one."""
        column, cut, splits = self._best_splits(level)
        first_child = np.zeros(len(level.nodes), dtype=np.int64)
        children: list[int] = []
        for place in np.flatnonzero(splits):
            node = level.nodes[place]
            self.column[node], self.cut[node] = int(column[place]), int(cut[place])
            self.left[node] = len(self.column)
            first_child[place] = len(children)
            children += [len(self.column), len(self.column) + 1]
            self.column += [0, 0]
            self.cut += [0, 0]
            self.left += [LEAF, LEAF]
        goes_right = level.column(column) > cut[level.at]
        at, stays = first_child[level.at] + goes_right, np.flatnonzero(splits[level.at])
        order = stays[np.argsort(at[stays], kind="stable")]
        following = _Level(level.bins[order], level.outputs[order], at[order], children)
        if children:
            self.value += list(following.sums / following.count[:, None])
        return following

    def _best_splits(
        self, level: _Level
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """Column and cut of each node, and whether any of the tries was a split."""
        nodes = len(level.nodes)
        best = np.zeros(nodes)
        column, cut = np.zeros(nodes, dtype=np.int64), np.zeros(nodes, dtype=np.int64)
        for _ in range(self.growth.tries):
            tried = self.draw.integers(0, level.bins.shape[1], nodes)
            # The bin of one of the node's rows, so that common values are cut at more often.
            picked = level.starts + self.draw.integers(0, level.count)
            threshold = level.bins[picked, tried]
            gain = self._gain(level, level.column(tried) <= threshold[level.at])
            better = gain > best
            best[better] = gain[better]
            column[better] = tried[better]
            cut[better] = threshold[better]
        return column, cut, best > 0

    def _gain(self, level: _Level, goes_left: NDArray[np.bool_]) -> NDArray[np.float32]:
        """By how much the squared error falls in each node; 0 where the split is not allowed."""
        lefts = np.add.reduceat(goes_left, level.starts, dtype=np.int64)[:, None]
        sums = np.add.reduceat(level.outputs * goes_left[:, None], level.starts, axis=0)
        count = level.count[:, None]
        rights = count - lefts
        allowed = (np.minimum(lefts, rights) >= self.growth.leaf_rows)[:, 0]
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = sums**2 / lefts + (level.sums - sums) ** 2 / rights - level.sums**2 / count
        return np.where(allowed, gain.sum(axis=1), 0.0)


class _Level:
    """The rows of a tree's level in the order of their nodes: `at` is the place in `nodes`."""

    def __init__(
        self,
        bins: NDArray[np.int16],
        outputs: NDArray[np.float32],
        at: NDArray[np.int64],
        nodes: list[int],
    ) -> None:
        self.bins, self.outputs, self.at, self.nodes = bins, outputs, at, nodes
        self.count = np.bincount(at, minlength=len(nodes))
        self.starts = np.cumsum(self.count) - self.count
        self.rows = np.arange(len(at))
        self.sums = np.add.reduceat(outputs, self.starts, axis=0) if nodes else outputs

    def column(self, of_node: NDArray[np.int64]) -> NDArray[np.int16]:
        """Each row's bin in the column that its node looks at."""
        return self.bins[self.rows, of_node[self.at]]
