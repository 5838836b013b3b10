"""Accuracy by names alone and with examples, and how well texts of no option are told.

A text is judged `alone`, or in the `table` of all texts that are scored, whose texts (never whose
categories) settle what the names mean. A forced choice is scored: the likeliest name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestra.core.errors import InvalidLabels, InvalidTable
from orchestra.core.spelling import did_you_mean
from workers.choice.chooser import Chooser, ReadText
from workers.choice.options import Options

SEEDS = 5
FEWEST = 4  # categories, for some to be left out


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts as the encoder read them, with their categories and what these are called."""

    read: tuple[ReadText, ...]
    categories: tuple[str, ...]
    titles: Mapping[str, str]

    def part(self, at: Sequence[int] | NDArray[np.int64]) -> Texts:
        """The texts at these places."""
        return Texts(
            tuple(self.read[int(i)] for i in at),
            tuple(self.categories[int(i)] for i in at),
            self.titles,
        )

    def right(self, names: Sequence[str]) -> NDArray[np.int64]:
        """The place of each text's name, -1 where it is not among `names`."""
        at = {name: place for place, name in enumerate(names)}
        return np.array([at.get(self.titles[category], -1) for category in self.categories])


@dataclass(frozen=True, slots=True)
class Score:
    """Shares of 1: right of all, `taken` answers and right of these; the area under the curve of
    "none of these", None where there are too few categories."""

    alone: float
    table: float
    taken: float
    right_of_taken: float
    none_auroc: float | None


def read_rows(path: Path) -> list[tuple[str, str]]:
    """(text, category) of JSON lines; raises InvalidTable where one has no such keys."""
    rows: list[tuple[str, str]] = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                row: dict[str, Any] = json.loads(line)
                rows.append((str(row["input"]), str(row["category"])))
    except (OSError, ValueError, KeyError, TypeError) as cause:
        raise InvalidTable(
            f"{str(path)!r} cannot be read: {cause!r} after {len(rows)} rows. Give JSON lines with "
            "'input' and 'category'."
        ) from cause
    if not rows:
        raise InvalidTable(f"{str(path)!r} holds no rows. Give JSON lines.")
    return rows


def titles_of(categories: Sequence[str], labels: Mapping[str, str] | None) -> dict[str, str]:
    """What each category is called; raises InvalidLabels where `labels` lacks one."""
    if labels is None:
        return {category: category for category in categories}
    for category in categories:
        if category not in labels:
            raise InvalidLabels(
                f"The labels have no name for {category!r}. {did_you_mean(category, labels)}"
            )
    return {category: labels[category] for category in categories}


def by_names(chooser: Chooser, texts: Texts) -> Score:
    """The score of names alone."""
    names = sorted(set(texts.titles.values()))
    options = Options.of(names)
    found = chooser.choose(texts.read, options)
    taken = [
        (c.name, texts.titles[own])
        for c, own in zip(found, texts.categories, strict=True)
        if c.name
    ]
    return Score(
        alone=_accuracy(chooser, texts, options, ()),
        table=_accuracy(chooser, texts, options, texts.read),
        taken=len(taken) / len(found),
        right_of_taken=sum(said == own for said, own in taken) / max(1, len(taken)),
        none_auroc=_none_auroc(chooser, texts, 0),
    )


def by_examples(chooser: Chooser, texts: Texts, count: int) -> list[Score]:
    """One score a seed, each with `count` examples a category; the rest is scored."""
    scores: list[Score] = []
    for seed in range(SEEDS):
        shown = _some(texts, count, np.random.default_rng(seed))
        rest = texts.part(np.setdiff1d(np.arange(len(texts.read)), shown))
        options = _taught(texts, shown, sorted(set(texts.titles.values())))
        found = chooser.choose(rest.read, options)
        right = [rest.titles[category] for category in rest.categories]
        taken = [c.name == own for c, own in zip(found, right, strict=True) if c.name]
        scores.append(
            Score(
                alone=_accuracy(chooser, rest, options, ()),
                table=_accuracy(chooser, rest, options, rest.read),
                taken=len(taken) / len(found),
                right_of_taken=float(np.mean(taken)) if taken else 0.0,
                none_auroc=_none_auroc(chooser, texts, count, seeds=(seed,)),
            )
        )
    return scores


def mean(scores: Sequence[Score]) -> dict[str, float | None]:
    """The mean of each number over seeds."""
    rows = [asdict(score) for score in scores]
    return {
        key: None if rows[0][key] is None else float(np.mean([row[key] for row in rows]))
        for key in rows[0]
    }


def seconds_a_text(chooser: Chooser, texts: Texts, encode: Any) -> float:
    """Seconds to read a text anew and to choose its name, one at a time."""
    options = Options.of(sorted(set(texts.titles.values())))
    chooser.fit(options)
    began = time.perf_counter()
    some = texts.read[:50]
    for read in some:
        chooser.choose(encode([f"{read.text} "]), options)
    return (time.perf_counter() - began) / len(some)


def auroc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    """The share of pairs in which the text inside scores higher; ties count half."""
    values = np.concatenate([inside, outside])
    ranks = np.searchsorted(np.sort(values), values, "left") + np.searchsorted(
        np.sort(values), values, "right"
    )
    total = (ranks[: len(inside)] + 1).sum() / 2 - len(inside) * (len(inside) + 1) / 2
    return float(total / (len(inside) * len(outside)))


def _accuracy(chooser: Chooser, texts: Texts, options: Options, table: Sequence[ReadText]) -> float:
    found = chooser.probabilities(texts.read, chooser.fit(options, table))
    return float((found.argmax(axis=1) == texts.right(options.names)).mean())


def _none_auroc(
    chooser: Chooser, texts: Texts, count: int, seeds: Sequence[int] = range(SEEDS)
) -> float | None:
    """Half of the categories are options; the probability of the best one tells their texts."""
    categories = sorted(texts.titles)
    if len(categories) < FEWEST:
        return None
    areas: list[float] = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        shown = _some(texts, count, random)
        rest = texts.part(np.setdiff1d(np.arange(len(texts.read)), shown))
        kept = sorted(
            texts.titles[str(c)] for c in random.permutation(categories)[: len(categories) // 2]
        )
        best = chooser.probabilities(rest.read, _taught(texts, shown, kept)).max(axis=1)
        inside = rest.right(kept) >= 0
        areas.append(auroc(best[inside].astype(np.float64), best[~inside].astype(np.float64)))
    return float(np.mean(areas))


def _some(texts: Texts, count: int, random: np.random.Generator) -> NDArray[np.int64]:
    own = np.array(texts.categories)
    each = [
        random.permutation(np.flatnonzero(own == category))[:count]
        for category in sorted(texts.titles)
    ]
    return np.concatenate(each).astype(np.int64)


def _taught(texts: Texts, shown: NDArray[np.int64], names: Sequence[str]) -> Options:
    examples = [(texts.read[int(at)].text, texts.titles[texts.categories[int(at)]]) for at in shown]
    return Options.of(names, examples=[(text, name) for text, name in examples if name in names])
