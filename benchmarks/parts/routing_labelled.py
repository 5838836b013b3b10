"""Reads questions with the score and the cost of each of several models; it learns nothing.

JSON (a list of objects with `question`, `scores` and perhaps `costs`, gzipped or not), or a CSV of
two models as `routing_questions` reads.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.parts.routing_questions import read_questions
from orchestra.core.errors import InvalidTable

Floats = NDArray[np.float64]
GZIP = b"\x1f\x8b"
ANSWER_TOKENS, BYTES_PER_TOKEN = 256, 3.5
SIZE = re.compile(r"(\d+(?:\.\d+)?)b\b", re.IGNORECASE)
WEAK_STRONG = {"weak": 46.7, "strong": 1760.0}  # billions; only their order counts for two models


@dataclass(frozen=True, slots=True)
class Labelled:
    """Questions with the score and the cost (questions, M) of each model, cheapest model first."""

    questions: list[str]
    models: tuple[str, ...]
    scores: Floats
    costs: Floats
    subjects: list[str] | None = None

    def of(self, models: tuple[str, ...]) -> Labelled:
        """The same with the models in this order. Raises `InvalidTable` where it has others."""
        if sorted(models) != sorted(self.models):
            raise InvalidTable(
                f"The file to fit on has the models {sorted(models)!r}, and the questions to score "
                f"have {sorted(self.models)!r}. Give files of the same models."
            )
        order = [self.models.index(name) for name in models]
        return Labelled(
            self.questions, models, self.scores[:, order], self.costs[:, order], self.subjects
        )


def read_labelled(path: Path) -> Labelled:
    """Raises `InvalidTable` where the file is no such list."""
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if raw.startswith(GZIP) else raw).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InvalidTable(f"{str(path)!r} cannot be read: {error}. Name a JSON file.") from error
    if not text.lstrip().startswith("["):
        return _of_table(path)
    rows = json.loads(text)
    wrong = next((at for at, row in enumerate(rows) if not _is_row(row, rows[0])), None)
    if wrong is not None or not rows:
        raise InvalidTable(
            f"{str(path)!r}: entry {wrong} is no question with a score of each model. Give "
            '{"question": ..., "scores": {MODEL: 0..1}}, the same models in all.'
        )
    models, questions = sorted(rows[0]["scores"]), [row["question"] for row in rows]
    costs = _costs(rows, questions, models)
    order = np.argsort(costs.mean(axis=0), kind="stable")
    scores = np.array([[row["scores"][name] for name in models] for row in rows], dtype=float)
    names = tuple(models[at] for at in order)
    return Labelled(questions, names, scores[:, order], costs[:, order])


def _is_row(row: Any, first: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("scores"), dict):
        return False
    same = row["scores"].keys() == first["scores"].keys()
    return same and bool(row["scores"]) and isinstance(row.get("question"), str)


def _of_table(path: Path) -> Labelled:
    table = read_questions(path)
    sizes = np.array(list(WEAK_STRONG.values()))
    costs = np.outer(_tokens(table.prompts), sizes) / 1000
    scores = np.column_stack([table.weak, table.strong])
    subjects = table.subjects if any(table.subjects) else None
    return Labelled(table.prompts, tuple(WEAK_STRONG), scores, costs, subjects)


def _costs(rows: Sequence[Any], questions: list[str], models: Sequence[str]) -> Floats:
    if all(isinstance(row.get("costs"), dict) for row in rows):
        return np.array([[float(row["costs"][name]) for name in models] for row in rows])
    sizes = [SIZE.search(name) for name in models]
    if None in sizes:
        unknown = models[sizes.index(None)]
        raise InvalidTable(
            f"The model {unknown!r} names no size, as in 'gemma-2-9b'. Add costs to the file."
        )
    billions = np.array([float(size[1]) for size in sizes if size])
    return np.outer(_tokens(questions), billions) / 1000


def _tokens(questions: Sequence[str]) -> Floats:
    lengths = np.array([len(question.encode()) for question in questions], dtype=float)
    return lengths / BYTES_PER_TOKEN + ANSWER_TOKENS
