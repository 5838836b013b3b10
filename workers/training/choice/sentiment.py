"""Trains the sentiment head on what buyers say: python -m workers.training.choice.sentiment.

It learns from `opinions.yaml`, `reviews.yaml` and `plain.yaml`, written for the project. Prints how
many are right of folds that a head did not see, and of `held_back.yaml`, which none ever learns
from: these choose between ways of training. `held_again.yaml`, asked once it was chosen, and
`benchmarks/choice/reviews.jsonl` measure what was chosen.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestra.core.errors import InvalidTable
from orchestra.core.files.yaml_file import load_yaml
from workers.choice.chooser import Vectors
from workers.choice.known import FOLDER
from workers.choice.ridge import train
from workers.encoder.encoder import shared_encoder
from workers.training.choice.ridge import left_out, scaled

Floats = NDArray[np.floating[Any]]
HERE = Path(__file__).parent
LEARNT = ("opinions.yaml", "reviews.yaml", "plain.yaml")
HELD_BACK, HELD_AGAIN = "held_back.yaml", "held_again.yaml"
CLASSES = ("negative", "neutral", "positive")
FOLDS = 5
PLAIN = 1.5  # what a text without a mood weighs: there are seven times as many with one


@dataclass(frozen=True, slots=True)
class Rating:
    """A text, the place of its class in CLASSES, and its language."""

    text: str
    tone: int
    language: str


def ratings(*names: str) -> list[Rating]:
    """The statements of files of this folder. Raises InvalidTable where one cannot be read."""
    files = [load_yaml(HERE / name, what="opinions", error=InvalidTable) for name in names]
    return [
        Rating(text, tone, language)
        for written in files
        for language in ("en", "zh")
        for tone, title in enumerate(CLASSES)
        for text in written[language].get(title, ())
    ]


def fit(said: Sequence[Rating], out: Path, encoder: Vectors) -> None:
    """Train on all of `said`, write the head, print what it knows of texts that it did not see."""
    vectors = encoder.vectors([each.text for each in said])
    tones = [each.tone for each in said]
    weights = np.where(np.array(tones) == CLASSES.index("neutral"), PLAIN, 1.0)
    scores = left_out(vectors, tones, weights, np.arange(len(said)) % FOLDS)
    head, scale = scaled(train(vectors, tones, weights), scores, np.array(tones))
    print(f"{len(said)} texts, scale {scale}; of folds left out: {_told(scores, said)}")
    for name in (HELD_BACK, HELD_AGAIN):
        others = ratings(name)
        scores = encoder.vectors([each.text for each in others]) @ head.slopes + head.offsets
        print(f"of {len(others)} in {name}: {_told(scores, others)}")
    head.save(out / "sentiment.safetensors")


def _told(scores: Floats, said: Sequence[Rating]) -> str:
    """How many of those with a tone are right between two, by language, and of all three."""
    tones = np.array([each.tone for each in said])
    right = (scores[:, -1] > scores[:, 0]) == (tones == len(CLASSES) - 1)
    has_tone = tones != CLASSES.index("neutral")
    shares = {
        language: right[has_tone & np.array([each.language == language for each in said])].mean()
        for language in ("en", "zh")
    }
    whole = scores.argmax(axis=1) == tones
    return (
        f"{right[has_tone].mean():.1%} right of two tones (en {shares['en']:.1%}, "
        f"zh {shares['zh']:.1%}), {whole.mean():.1%} of three, {whole[~has_tone].mean():.1%} of "
        "those without a tone"
    )


def main() -> None:
    """Parse, read, train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=FOLDER)
    fit(ratings(*LEARNT), parser.parse_args().out, shared_encoder(1))


if __name__ == "__main__":
    main()
