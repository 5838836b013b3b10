"""Fits the chooser's space and its calibration on titles with known categories.

    python -m workers.training.choice.fit SET.jsonl SET.jsonl --chinese REVIEWS.txt... --labels L.yaml

A set is JSON lines of `input` and `category`. The space is the mean of texts and of names by
language, and the directions within categories. The calibration comes from trials: a half of a
set's categories are options, in English and by `--labels` in Chinese, the other half's texts are
none of them. A trial's space is fitted on the *other* sets, as a user's categories are others.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from orchestra.core.errors import InvalidTable
from orchestra.core.yaml_file import load_yaml
from workers.choice.calibration import FILE as NUMBERS
from workers.choice.calibration import Calibration, Kind, Numbers, shares, signs
from workers.choice.chooser import Chooser, Read, Vectors
from workers.choice.fitted import Fitted
from workers.choice.names import said
from workers.choice.options import Options
from workers.choice.space import FILE, Space
from workers.choice.spoken import spoken

Floats = NDArray[np.float32]
NAMES = Path(__file__).parent / "names.yaml"
DIRECTIONS, SHRUNK = 48, 3.0
SEEDS, SHOTS, TABLE = 6, 5, 400
TEMPERATURES = np.geomspace(0.02, 2, 25)
SPOKEN = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6)
STEPS, STEP = 400, 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A text that was read, and the category that it has."""

    text: str
    vector: Floats
    category: str


def read_lines(path: Path, encoder: Vectors) -> list[Line]:
    """The lines of a set; raises InvalidTable for one without `input` and `category`."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    if not rows or not all({"input", "category"} <= set(row) for row in rows):
        raise InvalidTable(f"{str(path)!r} lacks 'input' or 'category'. Give such JSON lines.")
    texts = [row["input"] for row in rows]
    vectors = encoder.vectors(texts)
    return [Line(t, v, r["category"]) for t, v, r in zip(texts, vectors, rows, strict=True)]


def space_of(sets: Sequence[Sequence[Line]], chinese: Floats, encoder: Vectors) -> Space:
    """The space of the sets' English texts and of `chinese` vectors (N, W)."""
    english = np.mean([np.mean([line.vector for line in s], axis=0) for s in sets], axis=0)
    pairs: dict[str, str] = load_yaml(NAMES, what="names", error=InvalidTable)["names"]
    names = np.stack([_mean_name(list(each), encoder) for each in (pairs, pairs.values())])
    within = np.concatenate([_within(lines) for lines in sets])
    length = np.mean([np.linalg.norm(line.vector - english) for s in sets for line in s])
    values, vectors = np.linalg.eigh(within.T @ within / len(within))
    values, vectors = values[::-1][:DIRECTIONS], vectors[:, ::-1][:, :DIRECTIONS]
    floor = SHRUNK * np.trace(within.T @ within) / len(within) / within.shape[1]
    kept = np.sqrt(floor / (values + floor))
    texts = np.stack([english, chinese.mean(axis=0)])
    arrays = [a.astype(np.float32) for a in (texts, names, vectors, kept)]
    return Space(*arrays, length=float(length))


def _mean_name(names: list[str], encoder: Vectors) -> Floats:
    return np.mean([encoder.vectors(said(name, 3)).mean(axis=0) for name in names], axis=0)


def _within(lines: Sequence[Line]) -> Floats:
    by_category: dict[str, list[Floats]] = {}
    for line in lines:
        by_category.setdefault(line.category, []).append(line.vector)
    return np.concatenate([np.stack(v) - np.mean(v, axis=0) for v in by_category.values()])


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """Scores of one trial's texts: before the weight of spoken names, and what is right (-1)."""

    scores: Floats
    said: Floats
    places: Floats
    right: NDArray[np.int64]
    sharpened: Floats | None
