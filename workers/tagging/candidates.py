"""The values that a field might have in a text, with what speaks for each.

A candidate is a string of the text: a span that the chains find probable, or a value that the
field had in another row. It knows no model.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from workers.tagging.rows import TaggedRow, occurrences
from workers.tagging.strings import Strings
from workers.tagging.tokens import covering

LEAST = 0.01  # the probability from which a span is a candidate
MOST = 12  # candidates of a field
PRIOR = 0.3  # of a string that was never seen, that it is a value where it stands


@dataclass(slots=True)
class ValueCandidate:
    """A string and its most probable place, in characters, with what speaks for it."""

    value: str
    start: int
    features: np.ndarray


@dataclass(slots=True)
class _Found:
    """A string's probability by each view, over all its places, and the best of these."""

    views: np.ndarray
    start: int
    best: float

    def add(self, start: int, more: np.ndarray) -> None:
        self.views = self.views + more
        if more.sum() > self.best:
            self.start, self.best = start, float(more.sum())


def candidates(
    row: TaggedRow, spans: Mapping[str, np.ndarray], strings: Strings, own: int | None = None
) -> dict[str, list[ValueCandidate]]:
    """The candidates of each field of `spans`; `own` is the row's place in `strings`, left out."""
    within = strings.within(row.group, own)
    near = strings.near(row, within)
    return {
        name: _described(row, name, views, strings, own, within, near)
        for name, views in spans.items()
    }


def _strings_of(
    row: TaggedRow, name: str, spans: np.ndarray, strings: Strings, own: int | None
) -> dict[str, _Found]:
    found: dict[str, _Found] = {}

    def add(value: str, begin: int, views: np.ndarray) -> None:
        if value in found:
            found[value].add(begin, views)
        else:
            found[value] = _Found(views, begin, float(views.sum()))

    for first, extra in np.argwhere(spans.mean(0) >= LEAST):
        if first + extra < len(row.tokens):
            begin = row.tokens[first].start
            add(row.text[begin : row.tokens[first + extra].end], begin, spans[:, first, extra])
    for value in strings.known(name, own):
        if value in row.text and value not in found:
            for begin in occurrences(row.text, value):
                place = covering(row.tokens, begin, begin + len(value))
                if place is not None:
                    reach = min(place[1] - place[0], spans.shape[2] - 1)
                    add(value, begin, spans[:, place[0], reach])
    return found


def _described(
    row: TaggedRow, name: str, spans: np.ndarray, strings: Strings, own: int | None,
    within: Sequence[int], near: Mapping[int, float],
) -> list[ValueCandidate]:  # fmt: skip
    found = _strings_of(row, name, spans, strings, own)
    ranked = sorted(found, key=lambda value: -float(found[value].views.sum()))[:MOST]
    if not ranked:
        return []
    asked = [at for at in within if strings.asked(at, name)]
    filled = [at for at in asked if strings.filled(at, name)]
    everywhere = sum(near.values()) + 1e-6
    best = min(1.0, float(found[ranked[0]].views.mean()))
    of_field = [
        _logit((len(filled) + 0.5) / (len(asked) + 1)),
        math.log1p(len(filled)),
        math.log1p(len(asked)),
        strings.repeated(name),
        sum(near[at] for at in filled) / everywhere,
        _logit(best),
        min(1.5, float(spans.mean(0).sum())),
    ]
    result = []
    for rank, value in enumerate(ranked):
        views = np.minimum(found[value].views, 1.0)
        begin, end = found[value].start, found[value].start + len(value)
        place = covering(row.tokens, begin, end) or (0, 0)
        of_place = [
            *(_logit(p) for p in views),
            min(rank, 3) / 3,
            best - float(views.mean()),
            math.log1p(place[1] - place[0]),
            place[0] / len(row.tokens),
            min(3, row.text.count(value)) / 3,
            float(any(c.isdigit() for c in value)),
            float(begin > 0 and row.text[begin - 1].isalnum() and value[0].isalnum()),
            float(end < len(row.text) and row.text[end].isalnum() and value[-1].isalnum()),
            float(row.tokens[place[0]].start == begin and row.tokens[place[1]].end == end),
        ]
        of_string = _of_string(row, name, value, strings, own, near)
        described = [_logit(float(views.mean())), *of_place, *of_string, *of_field]
        result.append(ValueCandidate(value, begin, np.array(described)))
    return result


def _of_string(row: TaggedRow, name: str, value: str, strings: Strings, own: int | None,
               near: Mapping[int, float]) -> list[float]:  # fmt: skip
    """What the other rows in whose text the string stands say of it."""
    having = [at for at in strings.rows_with(row.group, value)
              if at != own and strings.asked(at, name)]  # fmt: skip
    so = [at for at in having if strings.has(at, name, value)]
    near_all = sum(near[at] for at in having)
    near_so = sum(near[at] for at in so)
    folded = sum(strings.has_folded(at, name, value) for at in having)
    other = sum(strings.elsewhere(at, name, value) for at in having)
    return [
        math.log1p(strings.count(name, value, own)),
        math.log1p(len(so)),
        math.log1p(len(having)),
        (len(so) + PRIOR) / (len(having) + 1),
        (near_so + PRIOR * 0.1) / (near_all + 0.1),
        (folded + PRIOR) / (len(having) + 1),
        (other + 0.1) / (len(having) + 1),
    ]


def _logit(p: float) -> float:
    p = min(max(p, 1e-3), 1 - 1e-3)
    return math.log(p / (1 - p))
