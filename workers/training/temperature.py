"""Fit one temperature to held-out photos, so that confidence means accuracy; no retraining.

The model over-trusts what it learned from photos that its tower knows by heart. Scaling all
logits by one number changes no greedy answer; it is folded into the last norm, so that the
checkpoint needs no setting. Knows no files. Shapes: B photos, D hidden, T tokens, V vocabulary.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import DeepseekVLForConditionalGeneration, PreTrainedTokenizerFast

from workers.training.photos import PhotoSet, normalise
from workers.training.speech import Speaker, encode_lesson

# Never above 1: held-out photos come from the shelves that training photos come from, so they
# are easier than a user's, and would make the model surer than it may be.
SCALES = tuple(round(0.3 + 0.05 * step, 2) for step in range(15))
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
    photos: PhotoSet,
    name: str,
    values: Sequence[str | None],
    *,
    instruction: str = INSTRUCTION,
    batch: int = 64,
) -> list[Choosing]:
    """Answer `{"name":` for every photo with one of `values`, token by token, greedily."""
    encode = speaker.tokenizer.encode
    spelled: dict[tuple[int, ...], str | None] = {
        tuple(encode(json.dumps(value, ensure_ascii=False), add_special_tokens=False)): value
        for value in values
    }
    asked, _ = encode_lesson(speaker.tokenizer, instruction, "")
    asked = asked + encode(f'{{"{name}":', add_special_tokens=False)
    chosen = []
    for start in range(0, len(photos), batch):
        pixels = normalise(photos.pixels[start : start + batch])
        chosen += _choose_batch(speaker, pixels, asked, spelled)
    return chosen


@torch.inference_mode()
def _choose_batch(
    speaker: Speaker,
    pixels_B3HW: Tensor,
    asked: list[int],
    spelled: dict[tuple[int, ...], str | None],
) -> list[Choosing]:
    model = speaker.model
    features_BPD, _ = speaker.features(pixels_B3HW, None)
    embed = model.get_input_embeddings()
    head = embed(torch.tensor([speaker.user])).expand(len(pixels_B3HW), 1, -1)
    seen = torch.cat([head, model.model.aligner(features_BPD)], dim=1)
    rows = [Choosing() for _ in range(len(pixels_B3HW))]
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


def best_scale(chosen: Sequence[Choosing], right: Sequence[bool]) -> float:
    """The scale of the logits under which confidence predicts `right` best (log loss)."""

    def loss(scale: float) -> float:
        total = 0.0
        for choice, is_right in zip(chosen, right, strict=True):
            sure = min(max(choice.confidence(scale), 1e-4), 1 - 1e-4)
            total -= math.log(sure if is_right else 1 - sure)
        return total

    return min(SCALES, key=loss)


def calibrate(
    model: DeepseekVLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    held: PhotoSet,
    categories: Sequence[str],
    log: Callable[[str], None],
) -> None:
    """Scale the model's logits in place so that it is as sure of a category as it is right."""
    speaker = Speaker(model, tokenizer, seed=0)
    chosen = choose(speaker, held, "category", [*categories, None])
    right = [choice.value == shot.category for choice, shot in zip(chosen, held.shots, strict=True)]
    scale = best_scale(chosen, right)
    before = sum(choice.confidence() for choice in chosen) / len(chosen)
    after = sum(choice.confidence(scale) for choice in chosen) / len(chosen)
    with torch.no_grad():
        model.model.language_model.norm.weight.mul_(scale)
    log(
        f"held-out category accuracy {sum(right) / len(right):.3f}, mean confidence "
        f"{before:.3f}, after logits x{scale} {after:.3f}"
    )
