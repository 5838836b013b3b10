"""What each node and model said of each field in recorded results, and whether it was right.

A reading is judged as the graph read it, which the record of its call says: a synonym by its value,
a span as it stands in the text, nothing where it had no evidence. Known answers come as tables of
true values and gold sets hold them. It knows no file.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestra.core.job import CallRecord, Field, Result
from orchestra.core.values import folded, text_of
from orchestra.quality.held_out import Answers

Place = tuple[str, str, str]  # node, model, field


@dataclass(frozen=True, slots=True)
class Truth:
    """The true values of one row by field, and how many rows of the batch it stands for."""

    values: Mapping[str, str]
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Truths:
    """Known answers by row id, in the table's order; `columns` are the table's."""

    rows: Mapping[str, Truth]
    columns: tuple[str, ...]

    @property
    def is_weighted(self) -> bool:
        """Whether rows stand for different numbers of rows."""
        return len({truth.weight for truth in self.rows.values()}) > 1

    @property
    def weights(self) -> dict[str, float]:
        """How many rows each labelled row stands for."""
        return {row_id: truth.weight for row_id, truth in self.rows.items()}

    def field(self, name: str) -> dict[str, str]:
        """The values of one field by row id."""
        return {row_id: truth.values.get(name, "") for row_id, truth in self.rows.items()}


def said(field: Field | None) -> str | None:
    """What a field says, as it is compared with a true value; None where it abstains."""
    return None if field is None or not field.answered else folded(text_of(field.value) or "")


@dataclass(frozen=True, slots=True)
class FieldReading:
    """One model's answer to one field of one row; `value` None is left open.

    `content` identifies what it was shown: rows with the same content have the same answer. In a
    `clash` photo and text contradicted each other on the field.
    """

    value: str | None
    confidence: float | None
    content: int
    prompt: str
    clash: bool = False


Readings = Mapping[str, FieldReading]  # by row id


@dataclass(frozen=True, slots=True)
class Judged:
    """Judged answers with their row ids, and the share of the asked rows that was answered."""

    ids: tuple[str, ...]
    answers: Answers
    covered: float


def judge_readings(
    readings: Readings, truths: Mapping[str, str], weights: Mapping[str, float]
) -> Judged:
    """The readings of rows with a true value: which were answered, which right."""
    true = {i: value for i in readings if (value := folded(truths.get(i, "")))}
    answered = {
        i: (folded(readings[i].value or ""), readings[i])
        for i in true
        if readings[i].value is not None and readings[i].confidence is not None
    }
    common = {value: count / len(true) for value, count in Counter(true.values()).items()}
    answers = Answers(
        np.array([reading.confidence for _, reading in answered.values()], dtype=float),
        np.array([value == true[i] for i, (value, _) in answered.items()], dtype=float),
        np.array([weights.get(i, 1.0) for i in answered], dtype=float),
        np.array([reading.content for _, reading in answered.values()], dtype=np.int64),
        np.array([common.get(value, 0.0) for value, _ in answered.values()], dtype=float),
    )
    rows = sum(weights.get(i, 1.0) for i in true)
    covered = float(answers.weight.sum()) / rows if rows else 0.0
    return Judged(tuple(answered), answers, covered)


def collect(batches: Sequence[Mapping[str, Result]]) -> dict[Place, dict[str, FieldReading]]:
    """Every reading of every batch. Where a row has two of one place the first counts."""
    found: dict[Place, dict[str, FieldReading]] = {}
    for results in batches:
        for row_id, result in results.items():
            for place, reading in _readings(result):
                found.setdefault(place, {}).setdefault(row_id, reading)
    return found


def call_costs(batches: Sequence[Mapping[str, Result]]) -> dict[tuple[str, str], float]:
    """Dollars of a paid call by node and model, on average."""
    sums: dict[tuple[str, str], list[float]] = {}
    for results in batches:
        for result in results.values():
            for call in result.calls:
                if not call.reused and call.error is None:
                    sums.setdefault((call.node, call.model), []).append(float(call.cost_usd))
    return {place: sum(costs) / len(costs) for place, costs in sums.items()}


def _readings(result: Result) -> Iterator[tuple[Place, FieldReading]]:
    for call in result.calls:
        if call.error is not None:
            continue
        content = _content(call)
        for name, joined in result.fields.items():
            if joined.source == "derived" or name not in call.confidence:
                continue
            value = text_of(said_by(call, name, joined))
            sure = call.confidence.get(name)
            reading = FieldReading(value, sure, content, call.prompt_hash, joined.contradiction)
            yield (call.node, call.model, name), reading


def said_by(call: CallRecord, name: str, joined: Field) -> Any:
    """The call's own value of the field `name`, as the graph read it; None where it read none.

    Of a record that does not say so it is found among the value that stands and the others.
    """
    if call.said is not None:
        return call.said.get(name)
    for entry in _all(joined):
        if entry.answered and (entry.model, entry.prompt_hash) == (call.model, call.prompt_hash):
            return entry.value
    return None


def _all(joined: Field) -> Iterator[Field]:
    """A field and every reading beside it: a second ask keeps the first among its own."""
    yield joined
    for other in joined.alternatives:
        yield from _all(other)


def _content(call: CallRecord) -> int:
    text = "\0".join((call.data or "", *call.images))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


@dataclass(frozen=True, slots=True)
class Data:
    """Recorded readings with their judged answers, and what calls cost."""

    recorded: Mapping[Place, Readings]
    judged: Mapping[Place, Judged]
    costs: Mapping[tuple[str, str], float]

    def models(self, node: str) -> list[str]:
        """Models that were judged at `node`, cheapest first."""
        names = {model for at, model, _ in self.judged if at == node}
        return sorted(names, key=lambda name: (self.costs.get((node, name), 0.0), name))

    def fields(self, node: str, model: str) -> list[str]:
        """Fields of a model that were judged."""
        return [name for at, who, name in self.judged if (at, who) == (node, model)]
