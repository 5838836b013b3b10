"""Scores learned routing among many models against the best single one.

    python -m benchmarks.routing_models FILE [--train FILE] [--json] [--no-encoder]

FILE is JSON, gzipped or not: a list of objects with `question`, `scores` (from 0 to 1, by model)
and, if it has them, `costs` (dollars, by model); or a CSV as `benchmarks.routing_mmlu` reads. Other
fields are not looked at (`cluster_id` was made from the scores). With --train the routing is fitted
on that file and FILE is only scored; without it FILE is cross-validated, equal questions together:
in-domain, and by kinds of question that were left out (clusters of the encoder's vectors, or the
CSV's subjects).

A question's cost, where the file has none, is what its tokens cost if a model's price is its size:
(tokens of the question + 256 of an answer) x billions of parameters / 1000, as its name has them.
Everything is chosen on the training questions: the best single model, the weights, and at which
price of quality a budget is met. "At equal cost" spends no more than the best single model.
Intervals are bootstrapped over questions, 95%.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.parts.routing_curve import Floats, difference, routing_score
from benchmarks.parts.routing_labelled import Labelled, read_labelled
from orchestra.core.stats import Estimate
from orchestra.fleet.encoders import DEFAULT, encoder_of
from orchestra.quality.learned.columns import ReadTexts, Vectors
from orchestra.quality.learned.evidence import mean_interval, told
from orchestra.quality.learned.fit import Learnt, Scored, learn, scored
from orchestra.quality.learned.text_quality import NEAR

Ints = NDArray[np.int64]
BUDGETS = (1.0, 0.5, 0.25)  # of the best single model's cost
KINDS, ROUNDS = 20, 20
PRICES = np.concatenate([[0.0], np.geomspace(1e-4, 10, 60)])


def vectors_once(vectors: Vectors | None) -> Vectors | None:
    """`vectors` that reads each text once in this process."""
    if vectors is None:
        return None
    known: dict[str, Any] = {}

    def read(texts: Sequence[str]) -> Any:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        for start in range(0, len(new), 512):
            part = new[start : start + 512]
            known.update(zip(part, vectors(part), strict=True))
            print(f"read {min(start + 512, len(new))} of {len(new)}", file=sys.stderr)
        return np.array([known[text] for text in texts])

    return read


def choices(estimates: Floats, costs: Floats, price: float) -> Any:
    """The model of each question that is worth most, where quality costs `price`."""
    return np.argmax(told(estimates) - price * costs, axis=1)


def price_for(estimates: Floats, scores: Floats, costs: Floats, budget: float) -> float:
    """The least price whose choices cost no more than `budget` on average, and score no less than
    the best single model; where none does, the one that scores most."""
    rows, single = np.arange(len(costs)), float(scores.mean(axis=0).max())
    tried: list[tuple[float, float]] = []
    for price in (PRICES / costs.mean()).tolist():
        picked = choices(estimates, costs, price)
        if costs[rows, picked].mean() <= budget:
            tried.append((float(scores[rows, picked].mean()), -price))
    if not tried:
        return float(PRICES[-1] / costs.mean())
    good = [price for score, price in tried if score >= single]
    return -good[0] if good else -max(tried)[1]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One way of routing: mean score, mean cost, and the gain over the best single model."""

    name: str
    score: float
    cost: float
    gain: Estimate | None = None

    def public(self) -> dict[str, Any]:
        """As a JSON object."""
        gain = None if self.gain is None else self.gain.model_dump()
        return {"routing": self.name, "score": self.score, "cost": self.cost, "gain": gain}

    def __str__(self) -> str:
        line = f"{self.name:44}{self.score:7.4f}{self.cost:9.2f}"
        if self.gain is None:
            return line
        gain = self.gain
        return f"{line}   {gain.value:+.4f} [{gain.low:+.4f}, {gain.high:+.4f}]"


@dataclass(frozen=True, slots=True)
class Trial:
    """Estimates of the questions of `data`, and left-out ones, `known`, of those of `train`.

    `fold` is that of each question where both are one file, whose folds are then chosen for by the
    others; None where `data` is another file.
    """

    data: Labelled
    train: Labelled
    estimates: Floats
    known: Floats
    fold: Ints | None

    def parts(self) -> Iterator[tuple[Any, Any]]:
        """Questions that are scored, and those of `train` that may be looked at for them."""
        if self.fold is None:
            yield slice(None), slice(None)
            return
        for held in np.unique(self.fold):
            yield self.fold == held, self.fold != held

    def single(self) -> Ints:
        """The best single model of each question."""
        chosen = np.zeros(len(self.data.questions), dtype=np.int64)
        for test, seen in self.parts():
            chosen[test] = self.train.scores[seen].mean(axis=0).argmax()
        return chosen

    def routed(self, share: float) -> Ints:
        """The learned model of each question, at a share of the best single model's cost."""
        chosen = np.zeros(len(self.data.questions), dtype=np.int64)
        for test, seen in self.parts():
            scores, costs = self.train.scores[seen], self.train.costs[seen]
            budget = share * costs[:, scores.mean(axis=0).argmax()].mean()
            price = price_for(self.known[seen], scores, costs, budget)
            chosen[test] = choices(self.estimates[test], self.data.costs[test], price)
        return chosen

    def outcomes(self) -> Iterator[Outcome]:
        """What each way of choosing comes to."""
        scores, costs = self.data.scores, self.data.costs
        rows, base = np.arange(len(scores)), self.single()
        alone = scores[rows, base]
        yield Outcome("best single model", float(alone.mean()), float(costs[rows, base].mean()))
        for share in BUDGETS:
            picked = self.routed(share)
            name = (
                "learned, at equal cost" if share == 1 else f"learned, at {share:.0%} of the cost"
            )
            own = scores[rows, picked]
            gain = mean_interval(own - alone, rows, 0)
            yield Outcome(name, float(own.mean()), float(costs[rows, picked].mean()), gain)
        best = scores.argmax(axis=1)
        own = float(scores[rows, best].mean())
        yield Outcome("the best of each (oracle)", own, float(costs[rows, best].mean()))


