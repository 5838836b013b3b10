"""Fit one temperature to held-out photos, so that confidence means accuracy; no retraining.

The model over-trusts what it learned from photos that it has seen often. Scaling all logits by one
number changes no greedy answer; it is folded into the last norm, so that the checkpoint needs no
setting. Knows no files. Shapes: B photos, C channels, D hidden, T tokens, V vocabulary.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from workers.training.vision.speaker import Speaker, encode_lesson

SCALES = tuple(round(0.3 + 0.05 * step, 2) for step in range(19))
INSTRUCTION = "Describe the product shown."


@dataclass(slots=True)
class Choosing:
    """A greedy choice among values: what was chosen, and the logits it was chosen from."""

    value: str | None = None
    said: list[int] = field(default_factory=list)
    steps: list[tuple[Tensor, int]] = field(default_factory=list)

    def confidence(self, scale: float = 1.0) -> float:
        """The product of the chosen tokens' probabilities over the allowed tokens."""
        logs = [float(torch.log_softmax(row * scale, 0)[at]) for row, at in self.steps]
        return math.exp(sum(logs))


def choose(
    speaker: Speaker,
    maps_NCHW: Tensor,
    name: str,
    values: Sequence[str | None],
    *,
    instruction: str = INSTRUCTION,
    batch: int = 64,
) -> list[Choosing]:
    """Answer `{"name":` for every photo's map with one of `values`, token by token, greedily."""
    encode = speaker.tokenizer.encode
    spelled: dict[tuple[int, ...], str | None] = {
        tuple(encode(json.dumps(value, ensure_ascii=False), add_special_tokens=False)): value
        for value in values
    }
    asked, _ = encode_lesson(speaker.tokenizer, instruction, "")
    asked = asked + encode(f'{{"{name}":', add_special_tokens=False)
    chosen = []
    for part in maps_NCHW.split(batch):
        chosen += _choose_batch(speaker, part.float(), asked, spelled)
    return chosen


@torch.inference_mode()
def _choose_batch(
    speaker: Speaker,
    maps_BCHW: Tensor,
    asked: list[int],
    spelled: dict[tuple[int, ...], str | None],
) -> list[Choosing]:
    model = speaker.model
    embed = model.get_input_embeddings()
    head = embed(torch.tensor([speaker.user])).expand(len(maps_BCHW), 1, -1)
    seen = torch.cat([head, model.model.aligner(speaker.features(maps_BCHW))], dim=1)
    rows = [Choosing() for _ in range(len(maps_BCHW))]
    open_rows = list(range(len(rows)))
    while open_rows:
        longest = max(len(rows[i].said) for i in open_rows)
        ids = torch.tensor(
            [
                asked + rows[i].said + [speaker.pad] * (longest - len(rows[i].said))
                for i in open_rows
            ]
        )
        inputs = torch.cat([seen[open_rows], embed(ids)], dim=1)
        hidden = model.model.language_model(inputs_embeds=inputs, use_cache=False)
        for line, i in enumerate(open_rows):
            at = seen.shape[1] + len(asked) + len(rows[i].said) - 1
            _say(rows[i], model.lm_head(hidden.last_hidden_state[line, at]), spelled)
        open_rows = [i for i in open_rows if tuple(rows[i].said) not in spelled]
    for row in rows:
        row.value = spelled[tuple(row.said)]
    return rows


def _say(row: Choosing, logits_V: Tensor, spelled: dict[tuple[int, ...], str | None]) -> None:
    so_far = tuple(row.said)
    allowed = sorted(
        {
            ids[len(so_far)]
            for ids in spelled
            if len(ids) > len(so_far) and ids[: len(so_far)] == so_far
        }
    )
    narrowed = logits_V[allowed]
    best = int(narrowed.argmax())
    if len(allowed) > 1:
        row.steps.append((narrowed, best))
    row.said.append(allowed[best])


def best_scale(chosen: Sequence[Choosing], right: Sequence[bool], likely: Sequence[float]) -> float:
    """The scale of the logits under which confidence predicts `right` best (log loss).

    `likely` is the probability that each photo is of a known kind: it multiplies the confidence.
    """

    def loss(scale: float) -> float:
        total = 0.0
        for choice, is_right, known in zip(chosen, right, likely, strict=True):
            sure = min(max(choice.confidence(scale) * known, 1e-4), 1 - 1e-4)
            total -= math.log(sure if is_right else 1 - sure)
        return total

    return min(SCALES, key=loss)


def scale_logits(speaker: Speaker, scale: float) -> None:
    """Multiply every logit of the model by `scale`, in place."""
    with torch.no_grad():
        speaker.model.model.language_model.norm.weight.mul_(scale)
