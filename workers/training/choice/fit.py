"""Fits the chooser's space and its calibration on texts with known categories.

    python -m workers.training.choice.fit oamine_train.jsonl ae110k_train.jsonl products.csv

A set is JSON lines of `input` and `category`, or a table with `description_en` and `category`. The
space is the mean of texts and of names by language, and the directions within categories. The
calibration comes from trials: a half of a set's categories are options, in English and in Chinese
where `chinese.yaml` names them, the other half's texts are none of them. A trial's space is fitted
on the *other* sets, as a user's categories are others.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestra.core.errors import InvalidTable
from orchestra.core.files.yaml_file import load_yaml
from workers.choice.calibration import FILE as NUMBERS
from workers.choice.calibration import ChoiceCalibration, Kind, Numbers, shares, signs
from workers.choice.chooser import Chooser, Vectors
from workers.choice.fitted import FittedOptions
from workers.choice.names import said
from workers.choice.options import ChoiceOptions
from workers.choice.space import FILE, Space
from workers.choice.spoken import spoken
from workers.encoder.encoder import shared_encoder
from workers.training.texts.chinese_rows import chinese_text
from workers.training.texts.product import make_product

Floats = NDArray[np.floating[Any]]
HERE = Path(__file__).parent
NAMES = HERE / "names.yaml"
OPINIONS = HERE / "opinions.yaml"
CHINESE = HERE / "chinese.yaml"
DIRECTIONS, SHRUNK = 48, 3.0
SEEDS, SHOTS, TABLE = 6, 5, 400
TEMPERATURES = tuple(float(t) for t in np.geomspace(0.02, 3, 25))
SPOKEN = 0.2  # by accuracy: in likelihood .1 is no worse
PRODUCTS = 200
NONE = 0.3  # of the texts that are met are none of the options
NEWTON, RIDGE = 25, 1e-3
BEGUN = Numbers(temperature=0.1, spoken=0.2, bias=0.0, signs=(0.0, 0.0, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class KnownText:
    """A text that was read, and the category that it has."""

    text: str
    vector: Floats
    category: str


def read_lines(path: Path, encoder: Vectors) -> list[KnownText]:
    """The lines of a set; raises InvalidTable for one without its two columns."""
    text = path.read_text(encoding="utf-8-sig")
    if path.suffix == ".csv":
        rows = [{"input": r["description_en"], **r} for r in csv.DictReader(io.StringIO(text))]
    else:
        rows = [json.loads(line) for line in text.splitlines() if line]
    if not rows or not all({"input", "category"} <= set(row) for row in rows):
        raise InvalidTable(f"{str(path)!r} lacks 'input' or 'category'. Give such JSON lines.")
    rows = [row for row in rows if row["input"]]
    texts = [row["input"] for row in rows]
    vectors = encoder.vectors(texts)
    return [KnownText(t, v, r["category"]) for t, v, r in zip(texts, vectors, rows, strict=True)]


def chinese_texts(seed: int = 0) -> list[str]:
    """Invented products and opinions, for what Chinese texts have alike."""
    random = Random(seed)
    products = [
        chinese_text(make_product(random, "zh", "train"), random, "train") for _ in range(PRODUCTS)
    ]
    opinions = load_yaml(OPINIONS, what="opinions", error=InvalidTable)["zh"]
    return [shaped[0] for shaped in products] + [*opinions["positive"], *opinions["negative"]]


def space_of(sets: Sequence[Sequence[KnownText]], chinese: Floats, encoder: Vectors) -> Space:
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


def _within(lines: Sequence[KnownText]) -> Floats:
    by_category: dict[str, list[Floats]] = {}
    for line in lines:
        by_category.setdefault(line.category, []).append(line.vector)
    return np.concatenate([np.stack(v) - np.mean(v, axis=0) for v in by_category.values()])


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """What a head says of N texts: `scores` (N, K) before the weight of `said` names, and the
    place of the `right` name (-1 for none)."""

    fitted: FittedOptions
    scores: Floats
    said: Floats
    places: Floats
    right: NDArray[np.int64]


def trials(
    lines: Sequence[KnownText],
    titles: Mapping[str, str],
    chooser: Chooser,
    kind: Kind,
    *,
    table: bool,
) -> Iterator[LeftOut]:
    """Trials of one kind: half of the categories are options under their `titles`."""
    categories = sorted(titles)
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        kept = [str(name) for name in random.permutation(categories)[: len(categories) // 2]]
        order = [int(at) for at in random.permutation(len(lines))]
        shown = {at for name in kept for at in _some(lines, order, name)}
        examples = [(lines[at].text, titles[lines[at].category]) for at in shown]
        options = ChoiceOptions.of(
            (titles[name] for name in kept), examples=examples if kind == "taught" else ()
        )
        texts = [lines[at] for at in order if at not in shown][:TABLE]
        yield _trial(texts, kept, chooser, chooser.fit(options, texts if table else ()))


def _some(lines: Sequence[KnownText], order: Sequence[int], category: str) -> list[int]:
    return [at for at in order if lines[at].category == category][:SHOTS]


def _trial(
    texts: Sequence[KnownText], kept: list[str], chooser: Chooser, fitted: FittedOptions
) -> LeftOut:
    words = [line.text for line in texts]
    places = chooser.space.of_texts(np.stack([line.vector for line in texts]), words)
    right = np.array([kept.index(t.category) if t.category in kept else -1 for t in texts])
    said = spoken(words, fitted.options.names)
    return LeftOut(fitted, fitted.head.scores(places), said, places, right)


def numbers_of(done: Sequence[LeftOut]) -> Numbers:
    """The temperature and weight of least negative log-likelihood, then the signs' weights."""
    temperature = min(TEMPERATURES, key=lambda t: _loss(done, t, SPOKEN))
    table, inside = [], []
    for trial in done:
        fit = signs(trial.scores + SPOKEN * trial.said, trial.places)
        table.append(np.stack([np.ones_like(fit.best), fit.best, fit.near, fit.ahead], axis=1))
        inside.append(trial.right >= 0)
    bias, best, near, ahead = _logistic(np.concatenate(table), np.concatenate(inside))
    return Numbers(
        temperature=round(temperature, 4), spoken=SPOKEN, bias=bias, signs=(best, near, ahead)
    )


