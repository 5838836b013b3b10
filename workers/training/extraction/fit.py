"""Fits a reader to lessons, and reads titles with it; seeded, on one thread."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workers.extraction.head import WIDEST
from workers.training.extraction.lessons import Batch, ReadingLesson, batch_of, picked_fields
from workers.training.extraction.network import Reader, span_scores
from workers.training.extraction.titles import Title

LIKELIEST = 12  # spans that are looked at
FieldOf = Callable[[Title, str], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How a reader is fitted; rates fall along a cosine after some warm-up."""

    steps: int = 2000
    batch: int = 16
    adapter_rate: float = 5e-4
    head_rate: float = 1.2e-3
    still: float = 0.05  # the first part of a run, in which the layers stay as they are
    most_fields: int = 12
    drop: float = 0.15
    seed: int = 0


@cache
def has_halves() -> bool:
    """Whether this processor multiplies bfloat16 itself, three times as fast as float32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def logits_of(reader: Reader, batch: Batch, *, halves: bool = False) -> Tensor:
    """Scores (B, M, 1 + W * S): "not stated" first, then each span by start and width.

    With `halves` products are in bfloat16 where the processor has it: to learn, not to read.
    """
    with torch.autocast("cpu", torch.bfloat16, enabled=halves and has_halves()):
        parts, absent = (out.float() for out in reader(*batch.inputs))
    return torch.cat([absent[..., None], span_scores(parts, batch.word_mask).flatten(2)], -1)


def loss_of(logits: Tensor, batch: Batch) -> Tensor:
    """The mean negative log-probability of what is right of each field, wherever it stands."""
    logp = logits.log_softmax(-1).masked_fill(~batch.target, -1e4)
    return -(torch.logsumexp(logp, -1)[batch.field_mask]).mean()


def fit(
    reader: Reader,
    lessons: Sequence[ReadingLesson],
    field_of: FieldOf,
    recipe: Schedule,
    *,
    told: Callable[[str], None] = print,
) -> None:
    """Train `reader` in place."""
    draw = random.Random(recipe.seed)
    torch.manual_seed(recipe.seed)
    own = [p for p in reader.layers.parameters() if p.requires_grad]
    layer_ids = {id(p) for p in reader.layers.parameters()}
    head = [p for p in reader.parameters() if id(p) not in layer_ids]
    optimiser = torch.optim.AdamW(
        [{"params": own, "lr": recipe.adapter_rate}, {"params": head, "lr": recipe.head_rate}],
        weight_decay=0.01,
    )
    steps = recipe.steps
    rates = [group["lr"] for group in optimiser.param_groups]
    if not reader.settled:
        _settle(reader, lessons[:200], field_of)
    reader.train()
    losses: list[float] = []
    for step, part in enumerate(_batches(lessons, recipe, draw, steps)):
        done = (step + 1) / steps
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * _share(done, step)
        if done < recipe.still:
            optimiser.param_groups[0]["lr"] = 0.0
        for parameter in own:
            parameter.requires_grad_(done >= recipe.still)
        picked = [picked_fields(one, draw, recipe.most_fields, recipe.drop) for one in part]
        batch = batch_of(part, picked, field_of)
        loss = loss_of(logits_of(reader, batch, halves=True), batch)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([*own, *head], 1.0)
        optimiser.step()
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            told(f"step {step + 1} of {steps}: loss {np.mean(losses[-50:]):.3f}, {done:.0%}")
    reader.eval()


def _share(done: float, step: int) -> float:
    """The share of a rate: 40 steps of warm-up, then down along a cosine."""
    return min((step + 1) / 40, 0.02 + 0.49 * (1 + math.cos(math.pi * min(1.0, done))))


def _settle(reader: Reader, lessons: Sequence[ReadingLesson], field_of: FieldOf) -> None:
    """Standardise what the network's states are at first."""
    for norm in (reader.vector_norm, reader.field_norm, reader.word_norm):
        norm.seen = []
        with torch.no_grad():
            for at in range(0, len(lessons), 20):
                part = lessons[at : at + 20]
                reader(*batch_of(part, [range(len(one.names)) for one in part], field_of).inputs)
        norm.settle()


def _batches(
    lessons: Sequence[ReadingLesson], recipe: Schedule, draw: random.Random, steps: int
) -> list[list[ReadingLesson]]:
    """`steps` batches of lessons of like length, in random order."""
    made: list[list[ReadingLesson]] = []
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
    """The likeliest value of a field, its probability, and the likeliest place of it."""

    value: str
    probability: float
    span: tuple[int, int]


def read(
    reader: Reader,
    lessons: Sequence[ReadingLesson],
    field_of: FieldOf,
    *,
    temperature: float = 1.0,
    batch: int = 32,
) -> list[Mapping[str, Guess]]:
    """The likeliest value of every field of each lesson, in order."""
    found: list[Mapping[str, Guess]] = [{} for _ in lessons]
    order = sorted(range(len(lessons)), key=lambda i: len(lessons[i].states))
    with torch.no_grad():
        for at in range(0, len(order), batch):
            rows = order[at : at + batch]
            part = [lessons[i] for i in rows]
            made = batch_of(part, [range(len(one.names)) for one in part], field_of)
            sure = (logits_of(reader, made) / temperature).softmax(-1)[..., 1:]
            best, place = sure.topk(min(LIKELIEST, sure.shape[-1]), -1)
            for row, (i, one) in enumerate(zip(rows, part, strict=True)):
                found[i] = {
                    name: _guess(one, place[row, j].tolist(), best[row, j].tolist())
                    for j, name in enumerate(one.names)
                }
    return found


def _guess(lesson: ReadingLesson, places: list[int], shares: list[float]) -> Guess:
    """The likeliest value: what a text states twice shares its probability."""
    total: dict[str, float] = {}
    where: dict[str, tuple[int, int]] = {}
    for place, share in zip(places, shares, strict=True):
        first, last = place // WIDEST, place // WIDEST + place % WIDEST
        if last >= len(lesson.words):
            continue
        span = (lesson.words[first][0], lesson.words[last][1])
        value = lesson.title.text[slice(*span)]
        total[value] = total.get(value, 0.0) + share
        where.setdefault(value, span)
    value = max(total, key=lambda one: total[one])
    return Guess(value, total[value], where[value])
