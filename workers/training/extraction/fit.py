"""Fits a reader to lessons, and reads titles with it; seeded, on one thread."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.extraction.head import WIDEST
from workers.training.extraction.lessons import Batch, Lesson, batch_of, picked_fields
from workers.training.extraction.network import Reader, span_scores
from workers.training.extraction.titles import Title

FieldOf = Callable[[Title, str], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a reader is fitted; rates fall along a cosine after a tenth of warm-up."""

    epochs: float = 2.0
    batch: int = 8
    layer_rate: float = 1e-4
    head_rate: float = 1e-3
    most_fields: int = 12
    drop: float = 0.15
    smooth: float = 0.0
    seed: int = 0


def logits_of(reader: Reader, batch: Batch) -> Tensor:
    """Scores (B, M, 1 + W * S): "not stated" first, then each span by start and width."""
    parts, absent = reader(*batch.inputs)
    return torch.cat([absent[..., None], span_scores(parts, batch.word_mask).flatten(2)], -1)


def loss_of(logits: Tensor, batch: Batch) -> Tensor:
    """The mean negative log-probability of what is right of each field, wherever it stands."""
    logp = logits.log_softmax(-1).masked_fill(~batch.target, -1e4)
    return -(torch.logsumexp(logp, -1)[batch.field_mask]).mean()


def fit(
    reader: Reader,
    lessons: Sequence[Lesson],
    field_of: FieldOf,
    recipe: Recipe,
    *,
    told: Callable[[str], None] = print,
) -> None:
    """Train `reader` in place."""
    draw = random.Random(recipe.seed)
    torch.manual_seed(recipe.seed)
    own = list(reader.layers.parameters())
    layer_ids = {id(p) for p in own}
    head = [p for p in reader.parameters() if id(p) not in layer_ids]
    optimiser = torch.optim.AdamW(
        [{"params": own, "lr": recipe.layer_rate}, {"params": head, "lr": recipe.head_rate}],
        weight_decay=0.01,
    )
    steps = int(recipe.epochs * len(lessons) / recipe.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda s: min((s + 1) / (0.1 * steps + 1), 0.5 + 0.5 * math.cos(math.pi * s / steps)),
    )
    _settle(reader, lessons[:200], field_of)
    reader.train()
    losses: list[float] = []
    for step, part in enumerate(_batches(lessons, recipe, draw, steps)):
        picked = [picked_fields(one, draw, recipe.most_fields, recipe.drop) for one in part]
        batch = batch_of(part, picked, field_of)
        loss = loss_of(logits_of(reader, batch), batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        losses.append(loss.item())
        if (step + 1) % 50 == 0 or step + 1 == steps:
            told(f"step {step + 1} of {steps}: loss {np.mean(losses[-50:]):.3f}")
    reader.eval()


def _settle(reader: Reader, lessons: Sequence[Lesson], field_of: FieldOf) -> None:
    """Standardise what the network's states are at first."""
    for norm in (reader.vector_norm, reader.field_norm, reader.word_norm):
        norm.seen = []
        with torch.no_grad():
            for at in range(0, len(lessons), 20):
                part = lessons[at : at + 20]
                reader(*batch_of(part, [range(len(one.names)) for one in part], field_of).inputs)
        norm.settle()


def _batches(
    lessons: Sequence[Lesson], recipe: Recipe, draw: random.Random, steps: int
) -> list[list[Lesson]]:
    """`steps` batches of lessons of like length, in random order."""
    made: list[list[Lesson]] = []
    while len(made) < steps:
        order = list(lessons)
        draw.shuffle(order)
        for at in range(0, len(order), 32 * recipe.batch):
            block = sorted(order[at : at + 32 * recipe.batch], key=lambda one: len(one.states))
            made += [block[i : i + recipe.batch] for i in range(0, len(block), recipe.batch)]
    draw.shuffle(made)
    return made[:steps]


@dataclass(frozen=True, slots=True)
class Guess:
    """The best span of a field, its probability, and that of "not stated"."""

    value: str
    probability: float
    span: tuple[int, int]


def read(
    reader: Reader, lessons: Sequence[Lesson], field_of: FieldOf, *, batch: int = 32
) -> list[Mapping[str, Guess]]:
    """The best span of every field of each lesson, in order."""
    found: list[Mapping[str, Guess]] = [{} for _ in lessons]
    order = sorted(range(len(lessons)), key=lambda i: len(lessons[i].states))
    with torch.no_grad():
        for at in range(0, len(order), batch):
            rows = order[at : at + batch]
            part = [lessons[i] for i in rows]
            made = batch_of(part, [range(len(one.names)) for one in part], field_of)
            sure = logits_of(reader, made).softmax(-1)[..., 1:]
            best, place = sure.max(-1)
            for row, (i, one) in enumerate(zip(rows, part, strict=True)):
                found[i] = {
                    name: _guess(one, int(place[row, j]), float(best[row, j]))
                    for j, name in enumerate(one.names)
                }
    return found


def _guess(lesson: Lesson, place: int, probability: float) -> Guess:
    first, last = place // WIDEST, place // WIDEST + place % WIDEST
    start, end = lesson.words[first][0], lesson.words[last][1]
    return Guess(lesson.title.text[start:end], probability, (start, end))