def settled_temperature(done: Sequence[LeftOut], numbers: Numbers) -> float:
    """The temperature of least loss for mixtures."""

    def loss(temperature: float) -> float:
        return sum(
            _of_right(
                trial.fitted.mixture.shares(trial.places, _first(trial, numbers), temperature),
                trial,
            )
            for trial in done
            if trial.fitted.mixture is not None
        )

    return round(min(map(float, TEMPERATURES), key=loss), 4)


def _first(trial: LeftOut, numbers: Numbers) -> Floats:
    return shares(trial.scores + numbers.spoken * trial.said, numbers.temperature)


def _loss(done: Sequence[LeftOut], temperature: float, weight: float) -> float:
    return sum(_of_right(shares(t.scores + weight * t.said, temperature), t) for t in done)


def _of_right(share: Floats, trial: LeftOut) -> float:
    """Mean negative log-likelihood of the texts that have a right name."""
    known = trial.right >= 0
    found = share[known, trial.right[known]]
    return -float(np.log(np.maximum(found, 1e-9)).mean())


def _logistic(table: Floats, inside: NDArray[np.bool_]) -> list[float]:
    """Weights of a logistic regression (Newton), as if `NONE` of the texts were outside."""
    weight = np.where(inside, (1 - NONE) / inside.mean(), NONE / (1 - inside.mean()))
    slopes = np.zeros(table.shape[1])
    for _ in range(NEWTON):
        chance = 1 / (1 + np.exp(-table @ slopes))
        slope = table.T @ (weight * (inside - chance)) - RIDGE * slopes
        bend = (table.T * (weight * chance * (1 - chance))) @ table + RIDGE * np.eye(len(slopes))
        slopes += np.linalg.solve(bend, slope)
    return [round(float(value), 4) for value in slopes]


def calibrated(
    sets: Sequence[Sequence[KnownText]], chinese: Floats, encoder: Vectors
) -> ChoiceCalibration:
    """The calibration from trials of each set in the space of the others."""
    found = ChoiceCalibration(named=BEGUN, taught=BEGUN, settled=1.0)
    spaces = [space_of([s for s in sets if s is not lines], chinese, encoder) for lines in sets]
    in_chinese: dict[str, str] = load_yaml(CHINESE, what="labels", error=InvalidTable)

    def all_trials(kind: Kind, *, table: bool = False) -> list[LeftOut]:
        return [
            trial
            for lines, space in zip(sets, spaces, strict=True)
            for labels in ({}, in_chinese)
            for trial in _if_named(lines, labels, Chooser(encoder, space, found), kind, table)
        ]

    found = found.model_copy(update={"named": numbers_of(all_trials("named"))})
    found = found.model_copy(update={"taught": numbers_of(all_trials("taught"))})
    settled = settled_temperature(all_trials("named", table=True), found.named)
    return found.model_copy(update={"settled": settled})


def _if_named(
    lines: Sequence[KnownText], labels: Mapping[str, str], chooser: Chooser, kind: Kind, table: bool
) -> Iterator[LeftOut]:
    """The trials, where the labels name the set and each category has enough texts."""
    count = Counter(line.category for line in lines)
    if labels and not set(count) <= set(labels):
        return
    if kind == "taught" and min(count.values()) <= SHOTS:
        return
    yield from trials(lines, titles(lines, labels), chooser, kind, table=table)


def titles(lines: Sequence[KnownText], labels: Mapping[str, str]) -> dict[str, str]:
    """What each category is called: its label, or its own name."""
    return {line.category: labels.get(line.category, line.category) for line in lines}


def main() -> None:
    """Fit both files of the chooser's folder."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("sets", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=FILE.parent)
    given = parser.parse_args()
    fit([str(path) for path in given.sets], given.out, shared_encoder(1))


def fit(paths: Sequence[str], out: Path, encoder: Vectors) -> None:
    """Write the space and the calibration of the sets at `paths` to `out`."""
    sets = [read_lines(Path(path), encoder) for path in paths]
    chinese = encoder.vectors(chinese_texts())
    space_of(sets, chinese, encoder).save(out / FILE.name)
    calibrated(sets, chinese, encoder).save(out / NUMBERS.name)


if __name__ == "__main__":
    main()
