"""The first stage of a tagger: CRFs that say how probable each span is as a field's value.

Two views: one chain for all fields of a group, which knows what stands beside what, and one chain
a field over all groups that have it, which shares what it learns and lets values overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pycrfsuite import ItemSequence  # pyright: ignore[reportAttributeAccessIssue]

from workers.tagging.chain import Chain, span_probabilities, tags, train
from workers.tagging.emission import Emission
from workers.tagging.features import features_of
from workers.tagging.gazetteer import Gazetteer
from workers.tagging.rows import TaggedRow

ITERATIONS = 60


@dataclass(slots=True)
class ChainPlace:
    """A chain's fields, the column at which its labels begin, and its transitions."""

    fields: list[str]
    column: int
    transition: np.ndarray

    @property
    def columns(self) -> slice:
        """Its labels' columns."""
        return slice(self.column, self.column + len(self.transition))


@dataclass(slots=True)
class SpanModel:
    """Trained chains: `joint` by group, `single` by field; `groups` are their rows' fields."""

    gazetteer: Gazetteer
    emission: Emission
    groups: dict[str, list[str]]
    joint: dict[str, ChainPlace]
    single: dict[str, ChainPlace]

    def fields_of(self, group: str) -> list[str]:
        """The fields that a text of `group` may have; all, of a group never seen."""
        return self.groups.get(group) or sorted(self.single)

    def probabilities(self, row: TaggedRow) -> dict[str, np.ndarray]:
        """For each field the probabilities [view, first token, tokens - 1] of all spans."""
        names = self.fields_of(row.group)
        if not row.tokens or not names:
            return {}
        known = self.gazetteer.features(row, known=False)
        scores = self.emission.scores(features_of(row, known))
        alone = [self.single[name] for name in names]
        single = span_probabilities(
            np.stack([scores[:, place.columns] for place in alone]),
            np.stack([place.transition for place in alone]),
        )[:, 0]
        joint = self.joint.get(row.group)
        if joint is None:
            return {name: np.stack([p, p]) for name, p in zip(names, single, strict=True)}
        both = span_probabilities(scores[None, :, joint.columns], joint.transition[None])[0]
        return {name: np.stack(views) for name, *views in zip(names, both, single, strict=True)}


def train_spans(rows: Sequence[TaggedRow], *, iterations: int = ITERATIONS) -> SpanModel:
    """Train both views on labelled rows."""
    gazetteer = Gazetteer(rows)
    groups: dict[str, set[str]] = {}
    for row in rows:
        groups.setdefault(row.group, set()).update(row.spans)
    features = [ItemSequence(features_of(row, gazetteer.features(row, known=True))) for row in rows]

    def chain(names: list[str], own: list[int]) -> Chain:
        labels = [_tags(rows[at], names) for at in own]
        return train(names, [features[at] for at in own], labels, iterations=iterations)

    wanted = {group: sorted(names) for group, names in groups.items() if names}
    whole = {group: _whole(rows, group, names) for group, names in wanted.items()}
    joint = [chain(wanted[group], own) for group, own in whole.items() if own]
    single = [
        chain([name], [at for at, row in enumerate(rows) if name in row.values and row.tokens])
        for name in sorted({name for names in wanted.values() for name in names})
    ]
    emission, columns = Emission.of([*joint, *single])
    places = [
        ChainPlace(one.fields, column, one.transition)
        for one, column in zip([*joint, *single], columns, strict=True)
    ]
    together = dict(zip((group for group, own in whole.items() if own), places, strict=False))
    alone = {place.fields[0]: place for place in places[len(joint) :]}
    return SpanModel(gazetteer, emission, wanted, together, alone)


def _whole(rows: Sequence[TaggedRow], group: str, names: list[str]) -> list[int]:
    """The rows of a group of which all fields are known; none where they are too few."""
    own = [at for at, row in enumerate(rows) if row.group == group and row.tokens]
    found = [at for at in own if all(name in rows[at].values for name in names)]
    return found if 2 * len(found) >= len(own) else []


def _tags(row: TaggedRow, names: list[str]) -> list[str]:
    places = {name: at for at, name in enumerate(names)}
    spans = [(places[name], first, last) for name, found in row.spans.items()
             if name in places for first, last in found]  # fmt: skip
    return tags(len(row.tokens), spans)
