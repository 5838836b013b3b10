"""Scores one field of a batch against a table of true values.

Definitions, over the rows whose id stands in both and whose true value is not empty:
coverage is the share that was answered; accuracy the share of the answered that is right;
macro accuracy the mean of that share over the true classes that have an answer; baseline the
accuracy of always answering the most common true class. Accuracy and baseline have 95% Wilson
score intervals (Wilson 1927), macro accuracy a 95% percentile bootstrap within each class.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestra.batch.output.rows import results_of
from orchestra.batch.tables.gold import read_truths
from orchestra.batch.tables.table import resolve_columns
from orchestra.core.errors import InvalidTable
from orchestra.core.job import Result
from orchestra.core.stats import RESAMPLES, SEED, Interval, effective_rows, wilson
from orchestra.core.values import folded
from orchestra.quality.readings import Truths, said

EXACT_DRAWS = 200
SHOWN_IDS = 5


@dataclass(frozen=True, slots=True)
class Unmatched:
    """Ids that stand on one side only: how many, and the first few."""

    answers: int
    truth: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The scores of one field; a score without rows to stand on is None."""

    field: str
    rows: int
    answered: int
    coverage: float
    accuracy: float | None
    accuracy_interval: Interval | None
    macro_accuracy: float | None
    macro_accuracy_interval: Interval | None
    baseline: float
    baseline_interval: Interval
    baseline_value: str
    classes: int
    unmatched: Unmatched


def evaluate(answers: Iterable[tuple[str, Result]], truths: Truths, field: str) -> Evaluation:
    """Join results by row id with their true values, and score `field`.

    Values are compared without regard to case and white space, lists and objects also to order.
    Where an id stands twice its first row counts. Shares are of the rows that those with a true
    value stand for, and intervals take Kish's (1965) effective number of rows. Raises InvalidTable
    when the truth lacks the column, no answer has the field, or no id stands on both sides.
    """
    resolve_columns(truths.columns, [field], [], "truth")
    spelled: dict[str, str] = {}
    for value in truths.field(field).values():
        spelled.setdefault(folded(value), value.strip())
    verdicts, unmatched = _join(answers, truths, field)
    rows = _summed((value, weight) for value, _, weight in verdicts)
    answered = _summed((value, weight) for value, right, weight in verdicts if right is not None)
    right = _summed((value, weight) for value, right, weight in verdicts if right)
    counted = Counter(value for value, right, _ in verdicts if right is not None)
    common = max(rows, key=lambda value: rows[value])
    every, given = sum(rows.values()), sum(answered.values())
    # 1 where rows weigh the same: then the effective number of rows is their number.
    whole = effective_rows([weight for *_, weight in verdicts]) / every
    part = effective_rows([weight for _, right, weight in verdicts if right is not None]) / (
        given or 1
    )
    return Evaluation(
        field=field,
        rows=len(verdicts),
        answered=counted.total(),
        coverage=given / every,
        accuracy=_share(sum(right.values()), given),
        accuracy_interval=wilson(sum(right.values()) * part, given * part),
        macro_accuracy=_macro(right, answered),
        macro_accuracy_interval=_macro_interval(right, answered, counted),
        baseline=rows[common] / every,
        baseline_interval=wilson(rows[common] * whole, every * whole) or (0.0, 1.0),
        baseline_value=spelled[common],
        classes=len(rows),
        unmatched=unmatched,
    )


def _summed(weighted: Iterable[tuple[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for value, weight in weighted:
        found[value] = found.get(value, 0) + weight
    return found


Verdict = tuple[str, bool | None, float]


def _join(
    answers: Iterable[tuple[str, Result]], truths: Truths, field: str
) -> tuple[list[Verdict], Unmatched]:
    """(true value, right / wrong / not answered, weight) for each joined row."""
    true = {row_id: folded(value) for row_id, value in truths.field(field).items()}
    verdicts: list[Verdict] = []
    seen: set[str] = set()
    strangers: list[str] = []
    names: set[str] = set()
    for row_id, answer in answers:
        row_id = row_id.strip()
        if row_id in seen:
            continue
        seen.add(row_id)
        names |= answer.fields.keys()
        if row_id not in true:
            strangers.append(row_id)
        elif true[row_id]:
            # What a row has that waits for a person is not its answer yet.
            is_told = answer.status != "waiting"
            value = said(answer.fields.get(field)) if is_told else None
            verdict = value == true[row_id] if value else None
            verdicts.append((true[row_id], verdict, truths.rows[row_id].weight))
    if names and field not in names:
        raise InvalidTable(
            f"The batch has no field {field!r}; it has {', '.join(sorted(map(repr, names)))}. "
            "Name one of these with --field."
        )
    missing = [row_id for row_id in true if row_id not in seen]
    if not verdicts:
        raise InvalidTable(
            f"No row of the batch has a true value of {field!r}: {len(seen)} ids in the batch "
            f"(such as {strangers[:SHOWN_IDS]}) and {len(true)} in the truth (such as "
            f"{list(true)[:SHOWN_IDS]}). Name the column both share with --id-column."
        )
    examples = tuple([*strangers, *missing][:SHOWN_IDS])
    return verdicts, Unmatched(len(strangers), len(missing), examples)


def _share(right: float, total: float) -> float | None:
    return right / total if total else None


def _macro(right: Mapping[str, float], answered: Mapping[str, float]) -> float | None:
    shares = [right.get(value, 0) / count for value, count in answered.items()]
    return math.fsum(shares) / len(shares) if shares else None


def _macro_interval(
    right: Mapping[str, float], answered: Mapping[str, float], counted: Mapping[str, int]
) -> Interval | None:
    """Resample the answered rows of each class; seeded, so that it prints the same twice."""
    if not answered:
        return None
    draw = random.Random(SEED)
    means = sorted(
        math.fsum(
            _binomial(draw, count, right.get(value, 0) / answered[value]) / count
            for value, count in counted.items()
        )
        / len(counted)
        for _ in range(RESAMPLES)
    )
    return means[round(0.025 * (RESAMPLES - 1))], means[round(0.975 * (RESAMPLES - 1))]


def _binomial(draw: random.Random, count: int, share: float) -> float:
    """How many of `count` resampled rows are right; the normal curve for many rows."""
    if count <= EXACT_DRAWS:
        return sum(draw.random() < share for _ in range(count))
    found = draw.gauss(count * share, math.sqrt(count * share * (1 - share)))
    return min(max(found, 0.0), float(count))


def score(out: Path, truth: Path, field_name: str, *, id_column: str | None) -> dict[str, Any]:
    """Score one field of the batch in `out` against the table `truth`, joined by id.

    Raises `BookError` when `out` holds no batch, `InvalidTable` for a truth without the columns.
    """
    results, own_id = results_of(out)
    truths = read_truths(truth, own_id if id_column is None else id_column)
    return asdict(evaluate(results, truths, field_name))
