"""Learns from labelled rows of batches which model answers a text well, a node at a time.

A row's text is what its call was shown, as the ledger keeps it; its score is the share of the
labelled fields that a model's answer had right, where one left open is not. Only rows that every
model of a node was asked about count, so that models are compared on the same texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from orchestra.core.job import Result
from orchestra.core.values import folded
from orchestra.quality.learned.columns import Vectors
from orchestra.quality.learned.fit import LEAST_GROUPS, LEAST_TEXTS, learn, scored
from orchestra.quality.learned.text_quality import TextQuality
from orchestra.quality.readings import Data, Truths


@dataclass(frozen=True, slots=True)
class NamedEncoder:
    """What turns texts into vectors, by the name under which a fleet finds it again."""

    name: str
    vectors: Vectors


@dataclass(frozen=True, slots=True)
class NodeRows:
    """Labelled rows of one node: texts, and by model, cheapest first, each row's score."""

    node: str
    prompt: str
    texts: tuple[str, ...]
    scores: Mapping[str, tuple[float, ...]]


def learn_texts(
    batches: Sequence[Mapping[str, Result]],
    data: Data,
    truths: Truths,
    *,
    encoder: NamedEncoder | None = None,
    seed: int = 0,
) -> Iterator[TextQuality]:
    """What was learnt at each node that several models answered.

    A node with too few labelled rows says nothing.
    """
    for rows in node_rows(batches, data, truths):
        if len(rows.texts) < LEAST_TEXTS or len(set(rows.texts)) < LEAST_GROUPS:
            continue
        vectors = None if encoder is None else encoder.vectors
        found = learn(scored(rows.texts, rows.scores, vectors), seed=seed)
        name = "" if encoder is None else encoder.name
        yield TextQuality.of(found, tuple(rows.scores), rows.node, rows.prompt, name)


def node_rows(
    batches: Sequence[Mapping[str, Result]], data: Data, truths: Truths
) -> Iterator[NodeRows]:
    """The labelled rows of each node that several models answered."""
    texts = _texts(batches)
    for node in dict.fromkeys(place[0] for place in data.judged):
        models = data.models(node)
        if len(models) < 2:
            continue
        scores = {model: _scores(node, model, data, truths) for model in models}
        shown = texts.get(node, {})
        kept = [
            row for row in truths.rows if row in shown and all(row in s for s in scores.values())
        ]
        prompts = {
            reading.prompt
            for model in models
            for name in data.fields(node, model)
            for reading in data.recorded[node, model, name].values()
        }
        if not kept or len(prompts) > 1:  # answers to two wordings are not compared
            continue
        yield NodeRows(
            node,
            prompts.pop(),
            tuple(shown[row] for row in kept),
            {model: tuple(own[row] for row in kept) for model, own in scores.items()},
        )


def _texts(batches: Sequence[Mapping[str, Result]]) -> dict[str, dict[str, str]]:
    """What each node was shown of each row, where that is a text."""
    found: dict[str, dict[str, str]] = {}
    for results in batches:
        for row_id, result in results.items():
            for call in result.calls:
                if call.data and call.error is None:
                    found.setdefault(call.node, {}).setdefault(row_id, call.data)
    return found


def _scores(node: str, model: str, data: Data, truths: Truths) -> dict[str, float]:
    """The share of a row's labelled fields that a model had right."""
    right: dict[str, list[bool]] = {}
    for name in data.fields(node, model):
        true = truths.field(name)
        for row_id, reading in data.recorded[node, model, name].items():
            if value := folded(true.get(row_id, "")):
                said = reading.value
                right.setdefault(row_id, []).append(said is not None and folded(said) == value)
    return {row_id: sum(each) / len(each) for row_id, each in right.items()}
