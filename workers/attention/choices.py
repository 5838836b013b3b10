"""Finds where a model had a choice while it wrote an answer, and for which key; runs no model.

A token that the schema forced says nothing about a photo, so maps are made for the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from orchestra.core.call import Reply
from workers.decoding.completion import Completion

DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class ChosenToken:
    """One token that was chosen: its place in the sequence, its id, and what it was chosen from.

    `at` counts from the prompt's first token; the logits that decided it are those at `at` - 1.
    `allowed` (V) marks the tokens that the constraint left open.
    """

    at: int
    token: int
    text: str
    probability: float
    allowed: Tensor


@dataclass(frozen=True, slots=True)
class SpelledValue:
    """One value of an answer with the choices that spell it; `name` is empty for a free text."""

    name: str
    value: Any
    text: str
    confidence: float | None
    choices: tuple[ChosenToken, ...]


def spelled_values(answer: Completion, text: str) -> list[SpelledValue]:
    """The values of a finished answer that the model had a choice about.

    `text` is the call's text as it was rendered. An answer without a reply has none.
    """
    reply = answer.outcome
    if not isinstance(reply, Reply):
        return []
    made = list(_replayed(answer, text))
    if answer.grammar is None:
        whole = SpelledValue("", reply.value, reply.text, None, tuple(choice for _, choice in made))
        return [whole] if whole.choices else []
    spans = _spans(reply.text, [name for name, _ in answer.grammar.shape.properties])
    lengths = [len(answer.vocabulary.spell([token])) for token in answer.tokens]
    starts = np.cumsum([0, *lengths]).tolist()
    found = []
    for name, (start, end) in spans.items():
        chosen = [c for at, c in made if starts[at] < end and starts[at + 1] > start]
        if chosen:
            written = reply.text.encode()[start:end].decode()
            value = reply.value[name]
            found.append(
                SpelledValue(name, value, written, reply.confidence.get(name), tuple(chosen))
            )
    return found


def _replayed(answer: Completion, text: str) -> Iterator[tuple[int, ChosenToken]]:
    """Each choice with its place in the answer, as the constraint stood when it was made."""
    vocabulary = answer.vocabulary
    again = Completion.begin(answer.row, answer.call, answer.prompt, vocabulary, text)
    for token in answer.thought:
        if again.is_thinking:
            again.push(token, 1.0)
    offset = len(answer.prompt.ids) + len(answer.thought)
    mask = np.zeros(vocabulary.mask_words, dtype=np.int32)
    while again.outcome is None and len(again.tokens) < len(answer.tokens):
        at = len(again.tokens)
        again.fill_mask(mask)
        bits = np.unpackbits(mask.view(np.uint8), bitorder="little")[: vocabulary.size]
        token = answer.tokens[at]
        if bits.sum() > 1:
            spelled = vocabulary.spell([token]).decode(errors="replace")
            allowed = torch.from_numpy(bits == 1)
            yield at, ChosenToken(offset + at, token, spelled, answer.probabilities[at], allowed)
        again.push(token, answer.probabilities[at])


def _spans(text: str, names: Sequence[str]) -> Mapping[str, tuple[int, int]]:
    """Where the value of each key stands in the compact JSON object `text`, in UTF-8 bytes."""
    spans = {}
    at = 1
    for name in names:
        start = at + len(json.dumps(name, ensure_ascii=False)) + 1
        _, end = DECODER.raw_decode(text, start)
        spans[name] = (len(text[:start].encode()), len(text[:end].encode()))
        at = end + 1
    return spans
