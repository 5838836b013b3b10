"""Trains the head that tells languages apart: python -m workers.training.choice.languages.

Six sentences a language, of the same content in each; prints how many of those left out (one of
each language at a time) are told.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from orchestra.core.errors import InvalidTable
from orchestra.core.files.yaml_file import load_yaml
from workers.choice.chooser import Vectors
from workers.choice.known import FOLDER
from workers.choice.ridge import train
from workers.encoder.encoder import shared_encoder
from workers.training.choice.ridge import left_out, scaled

SENTENCES = Path(__file__).parent / "languages.yaml"
PENALTY = 0.1


def fit(out: Path, encoder: Vectors) -> float:
    """Write the head to `out`; returns the share of sentences left out that were told."""
    written: dict[str, list[str]] = load_yaml(SENTENCES, what="sentences", error=InvalidTable)
    pairs = [(text, at) for at, texts in enumerate(written.values()) for text in texts]
    fold = np.array([at for texts in written.values() for at in range(len(texts))])
    classes = [at for _, at in pairs]
    vectors, weights = encoder.vectors([text for text, _ in pairs]), np.ones(len(pairs))
    scores = left_out(vectors, classes, weights, fold, PENALTY)
    head, _ = scaled(train(vectors, classes, weights, PENALTY), scores, np.array(classes))
    head.save(out / "language.safetensors")
    return float((scores.argmax(axis=1) == classes).mean())


if __name__ == "__main__":
    print(f"{fit(FOLDER, shared_encoder(1)):.1%} of the sentences left out are told")
