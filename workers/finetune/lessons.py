"""Rows as tokens, and tokens as batches; it knows the prompt format, not how a model learns.

Shapes: B rows, T tokens, K positions whose logits are wanted.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from orchestra.core.errors import PromptTooLong, UsageError
from orchestra.finetune.rows import TrainingRow
from workers.decoding.prompt import THINK_CLOSE, THINK_OPEN
from workers.finetune.base import Base, Pixels

TOKENS_AT_ONCE = 4096  # padded tokens of one pass; a batch of more is learnt in several
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Lesson:
    """Token ids of prompt and answer, where the answer begins, and the photo's pixels."""

    ids: list[int]
    answer_start: int
    pixels: Pixels | None = None


def lesson(base: Base, row: TrainingRow) -> Lesson:
    """Encode a row as it will be asked. Raises PromptTooLong and UsageError, naming its line."""
    if row.image is not None and base.sees is None:
        raise UsageError(
            f"Line {row.line} has the photo {str(row.image)!r}, but this model reads text only. "
            "Take a base that sees, as mini/vl."
        )
    call = row.call()
    asked = base.writer.encode(call)
    said = base.tokenizer.encode(_completion(base, asked, row), add_special_tokens=False)
    ids = [*asked, *said, int(base.tokenizer.eos_token_id)]  # pyright: ignore[reportArgumentType]
    if len(ids) > base.context_tokens:
        raise PromptTooLong(
            f"Line {row.line} has {len(asked)} tokens of prompt and {len(ids) - len(asked)} of "
            f"answer, but the context holds {base.context_tokens}. Shorten or remove it."
        )
    pixels = base.sees(call) if base.sees is not None and row.image is not None else None
    return Lesson(ids, len(asked), pixels)


def _completion(base: Base, asked: list[int], row: TrainingRow) -> str:
    """What follows the prompt; where the template opened a thought, an empty one comes first."""
    end = str(base.tokenizer.decode(asked[-8:]))
    if not end.rstrip().endswith(THINK_OPEN):
        return row.written
    return "\n" * end.endswith("\n") + f"{THINK_CLOSE}\n\n{row.written}"


def rows_of_step(count: int, step: int, batch: int, seed: int) -> list[int]:
    """Which of `count` rows step `step` learns from: each pass in an order of its own."""
    chosen: list[int] = []
    for place in range(step * batch, (step + 1) * batch):
        turn, at = divmod(place, count)
        chosen.append(_order(count, turn, seed)[at])
    return chosen


@lru_cache(maxsize=4)
def _order(count: int, turn: int, seed: int) -> tuple[int, ...]:
    order = list(range(count))
    random.Random(f"{seed}-{turn}").shuffle(order)
    return tuple(order)


def passes(lessons: Sequence[Lesson]) -> list[list[Lesson]]:
    """Lessons of similar length together, as many as fit `TOKENS_AT_ONCE` when padded."""
    groups: list[list[Lesson]] = [[]]
    for item in sorted(lessons, key=lambda lesson: len(lesson.ids)):
        if groups[-1] and (len(groups[-1]) + 1) * len(item.ids) > TOKENS_AT_ONCE:
            groups.append([])
        groups[-1].append(item)
    return groups


@dataclass(frozen=True, slots=True)
class Padded:
    """What a model is given, and the target of each wanted position (`IGNORED` elsewhere)."""

    inputs: dict[str, Any]
    targets_BK: Tensor
    tokens: int


def padded(lessons: Sequence[Lesson], device: torch.device, pad: int) -> Padded:
    """Lessons side by side, padded on the right; logits are wanted at answers only."""
    shape = len(lessons), max(len(lesson.ids) for lesson in lessons)
    ids_BT, mask_BT = torch.full(shape, pad), torch.zeros(shape, dtype=torch.long)
    targets_BT = torch.full(shape, IGNORED)
    for row, item in enumerate(lessons):
        end = len(item.ids)
        ids_BT[row, :end], mask_BT[row, :end] = torch.tensor(item.ids), 1
        # Position t predicts token t + 1.
        targets_BT[row, item.answer_start - 1 : end - 1] = ids_BT[row, item.answer_start : end]
    wanted_K = (targets_BT != IGNORED).any(dim=0).nonzero()[:, 0]
    inputs: dict[str, Any] = {
        "input_ids": ids_BT.to(device),
        "attention_mask": mask_BT.to(device),
        "logits_to_keep": wanted_K.to(device),
    }
    photos = [item.pixels for item in lessons if item.pixels is not None]
    for name in photos[0] if photos else ():
        inputs[name] = torch.cat([photo[name] for photo in photos]).to(device)
    tokens = sum(len(item.ids) for item in lessons)
    return Padded(inputs, targets_BT[:, wanted_K].to(device), tokens)
