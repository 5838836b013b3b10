"""Chooses a name for each text, with a calibrated probability, or none.

Names alone, a user's examples and the texts of a whole table lead to one kind of head, in the
space of the shared encoder. An answer depends on its text, the options and what these were fitted
on, never on the texts beside it. Shapes: N texts, K names, W numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from workers.choice.calibration import ChoiceCalibration, fitting, shares, signs
from workers.choice.directions import directions
from workers.choice.fitted import FittedOptions
from workers.choice.goods import Goods
from workers.choice.head import PROMISED, Head
from workers.choice.known import TrainedHead, trained
from workers.choice.options import ChoiceOptions
from workers.choice.ridge import train
from workers.choice.settle import settled
from workers.choice.space import Space
from workers.choice.spoken import spoken
from workers.choice.taxonomy import deepest

Floats = NDArray[np.floating[Any]]
KEPT = 64  # fitted options
RANKED = 5
MANY = 10  # examples a name, on average, from which a linear head joins the centres
SHARP = 6.0  # of its scores, which least squares holds between 0 and 1


class Vectors(Protocol):
    """What a chooser needs of an encoder: vectors (N, W) of length 1."""

    def vectors(self, texts: Sequence[str]) -> Floats: ...


class ReadText(Protocol):
    """A text that the encoder has read, as `workers.encoder` gives it."""

    @property
    def text(self) -> str: ...

    @property
    def vector(self) -> Floats: ...


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a text was found to be: `name`, or None where none fits or none stands out.

    `probability` is that of the best name, which `ranked` begins with, also where it is not taken.
    `branch` is the deepest category of a tree that is likely enough, a leaf or what is above some.
    """

    name: str | None
    probability: float
    ranked: tuple[tuple[str, float], ...]
    branch: str | None = None


