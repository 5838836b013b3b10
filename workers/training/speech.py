"""Teach `vl`'s language model to speak of what the frozen tower sees; knows no files.

Shapes: B samples, P patches of an image, K of them kept, T tokens, D hidden, V vocabulary.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    DeepseekVLConfig,
    DeepseekVLForConditionalGeneration,
    LlamaConfig,
    PreTrainedTokenizerFast,
    SiglipVisionModel,
)

from workers.training.lessons import lesson
from workers.training.muon import Muon
from workers.training.photos import PhotoSet, augment
from workers.training.tokenizer import ASSISTANT, END, IMAGE, PAD, USER
from workers.training.tower import Sampler, take_step, vision_config

MUON_RATE = 0.02
PATCHES = 64
PATCHES_KEPT = ((0.8, 28),)  # of 64, until this share of the run; then all


def token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """The id of a special token."""
    return tokenizer.get_vocab()[token]


def build_model(
    vision: SiglipVisionModel, tokenizer: PreTrainedTokenizerFast
) -> DeepseekVLForConditionalGeneration:
    """An untrained `DeepseekVL` around a trained tower: 3 Llama layers, 192 wide."""
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=192,
        intermediate_size=448,
        num_hidden_layers=3,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=1024,
        pad_token_id=token_id(tokenizer, PAD),
        bos_token_id=None,
        eos_token_id=token_id(tokenizer, END),
    )
    config = DeepseekVLConfig(
        text_config=text.to_dict(),
        vision_config=vision_config().to_dict(),
        image_token_id=token_id(tokenizer, IMAGE),
    )
    model = DeepseekVLForConditionalGeneration(config)
    model.model.vision_model.load_state_dict(vision.state_dict())
    return model


def encode_lesson(
    tokenizer: PreTrainedTokenizerFast, instruction: str, answer: str
) -> tuple[list[int], list[int]]:
    """Token ids after the image block: instruction up to the answer's mark, and the answer."""
    asked = tokenizer.encode(instruction + ASSISTANT, add_special_tokens=False)
    said = tokenizer.encode(answer + END, add_special_tokens=False)
    return asked, said


@dataclass(slots=True)
class SpeechRun:
    """One run's settings; `minutes` of wall clock or `steps` end it, whichever is given."""

    minutes: float | None
    steps: int | None
    seed: int
    log: Callable[[str], None]
    batch: int = 64
    drawn_share: float = 0.3
    rate: float = 2e-3
    strength: float = 0.9


