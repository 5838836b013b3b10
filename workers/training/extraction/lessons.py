"""Turns titles and the schemas asked of them into padded arrays, and spans into targets.

Knows the encoder only as a function from texts to (vector, states, offsets).
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.extraction.fields import matches
from workers.extraction.head import WIDEST
from workers.extraction.marks import marks_of
from workers.extraction.words import Span, pooling, words_of
from workers.training.extraction.titles import Title

Encoded = tuple[NDArray[np.float32], NDArray[np.float16], NDArray[np.int32]]
Encode = Callable[[Sequence[str]], Sequence[Encoded]]
NOT_STATED = -1


@dataclass(frozen=True, slots=True)
class ReadingLesson:
    """One text with its states, words and fields; `targets` are (start, last) words by field.

    A field that is not stated has no target. One that is stated, but in no run of words, is left
    out of the loss.
    """

    title: Title
    states: NDArray[np.float16]
    words: list[Span]
    pooling: NDArray[np.float32]
    marks: NDArray[np.float32]
    names: tuple[str, ...]
    targets: tuple[tuple[Span, ...], ...]


def lesson_of(title: Title, encoded: Encoded) -> ReadingLesson:
    """The lesson that one title is, with all it is asked."""
    _, states, offsets = encoded
    tokens = [(int(a), int(b)) for a, b in offsets]
    words = words_of(title.text, tokens)
    targets, names = [], []
    for name in title.asked:
        values = title.values.get(name, ())
        spans = tuple(span for value in values for span in word_spans(title.text, words, value))
        if not values or spans:
            names.append(name)
            targets.append(spans)
    return ReadingLesson(
        title,
        states,
        words,
        pooling(words, tokens),
        marks_of(title.text, words),
        tuple(names),
        tuple(targets),
    )


def word_spans(text: str, words: Sequence[Span], value: str) -> list[Span]:
    """Where `value` stands as whole words: (first, last) words."""
    starts = {start: place for place, (start, _) in enumerate(words)}
    ends = {end: place for place, (_, end) in enumerate(words)}
    found = (match.span() for match in re.finditer(re.escape(value.strip()), text))
    spans = [(starts[a], ends[b]) for a, b in found if a in starts and b in ends]
    return [(a, b) for a, b in spans if b - a < WIDEST]


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded arrays of some lessons; `target` is 1 on each right span or on "not stated"."""

    fields: Tensor
    field_mask: Tensor
    tokens: Tensor
    token_mask: Tensor
    pooling: Tensor
    marks: Tensor
    matches: Tensor
    word_mask: Tensor
    target: Tensor

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the network takes."""
        return (
            self.fields,
            self.field_mask,
            self.tokens,
            self.token_mask,
            self.pooling,
            self.marks,
            self.matches,
        )


def batch_of(
    lessons: Sequence[ReadingLesson],
    picked: Sequence[Sequence[int]],
    field_of: Callable[[Title, str], NDArray[np.float32]],
) -> Batch:
    """The arrays of `lessons`, each with the fields `picked` of it.

    `field_of` gives what a name is encoded as, (2, H).
    """
    count, fields = len(lessons), max(len(p) for p in picked)
    tokens = max(len(lesson.states) for lesson in lessons)
    words = max(len(lesson.words) for lesson in lessons)
    width = lessons[0].states.shape[1]
    out = Batch(
        torch.zeros(count, fields, 2, width),
        torch.zeros(count, fields, dtype=torch.bool),
        torch.zeros(count, tokens, width),
        torch.zeros(count, tokens, dtype=torch.bool),
        torch.zeros(count, words, tokens),
        torch.zeros(count, words, lessons[0].marks.shape[1]),
        torch.zeros(count, fields, words, 3),
        torch.zeros(count, words, dtype=torch.bool),
        torch.zeros(count, fields, 1 + words * WIDEST, dtype=torch.bool),
    )
    for row, (lesson, chosen) in enumerate(zip(lessons, picked, strict=True)):
        t, w = len(lesson.states), len(lesson.words)
        out.tokens[row, :t] = torch.from_numpy(lesson.states.astype(np.float32))
        out.token_mask[row, :t] = True
        out.pooling[row, :w, :t] = torch.from_numpy(lesson.pooling)
        out.marks[row, :w] = torch.from_numpy(lesson.marks)
        out.word_mask[row, :w] = True
        for column, index in enumerate(chosen):
            vector = field_of(lesson.title, lesson.names[index])
            out.fields[row, column] = torch.from_numpy(vector)
            out.field_mask[row, column] = True
            asked = lesson.title.asking(lesson.names[index])
            alike = matches(asked, lesson.title.text, lesson.words)
            out.matches[row, column, :w] = torch.from_numpy(alike)
            spans = lesson.targets[index]
            out.target[row, column, 0] = not spans
            for first, last in spans:
                out.target[row, column, 1 + first * WIDEST + last - first] = True
    return out


def picked_fields(lesson: ReadingLesson, draw: random.Random, most: int, drop: float) -> list[int]:
    """Some of a lesson's fields in random order: most of the stated ones, some that are absent."""
    stated = [i for i, spans in enumerate(lesson.targets) if spans and draw.random() > drop]
    absent = [i for i, spans in enumerate(lesson.targets) if not spans and draw.random() > drop]
    draw.shuffle(absent)
    chosen = [*stated, *absent][:most] or [0]
    draw.shuffle(chosen)
    return chosen