class Chooser:
    """Chooses among options; threads may share it.

    Fitted options are kept by content, so that asking again costs the text alone.
    """

    def __init__(
        self,
        encoder: Vectors,
        space: Space | None = None,
        calibration: ChoiceCalibration | None = None,
        goods: Goods | None = None,
    ) -> None:
        """Raises CheckpointInvalid where the bundled numbers are missing or damaged."""
        self.encoder = encoder
        self.space = space or Space.load()
        self.calibration = calibration or ChoiceCalibration.load()
        self.goods = goods or Goods.load()
        self._fitted = lru_cache(maxsize=KEPT)(self._fit)

    def choose(
        self,
        texts: Sequence[ReadText],
        options: ChoiceOptions | FittedOptions,
        *,
        least: float | None = None,
    ) -> list[Chosen]:
        """One choice a text. A name is taken from the probability `least` on.

        By default that is .5, and .6 of two names, so that a set that cannot be told apart
        abstains.
        """
        if not texts:
            return []
        names = options.options.names if isinstance(options, FittedOptions) else options.names
        if least is None:
            least = 0.6 if len(names) == 2 else 0.5
        table = self.probabilities(texts, options)
        return [_chosen(names, row, least) for row in table]

    def probabilities(
        self, texts: Sequence[ReadText], options: ChoiceOptions | FittedOptions
    ) -> Floats:
        """(N, K): that a name is right; what is left of 1 is that none is."""
        fitted = options if isinstance(options, FittedOptions) else self._fitted(options)
        if fitted.trained is not None:
            return fitted.trained.shares(np.stack([text.vector for text in texts]))
        places = self._places(texts)
        said = spoken([text.text for text in texts], fitted.options.names)
        share, scores = self._shares(places, said, fitted)
        numbers = getattr(self.calibration, fitted.kind)
        fits = fitting(signs(scores, places), numbers)
        nothing = fitted.head.nothing_score(places)
        if nothing is not None:
            ahead = (scores.max(axis=1) - nothing) / numbers.temperature
            fits = fits / (1 + np.exp(-np.clip(ahead, -30, 30)))
        return share * fits[:, None]

    def fit(self, options: ChoiceOptions, table: Sequence[ReadText] = ()) -> FittedOptions:
        """The options ready to be asked; `table` holds texts of any of them, without labels.

        Names then mean what they mean among such texts. A table of few texts, or one that
        contradicts the names, changes nothing; nor does it for a known set.
        """
        fitted = self._fitted(options)
        return fitted if fitted.trained or not table else self._settled(fitted, table)

    def _fit(self, options: ChoiceOptions) -> FittedOptions:
        pointed = directions(options, self.encoder.vectors, self.space, self.goods)
        texts = [text for text, _ in options.examples]
        owners = [-1 if n is None else options.names.index(n) for _, n in options.examples]
        places = np.zeros((0, pointed.shape[1]), np.float32)
        if texts:
            places = self.space.of_texts(self.encoder.vectors(texts), texts)
        known = None if options.examples else trained(options.names)
        head = Head.of(pointed, places, owners)
        return FittedOptions(
            options, pointed, head, trained=known, learnt=_learnt(places, owners, len(pointed))
        )

    def _settled(self, fitted: FittedOptions, table: Sequence[ReadText]) -> FittedOptions:
        texts = [text.text for text in table]
        places = self._places(table)
        examples = fitted.options.examples
        taught = [(text, name) for text, name in examples if name is not None]
        known = np.full(len(texts) + len(taught), -1)
        if taught:
            vectors = self.encoder.vectors([text for text, _ in taught])
            added = self.space.of_texts(vectors, [text for text, _ in taught])
            places = np.concatenate([places, added])
            texts += [text for text, _ in taught]
            known[-len(taught) :] = [fitted.options.names.index(name) for _, name in taught]
        said = spoken(texts, fitted.options.names)
        first, scores = self._shares(places, said, fitted)
        fits = fitting(signs(scores, places), getattr(self.calibration, fitted.kind))
        found = settled(places, PROMISED * fitted.names, first, fits, known)
        if found is None:
            return fitted
        return replace(fitted, mixture=found)

    def _places(self, texts: Sequence[ReadText]) -> Floats:
        vectors = np.stack([text.vector for text in texts])
        return self.space.of_texts(vectors, [text.text for text in texts])

    def _shares(self, places: Floats, said: Floats, fitted: FittedOptions) -> tuple[Floats, Floats]:
        """Probabilities (N, K) of the names if one is right, and the head's own scores."""
        numbers = getattr(self.calibration, fitted.kind)
        scores = fitted.head.scores(places) + numbers.spoken * said
        share = shares(scores, numbers.temperature)
        if fitted.learnt is not None:
            share = _joined(share, fitted.learnt.shares(places), fitted.head.taught.mean())
        if fitted.mixture is not None:
            share = fitted.mixture.shares(places, share, self.calibration.settled)
        return share, scores


def _learnt(places: Floats, owners: Sequence[int], names: int) -> TrainedHead | None:
    """A linear head of the examples' places, where there are many for all `names`."""
    own = [at for at, owner in enumerate(owners) if owner >= 0]
    if len(own) < MANY * names or len({owners[at] for at in own}) < names:
        return None
    head = train(places[own], [owners[at] for at in own], np.ones(len(own)))
    slopes, offsets = SHARP * head.slopes, SHARP * head.offsets
    return TrainedHead(slopes.astype(np.float32), offsets.astype(np.float32))


def _joined(share: Floats, learnt: Floats, examples: float) -> Floats:
    """Both opinions (N, K), that of the linear head the weightier the more `examples` a name."""
    trust = examples / (examples + MANY)
    logit = 2 * (1 - trust) * np.log(np.maximum(share, 1e-9))
    return shares(logit + 2 * trust * np.log(np.maximum(learnt, 1e-9)), 1.0)


def _chosen(names: tuple[str, ...], row: Floats, least: float) -> Chosen:
    lowest = np.partition(row, -RANKED)[-RANKED] if len(names) > RANKED else 0.0
    order = sorted(np.flatnonzero(row >= lowest), key=lambda at: (-row[at], names[at]))[:RANKED]
    ranked = tuple((names[at], float(row[at])) for at in order)
    name, probability = ranked[0]
    taken = name if probability >= least else None
    return Chosen(taken, probability, ranked, taken or deepest(names, row, least))