class Speaker:
    """The training state of one model; `loss` is the mean over the answers' tokens."""

    def __init__(
        self,
        model: DeepseekVLForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        seed: int,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.rng = random.Random(seed)
        self.user = token_id(tokenizer, USER)
        self.pad = token_id(tokenizer, PAD)

    def features(self, pixels_B3HW: Tensor, keep: int | None) -> tuple[Tensor, Tensor]:
        """The tower's (B, K, D) features of random patches, in order, and their places (B, K)."""
        vision = self.model.model.vision_model
        with torch.no_grad():
            tokens_BPD = vision.embeddings(pixels_B3HW)
            places_BK = torch.arange(PATCHES).expand(len(tokens_BPD), -1)
            if keep is not None:
                random_BP = torch.rand(tokens_BPD.shape[:2])
                places_BK = random_BP.argsort(dim=1)[:, :keep].sort(dim=1).values
                index = places_BK.unsqueeze(-1).expand(-1, -1, tokens_BPD.shape[-1])
                tokens_BPD = tokens_BPD.gather(1, index)
            hidden = vision.encoder(inputs_embeds=tokens_BPD).last_hidden_state
            return vision.post_layernorm(hidden), places_BK

    def loss(self, photos: PhotoSet, rows: list[int], views: Tensor, keep: int | None) -> Tensor:
        """Cross-entropy of the answers to one random lesson about each row."""
        features_BKD, places_BK = self.features(views, keep)
        lessons = [
            encode_lesson(self.tokenizer, *lesson(photos.shots[row], self.rng)) for row in rows
        ]
        longest = max(len(asked) + len(said) for asked, said in lessons)
        ids_BT = torch.full((len(rows), longest), self.pad)
        labels_BT = torch.full((len(rows), longest), -100)
        for line, (asked, said) in enumerate(lessons):
            ids_BT[line, : len(asked) + len(said)] = torch.tensor(asked + said)
            labels_BT[line, len(asked) : len(asked) + len(said)] = torch.tensor(said)
        embed = self.model.get_input_embeddings()
        user_B1D = embed(torch.full((len(rows), 1), self.user))
        seen_BKD = self.model.model.aligner(features_BKD)
        inputs = torch.cat([user_B1D, seen_BKD, embed(ids_BT)], dim=1)
        after = torch.arange(longest).expand(len(rows), -1) + PATCHES + 1
        places = torch.cat([torch.zeros(len(rows), 1).long(), places_BK + 1, after], dim=1)
        hidden = self.model.model.language_model(
            inputs_embeds=inputs, position_ids=places, use_cache=False
        ).last_hidden_state
        before_BTD = hidden[:, -longest - 1 : -1]  # each predicts the token after it
        said_BT = labels_BT != -100
        return F.cross_entropy(self.model.lm_head(before_BTD[said_BT]), labels_BT[said_BT])


def train_speech(
    run: SpeechRun,
    model: DeepseekVLForConditionalGeneration,
    tokenizer: PreTrainedTokenizerFast,
    photos: PhotoSet,
    drawn: PhotoSet,
) -> None:
    """Train aligner and language model in place; the tower stays as it is."""
    torch.manual_seed(run.seed)
    generator = torch.Generator().manual_seed(run.seed + 1)
    model.model.vision_model.requires_grad_(False)
    model.eval()  # no dropout in it, and the tower's statistics stay
    speaker = Speaker(model, tokenizer, run.seed)
    optimizers = _optimizers(model, run.rate)
    extra = round(run.batch * run.drawn_share)
    samplers = (Sampler(photos, generator), Sampler(drawn, generator))
    both = PhotoSet(photos.shots + drawn.shots, torch.cat([photos.pixels, drawn.pixels]))
    started, step, progress, reported, smooth = time.monotonic(), 0, 0.0, 0.0, 0.0
    while progress < 1:
        elapsed = time.monotonic() - started
        share = elapsed / (run.minutes * 60) if run.minutes else step / (run.steps or 1)
        progress = min(share, 1.0)
        rows = torch.cat(
            [samplers[0].rows(run.batch - extra), samplers[1].rows(extra) + len(photos)]
        )
        views = augment(both.pixels[rows], generator, run.strength)
        keep = next((count for until, count in PATCHES_KEPT if progress < until), None)
        loss = speaker.loss(both, rows.tolist(), views, keep)
        model.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        pace = min(1.0, (step + 1) / 30) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))
        take_step(optimizers, pace)
        step += 1
        smooth = smooth * 0.95 + float(loss.detach()) * 0.05 if step > 1 else float(loss.detach())
        if elapsed - reported > 45 or progress >= 1:
            reported = elapsed
            run.log(f"speech {elapsed / 60:5.1f} min step {step} of {run.batch} loss {smooth:.3f}")


def _optimizers(
    model: DeepseekVLForConditionalGeneration, rate: float
) -> list[tuple[torch.optim.Optimizer, float]]:
    matrices: list[Tensor] = []
    rest: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            inner = parameter.ndim == 2 and (".layers." in name or ".aligner." in name)
            (matrices if inner else rest).append(parameter)
    adam: Any = torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.95), weight_decay=0.01)
    return [(Muon(matrices, lr=MUON_RATE, decay=0.01), MUON_RATE), (adam, rate)]
