"""Says for a text how likely each of several models answers it well; it is fitted elsewhere.

Members each say by how much a text's scores differ from the models' mean rates: trees over cues and
main directions, read to the end and near their roots, where texts of other subjects are told alike,
and the labelled texts that are most alike. What they say is added with weights that were found on
texts left out, apart for the level of all models and for what tells them apart. Far from all that
was fitted the rates are what is left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orchestra.quality.learned.columns import ColumnScale, ReadTexts
from orchestra.quality.learned.cues import NAMES
from orchestra.quality.learned.forest import Forest, Growth, grow
from orchestra.quality.learned.nearness import Plane, nearness
from orchestra.quality.learned.neighbours import Neighbours

Floats = NDArray[np.float64]
TREES, TREE_ROWS, TRIES = 60, 6000, 20
DEPTHS = (4, 16)
MEMBERS = len(DEPTHS) + 1
TREE_AXES = 32  # main directions that trees split on
LEAF_SHARE, LEAST_LEAF, MOST_LEAF = 1 / 60, 4, 10
LENGTH = NAMES.index("characters")
BY_LENGTH = 0.1  # of a probability, for each spread of the logarithm of length
LEAST_FORM = 0.02  # of the fitted texts, for a form to count as covered


@dataclass(frozen=True, slots=True)
class Members:
    """What was fitted to texts: M models' mean rates (M,), and each member."""

    scaling: ColumnScale
    plane: Plane
    rates: Floats
    forest: Forest
    neighbours: Neighbours
    forms: tuple[bool, bool]  # whether texts with options, and texts without, were enough

    @classmethod
    def of(cls, read: ReadTexts, scores: Floats, seed: int, trees: int = TREES) -> Members:
        """Fit `scores` (texts, M), from 0 to 1."""
        scaling = ColumnScale.of(read)
        table = scaling.columns(read)
        plane = Plane.of(table)
        places = plane.places(table)
        leaf = int(np.clip(len(read) * LEAF_SHARE, LEAST_LEAF, MOST_LEAF))
        growth = Growth(trees, TREE_ROWS, leaf, TRIES, DEPTHS[-1])
        share = float(np.mean(read.has_options))
        return cls(
            scaling,
            plane,
            scores.mean(axis=0),
            grow(_forest_columns(read, places), scores, growth, seed),
            Neighbours.of(places, scores),
            (share >= LEAST_FORM, 1 - share >= LEAST_FORM),
        )

    def say(self, read: ReadTexts) -> tuple[Floats, Floats]:
        """How far each member's scores are from the rates (2, texts, M), and the distances."""
        table = self.scaling.columns(read)
        places = self.plane.places(table)
        columns = _forest_columns(read, places)
        said = [self.forest.predict(columns, depth) for depth in DEPTHS]
        said.append(self.neighbours.predict(places))
        return np.stack(said) - self.rates, self.plane.distance(table)

    def covers(self, read: ReadTexts) -> NDArray[np.bool_]:
        """Whether enough texts of each one's form were fitted."""
        return np.where(read.has_options, *self.forms)


def _forest_columns(read: ReadTexts, places: Floats) -> Floats:
    """What trees split on: cues as they are, so that a missing one is told, and main directions."""
    if not read.vectors.size:
        return read.cues
    return np.concatenate([read.cues, places[:, :TREE_AXES]], axis=1)


@dataclass(frozen=True, slots=True)
class Weights:
    """How much of what each member says counts: for the level, and for what tells models apart."""

    level: Floats
    contrast: Floats

    @classmethod
    def of(cls, said: Floats, scores: Floats, rates: Floats) -> Weights:
        """The weights of least squared error on texts left out; `said` is (members, texts, M)."""
        apart = scores - rates
        levels, level = said.mean(axis=2), apart.mean(axis=1)
        return cls(
            _positive(levels, level),
            _positive(
                (said - levels[:, :, None]).reshape(len(said), -1),
                (apart - level[:, None]).ravel(),
            ),
        )

    def blend(self, said: Floats) -> Floats:
        """Differences from the rates (texts, M)."""
        level = said.mean(axis=2, keepdims=True)
        parts = level * self.level[:, None, None] + (said - level) * self.contrast[:, None, None]
        return parts.sum(axis=0)


def _positive(members: Floats, target: Floats) -> Floats:
    """Least squares of `members` (members, n) without weights below 0: the worst is dropped."""
    weights, kept = np.zeros(len(members)), list(range(len(members)))
    while kept:
        part = members[kept]
        found = np.linalg.lstsq(part @ part.T, part @ target, rcond=None)[0]
        if (found >= 0).all():
            weights[kept] = found
            break
        kept.pop(int(np.argmin(found)))
    return weights


@dataclass(frozen=True, slots=True)
class TextLearner:
    """Members with their weights, and the distances between which a text counts as ever farther."""

    members: Members
    weights: Weights
    bounds: tuple[float, float]

    def estimate(self, read: ReadTexts) -> tuple[Floats, Floats]:
        """Each model's probability (texts, M), and how near each text is to the fitted ones."""
        said, distance = self.members.say(read)
        near = nearness(distance, self.bounds) * self.members.covers(read)
        apart = self.weights.blend(said) * near[:, None]
        return np.clip(self.members.rates + apart, 0.0, 1.0), near

    def gains(self, read: ReadTexts, cheap: int = 0, dear: int = -1) -> Floats:
        """How much likelier the model `dear` is right than `cheap` (texts,), to order texts by.

        What is far from the fitted texts is ordered by its length beside: where nothing was
        learnt, a longer text has more in it to get wrong.
        """
        estimates, near = self.estimate(read)
        size = (read.cues[:, LENGTH] - self.members.scaling.mean[LENGTH]) / (
            self.members.scaling.spread[LENGTH]
        )
        return estimates[:, dear] - estimates[:, cheap] + (1 - near) * BY_LENGTH * size
