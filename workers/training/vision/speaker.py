"""`vl`'s language model beside its frozen tower, and the lessons it is taught; trains nothing.

Several lessons about one picture share its image tokens: they stand behind each other, and a mask
keeps them apart. Shapes: B pictures, P image tokens, T tokens of their lessons, S = 1 + P + T,
D hidden, V vocabulary.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    DeepseekVLConfig,
    DeepseekVLForConditionalGeneration,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

from workers.training.pictures.lessons import lesson
from workers.training.pictures.photos import Shot
from workers.training.text.tokenizer import ASSISTANT, END, IMAGE, PAD, USER
from workers.vision.lite import LiteTower

LESSONS = 4  # about each picture of a batch


def token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    """The id of a special token."""
    return tokenizer.get_vocab()[token]


def image_tokens(model: DeepseekVLForConditionalGeneration) -> int:
    """How many tokens an image takes."""
    config = cast(Any, model.config).vision_config
    return (config.image_size // config.patch_size) ** 2


def build_model(
    tower: LiteTower, tokenizer: PreTrainedTokenizerFast
) -> DeepseekVLForConditionalGeneration:
    """An untrained `DeepseekVL` around a folded tower: 3 Llama layers, 192 wide."""
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
        vision_config={**tower.config.to_dict(), "_name_or_path": ""},
        image_token_id=token_id(tokenizer, IMAGE),
    )
    model = DeepseekVLForConditionalGeneration(config)
    model.model.vision_model.load_state_dict(tower.state_dict())
    return model


def encode_lesson(
    tokenizer: PreTrainedTokenizerFast, instruction: str, answer: str
) -> tuple[list[int], list[int]]:
    """Token ids after the image block: instruction up to the answer's mark, and the answer."""
    asked = tokenizer.encode(instruction + ASSISTANT, add_special_tokens=False)
    said = tokenizer.encode(answer + END, add_special_tokens=False)
    return asked, said


@dataclass(frozen=True, slots=True)
class Lessons:
    """The lessons of a batch: tokens, labels, and which lesson and place each has, all (B, T)."""

    ids_BT: Tensor
    labels_BT: Tensor
    lesson_BT: Tensor
    place_BT: Tensor


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
        self.patches = image_tokens(model)

    def features(self, maps_BCHW: Tensor) -> Tensor:
        """The tower's tokens (B, P, D) from the trunk's maps; the tower learns nothing."""
        with torch.no_grad():
            return cast(Any, self.model.model.vision_model).top(maps_BCHW).last_hidden_state

    def lessons(self, shots: list[Shot]) -> Lessons:
        """Random lessons about each of `shots`, encoded side by side."""
        rows = [
            [encode_lesson(self.tokenizer, *lesson(shot, self.rng)) for _ in range(LESSONS)]
            for shot in shots
        ]
        longest = max(sum(len(a) + len(s) for a, s in row) for row in rows)
        shape = (len(rows), longest)
        ids, labels = torch.full(shape, self.pad), torch.full(shape, -100)
        number, place = torch.full(shape, -1), torch.zeros(shape, dtype=torch.long)
        for line, row in enumerate(rows):
            at = 0
            for which, (asked, said) in enumerate(row):
                end = at + len(asked) + len(said)
                ids[line, at:end] = torch.tensor(asked + said)
                labels[line, end - len(said) : end] = torch.tensor(said)
                number[line, at:end] = which
                place[line, at:end] = torch.arange(end - at)
                at = end
        return Lessons(ids, labels, number, place)

    def loss(self, shots: list[Shot], maps_BCHW: Tensor, unseen: float = 0.0) -> Tensor:
        """Cross-entropy of the answers to random lessons about each picture.

        Lessons do without a share of each photo's tokens, `unseen`, so as to trust no single one.
        """
        taught = self.lessons(shots)
        model = self.model.model
        seen_BPD = model.aligner(self.features(maps_BCHW).float())
        embed = self.model.get_input_embeddings()
        user_B1D = embed(torch.full((len(shots), 1), self.user))
        inputs = torch.cat([user_B1D, seen_BPD, embed(taught.ids_BT)], dim=1)
        head = torch.arange(self.patches + 1).expand(len(shots), -1)
        places = torch.cat([head, taught.place_BT + self.patches + 1], dim=1)
        hidden = model.language_model(
            inputs_embeds=inputs,
            attention_mask=self._mask(taught, self._shown(shots, unseen)),
            position_ids=places,
            use_cache=False,
        ).last_hidden_state
        longest = taught.ids_BT.shape[1]
        before_BTD = hidden[:, -longest - 1 : -1]  # each predicts the token after it
        said_BT = taught.labels_BT != -100
        logits = self.model.lm_head(before_BTD[said_BT])
        return F.cross_entropy(logits.float(), taught.labels_BT[said_BT])

    def _shown(self, shots: list[Shot], unseen: float) -> Tensor | None:
        """Which image tokens lessons see, (B, P): all of a drawing, most of a photo."""
        if not unseen:
            return None
        generator = torch.Generator().manual_seed(self.rng.getrandbits(32))
        is_drawn_B = torch.tensor([shot.path is None for shot in shots])
        kept_BP = torch.rand(len(shots), self.patches, generator=generator) >= unseen
        return kept_BP | is_drawn_B[:, None]

    def _mask(self, taught: Lessons, shown_BP: Tensor | None) -> Tensor:
        """Which tokens each sees, (B, 1, S, S) of added scores: the image, and its own lesson."""
        before = self.patches + 1
        lesson_BS = F.pad(taught.lesson_BT, (before, 0), value=-2)
        same = lesson_BS[:, :, None] == lesson_BS[:, None, :]
        sees = same | (torch.arange(lesson_BS.shape[1]) < before)
        sees = sees & torch.ones(sees.shape[1:], dtype=torch.bool).tril()
        if shown_BP is not None:
            sees[:, before:, 1:before] &= shown_BP[:, None]
        return torch.zeros(sees.shape).masked_fill(~sees, -1e9)[:, None]