def of_two(data: Labelled, gains: Floats, groups: Any) -> dict[str, Any]:
    """APGR of two models by the learned gain and by prompt length, and the lead."""
    length = np.array([len(question) for question in data.questions], dtype=float)
    weak, strong = data.scores.T
    scores = {
        f"APGR by {name}": str(routing_score(rank, weak, strong, groups).apgr)
        for name, rank in (("what was learned", gains), ("prompt length", length))
    }
    return scores | {"APGR's lead": str(difference(gains, length, weak, strong, groups))}


def kinds_of(read: ReadTexts, seed: int = 0) -> list[str]:
    """Clusters of the vectors (k-means, Lloyd 1982), as groups that can be left out."""
    draw = np.random.default_rng(seed)
    points = read.vectors - read.vectors.mean(axis=0)
    middles = points[draw.choice(len(points), KINDS, replace=False)]
    at = np.zeros(len(points), dtype=np.int64)
    for _ in range(ROUNDS):
        distance = (middles**2).sum(axis=1) - 2 * points @ middles.T
        at = distance.argmin(axis=1)
        middles = np.array(
            [points[at == k].mean(axis=0) if (at == k).any() else middles[k] for k in range(KINDS)]
        )
    return [f"kind {kind}" for kind in at]


def fitted(
    data: Labelled, vectors: Vectors | None, groups: list[str] | None
) -> tuple[Scored, Learnt]:
    """What is learnt from the questions, with folds told on stderr."""
    scores = {name: own.tolist() for name, own in zip(data.models, data.scores.T, strict=True)}
    read = scored(data.questions, scores, vectors, groups)
    return read, learn(read, progress=lambda fold: print(f"fold {fold}", file=sys.stderr))


def show(
    setting: str,
    data: Labelled,
    ways: Sequence[Outcome],
    found: Learnt,
    extra: dict[str, Any],
    as_json: bool,
) -> None:
    """Print one setting."""
    refuses = found.evidence.refuses
    if as_json:
        row = {"setting": setting, "questions": len(data.questions), "models": data.models}
        print(json.dumps({**row, "ways": [w.public() for w in ways], "refuses": refuses, **extra}))
        return
    print(f"== {setting}: {len(data.questions)} questions, {len(data.models)} models")
    print(f"{'':44}{'score':>7}{'cost':>9}   gain over the best single model")
    for way in ways:
        print(way)
    for name, text in extra.items():
        print(f"{name}: {text}")
    print(refuses or "routing is claimed: it gains beyond noise on texts left out")


def main() -> None:
    """Fit, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--train", type=Path, help="fit on this file, and only score the other")
    parser.add_argument("--no-encoder", action="store_true", help="learn from cues alone")
    parser.add_argument("--json", action="store_true", help="a JSON object a setting")
    given = parser.parse_args()
    encoder = None if given.no_encoder else encoder_of(DEFAULT)
    vectors = vectors_once(encoder and encoder.vectors)
    data = read_labelled(given.questions)
    if given.train is not None:
        transferred(data, read_labelled(given.train), given.train.name, vectors, given.json)
    else:
        crossed(data, vectors, given.json)


def transferred(
    data: Labelled, train: Labelled, name: str, vectors: Vectors | None, as_json: bool
) -> None:
    """Fit on `train` and score `data`."""
    data = data.of(train.models)
    _, found = fitted(train, vectors, train.subjects)
    read = ReadTexts.of(data.questions, vectors)
    estimates, near = found.learner.estimate(read)
    ways = list(Trial(data, train, estimates, found.estimates, None).outcomes())
    extra: dict[str, Any] = {"near the training": f"{(near >= NEAR).mean():.1%}"}
    if len(data.models) == 2:
        extra |= of_two(data, found.learner.gains(read), None)
    show(f"fitted on {name}", data, ways, found, extra, as_json)


def crossed(data: Labelled, vectors: Vectors | None, as_json: bool) -> None:
    """Cross-validate within one file, in each setting."""
    for setting, groups in _settings(data, vectors):
        read, found = fitted(data, vectors, groups)
        ways = list(Trial(data, data, found.estimates, found.estimates, found.fold).outcomes())
        extra: dict[str, Any] = {"near the training": f"{(found.near >= NEAR).mean():.1%}"}
        if len(data.models) == 2:
            gains = found.estimates[:, 1] - found.estimates[:, 0]
            extra |= of_two(data, gains, read.groups if groups else None)
        show(setting, data, ways, found, extra, as_json)


def _settings(data: Labelled, vectors: Vectors | None) -> Iterator[tuple[str, list[str] | None]]:
    yield "in-domain, equal questions together, 5 folds", None
    if data.subjects is not None:
        yield "subjects left out, 5 folds", data.subjects
    elif vectors is not None:
        kinds = kinds_of(ReadTexts.of(data.questions, vectors))
        yield f"kinds of question left out ({KINDS} clusters of vectors), 5 folds", kinds


if __name__ == "__main__":
    main()
