"""What was learnt of a node from labelled texts, as it stands in a policy file.

Figures for people in the open, and the learner's arrays packed as text (`arrays.py`), so that a
policy stays one value that goes wherever a batch goes. A file that was changed is refused before it
could send an estimate in circles or out of its arrays.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Attribute
from pydantic import model_validator

from orchestra.core.job import Word
from orchestra.quality.learned.arrays import packed, unpacked
from orchestra.quality.learned.columns import ColumnScale, ReadTexts, Vectors
from orchestra.quality.learned.cues import CUES_VERSION, NAMES
from orchestra.quality.learned.evidence import RoutingEvidence, told
from orchestra.quality.learned.expected import Expected
from orchestra.quality.learned.fit import Learnt
from orchestra.quality.learned.forest import BINS, LEAF, Forest
from orchestra.quality.learned.learner import MEMBERS, TREE_AXES, Members, TextLearner, Weights
from orchestra.quality.learned.nearness import Plane
from orchestra.quality.learned.neighbours import Neighbours

NEAR = 0.5  # of a text that is farther the constant quality tells more
Knot = tuple[float, float, float]


class TextQuality(Word):
    """How likely each of `models`, cheapest first, answers a text well at `node`.

    `encoder` names what made the texts' vectors ("": none), with its fingerprint. `bands` are
    (estimate, low, high) by model. `refuses` says why no text is routed by it.
    """

    node: str
    prompt: str
    models: tuple[str, ...] = Attribute(min_length=2)
    encoder: str = ""
    cues: int = CUES_VERSION
    evidence: RoutingEvidence
    bands: tuple[tuple[Knot, ...], ...]
    refuses: str | None = None
    arrays: str

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.cues != CUES_VERSION:
            raise ValueError(
                f"its cues are version {self.cues}, and this Orchestra has {CUES_VERSION}: fit it "
                "again with `orchestra calibrate`"
            )
        if len(self.bands) != len(self.models) or not all(self.bands):
            raise ValueError(f"it has bands of {len(self.bands)} models, not {len(self.models)}")
        learner_of(self.arrays, len(self.models))
        return self

    @classmethod
    def of(cls, found: Learnt, models: Sequence[str], node: str, prompt: str, encoder: str) -> Self:
        """What was learnt at a node, to be kept."""
        return cls(
            node=node,
            prompt=prompt,
            models=tuple(models),
            encoder=encoder,
            evidence=found.evidence,
            bands=tuple(tuple(_rounded(knot) for knot in own) for own in found.bands),
            refuses=found.evidence.refuses,
            arrays=packed(arrays_of(found.learner)),
        )

    @property
    def digest(self) -> str:
        """All of it, the arrays as their hash, which is worked out once, as plans are many."""
        return self.model_dump_json(exclude={"arrays"}) + digest_of(self.arrays)

    @property
    def learner(self) -> TextLearner:
        """What estimates texts."""
        return learner_of(self.arrays, len(self.models))

    def expected(self, texts: Sequence[str], vectors: Vectors | None) -> list[tuple[Expected, ...]]:
        """For each text what each model is expected to score; none for a text that is far from all
        that were labelled, of which the constant tells more."""
        estimates, near = self.learner.estimate(ReadTexts.of(texts, vectors))
        return [
            tuple(self._one(at, share) for at, share in enumerate(row)) if close >= NEAR else ()
            for row, close in zip(told(estimates).tolist(), near.tolist(), strict=True)
        ]

    def _one(self, at: int, share: float) -> Expected:
        places, lows, highs = zip(*self.bands[at], strict=True)
        low = min(share, float(np.interp(share, places, lows)))
        high = max(share, float(np.interp(share, places, highs)))
        rows = self.evidence.texts
        return Expected(
            self.node, self.prompt, self.models[at], share, round(low, 3), round(high, 3), rows
        )


def _rounded(knot: Knot) -> Knot:
    estimate, low, high = knot
    return round(estimate, 4), round(low, 4), round(high, 4)


def arrays_of(learner: TextLearner) -> dict[str, NDArray[Any]]:
    """All of a learner."""
    members, weights = learner.members, learner.weights
    forest = members.forest
    return {
        "mean": members.scaling.mean.astype(np.float32),
        "spread": members.scaling.spread.astype(np.float32),
        "axes": members.plane.axes.astype(np.float32),
        "variances": members.plane.variances.astype(np.float32),
        "scalars": np.array([members.plane.off, *learner.bounds, *members.forms]),
        "rates": members.rates,
        "places": members.neighbours.places,
        "scores": members.neighbours.scores,
        "weights": np.stack([weights.level, weights.contrast]),
        "edges": forest.edges,
        "roots": forest.roots,
        "column": forest.column,
        "cut": forest.cut.astype(np.int8),
        "left": forest.left,
        "value": forest.value.astype(np.float16),
    }


@lru_cache(maxsize=16)
def digest_of(text: str) -> str:
    """Hash of packed arrays."""
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=16)
def learner_of(text: str, models: int) -> TextLearner:
    """The learner that `text` packs. Raises ValueError where it is none of so many models."""
    stored = unpacked(text)
    try:
        _check(stored, models)
    except KeyError as error:
        raise ValueError(f"the arrays lack {error.args[0]!r}") from error
    floats = {name: one.astype(np.float64) for name, one in stored.items()}
    off, usual, last, options, open_form = floats["scalars"].tolist()
    forest = Forest(
        stored["edges"],
        stored["roots"],
        stored["column"],
        stored["cut"].astype(np.int16),
        stored["left"],
        stored["value"].astype(np.float32),
    )
    members = Members(
        ColumnScale(floats["mean"], floats["spread"]),
        Plane(floats["axes"], floats["variances"], off),
        floats["rates"],
        forest,
        Neighbours(stored["places"], stored["scores"]),
        (bool(options), bool(open_form)),
    )
    return TextLearner(members, Weights(*floats["weights"]), (usual, last))


def _check(stored: dict[str, NDArray[Any]], models: int) -> None:
    wide, axes = len(stored["mean"]), stored["axes"].shape[-1]
    split_on = len(NAMES) + (min(axes, TREE_AXES) if wide > len(NAMES) else 0)
    nodes, texts = len(stored["left"]), len(stored["places"])
    shapes = {
        "spread": (wide,),
        "axes": (wide, axes),
        "variances": (axes,),
        "scalars": (5,),
        "rates": (models,),
        "places": (max(texts, 1), axes),
        "scores": (texts, models),
        "weights": (2, MEMBERS),
        "edges": (split_on, BINS - 1),
        "roots": (len(stored["roots"]),),
        "column": (nodes,),
        "cut": (nodes,),
        "left": (nodes,),
        "value": (nodes, models),
    }
    for name, shape in shapes.items():
        if stored[name].shape != shape:
            raise ValueError(f"{name} has the shape {stored[name].shape!r} where {shape!r} is due")
    inner = stored["left"] != LEAF
    checks = {
        "mean": wide >= len(NAMES),
        "spread": bool(np.all(stored["spread"] > 0)),
        "variances": bool(np.all(stored["variances"] > 0)),
        "roots": nodes > 0 and len(stored["roots"]) > 0 and _within(stored["roots"], 0, nodes),
        "column": _within(stored["column"], 0, split_on),
        # Children after their parents: no way through the nodes can go in circles.
        "left": bool(np.all(stored["left"][inner] > np.flatnonzero(inner)))
        and _within(stored["left"][inner], 0, nodes - 1),
        "value": _within(stored["value"], 0, 1 + 1e-3),
        **{
            name: bool(np.isfinite(stored[name]).all())
            for name in ("axes", "scalars", "rates", "places", "scores", "weights", "edges")
        },
    }
    for name, passed in checks.items():
        if not passed:
            raise ValueError(f"{name} holds values that no learner has")


def _within(values: NDArray[Any], low: float, end: float) -> bool:
    return bool(np.all((values >= low) & (values < end)))
