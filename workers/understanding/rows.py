"""Puts the values of a list of objects together: those that stand near each other are one item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from workers.understanding.picked import Pick


def grouped(columns: Mapping[str, Sequence[Pick]], text: str) -> list[dict[str, Pick]]:
    """One mapping an item, from a leaf's place to its value.

    The leaf that was found most often begins an item; each other value belongs to the nearest one,
    a line end counting as far.
    """
    first = max(columns, key=lambda place: len(columns[place]), default=None)
    if first is None:
        return []
    rows = [{first: one} for one in columns[first]]
    for place, values in columns.items():
        for one in values if place != first else ():
            near = min(rows, key=lambda row: _far(row[first], one, text))
            if place not in near or near[place].probability < one.probability:
                near[place] = one
    return rows


def _far(one: Pick, other: Pick, text: str) -> int:
    (a, b), (c, d) = one.span or (0, 0), other.span or (0, 0)
    low, high = min(b, d), max(a, c)
    return max(0, high - low) + 1000 * text.count("\n", low, max(low, high))
