"""The fused role (V3): one call answers from text, image or both; knows no schema and no job.

The tower is skipped where a call has no image, and where its text alone is judged to be enough:
a linear probe on the text stream's state after the prompt, trained on whether the text says what
is asked. What each modality weighed is read off the decoder's gates (see `FusedSession.weights`).
A photo outside the checkpoint's domain decides nothing: where there is a text, the text alone
answers, and without one every field is left empty with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from orchestra.core.call import Call
from orchestra.core.errors import UsageError
from workers.decoding.model import AnySession, Prompt, TextModel
from workers.decoding.taught import Taught
from workers.fused.network import FusedForConditionalGeneration, Vision
from workers.loading.device import Placement
from workers.loading.pretrained import load_weights
from workers.loading.tokenizer import load_tokenizer
from workers.text.model import sizes
from workers.text.session import PaddedSession
from workers.vision.domain import Domain

ARCHITECTURE = "FusedForConditionalGeneration"
GREY = (127, 127, 127)  # the padding around a photo that is not square
NEEDED = 0.5  # the probability from which on the image is looked at


@dataclass(frozen=True, slots=True)
class FusedPrompt(Prompt):
    """A prompt that also says whether there is a text that could do without the image."""

    has_text: bool = False


class FusedSession(PaddedSession):
    """A session whose rows may look at an image; it adds up how much each of them does."""

    def __init__(self, model: FusedForConditionalGeneration, rows: int, vision: Vision | None):
        super().__init__(model, rows)
        self._vision = vision
        self._rows = list(range(rows))
        self._shares = [0.0] * rows
        self._steps = [0] * rows

    def extend(
        self, blocks: Sequence[Sequence[int]], image_features: Tensor | None = None
    ) -> Tensor:
        """Append `blocks[row]` to each row; returns logits (B, V) after each last token."""
        logits_BV = super().extend(blocks)
        if self._vision is not None:
            share_B = torch.stack(self._vision.shares).mean(dim=0).tolist()
            self._vision.shares.clear()
            for row, block, share in zip(self._rows, blocks, share_B, strict=True):
                if block:
                    self._shares[row] += share
                    self._steps[row] += 1
        return logits_BV

    def keep(self, rows: Sequence[int]) -> None:
        """Drop every row but `rows` from the batch, in that order."""
        super().keep(rows)
        self._rows = [self._rows[row] for row in rows]
        if self._vision is not None:
            index = torch.tensor(rows, dtype=torch.long, device=self._device)
            seen = self._vision
            self._vision = Vision(seen.tokens_BTW[index], seen.shown_B[index])

    def weights(self) -> list[dict[str, float]]:
        """The part of each modality in each row's answer, together 1.

        The image's is the length of what cross-attention added to the stream, over that plus
        the length of what the same layer added from the words; a mean over layers and steps.
        The prompt's own words count as text.
        """
        parts = [
            total / (steps or 1) for total, steps in zip(self._shares, self._steps, strict=True)
        ]
        return [{"text": 1 - part, "image": part} for part in parts]

    def _extras(self) -> dict[str, Any]:
        return {"vision": self._vision}


class FusedModel(TextModel):
    """The fused model with its tokenizer; a call may have one image, or none."""

    def __init__(
        self,
        model: FusedForConditionalGeneration,
        tokenizer: PreTrainedTokenizerFast,
        domain: Domain | None = None,
    ) -> None:
        def plain(capacity: Sequence[int], _: int | None) -> AnySession:
            return FusedSession(model, len(capacity), None)

        super().__init__(tokenizer, plain, **sizes(model))
        self.model = model
        self._domain = domain
        self.looked = 0  # images that the tower was run for

    @classmethod
    def load(cls, folder: Path, config: dict[str, Any], place: Placement) -> FusedModel:
        """Load a checked folder. Raises CheckpointInvalid."""
        tokenizer = load_tokenizer(folder, config["text_config"]["vocab_size"])
        domain, taught = Domain.load(folder), Taught.load(folder)
        model = load_weights(FusedForConditionalGeneration, folder, place)
        loaded = cls(cast(FusedForConditionalGeneration, model), tokenizer, domain)
        loaded.taught = taught
        return loaded

    def prepare(self, call: Call) -> Prompt:
        """Render and encode one call, and its image as pixels. Raises UsageError for more."""
        if len(call.images) > 1:
            raise UsageError(
                f"This model looks at one image a call, but the call has {len(call.images)}. "
                "Send one call for each image."
            )
        side = self.model.config.vision_config.image_size
        pixels = {"pixel_values": pixels_of(call.images[0], side)[None]} if call.images else None
        return FusedPrompt(
            self.writer.encode(call), pixels, has_text=bool((call.text or "").strip())
        )

    def count_tokens(self, call: Call) -> int:
        """Prompt tokens of `call`; an image has none, since it stands beside the text."""
        return len(self.writer.encode(call))

    def open(
        self, prompts: Sequence[Prompt], capacity: Sequence[int]
    ) -> tuple[AnySession, Tensor | None]:
        """A session for these rows; the images that are worth it are looked at first."""
        rows = [row for row, prompt in enumerate(prompts) if self._is_looked_at(prompt)]
        if not rows:
            return FusedSession(self.model, len(prompts), None), None
        self.looked += len(rows)
        pixels = torch.cat([(prompts[row].pixels or {})["pixel_values"] for row in rows])
        # One at a time: the tower gives the same tokens whatever else is in the batch.
        seen = [self.model.see(p.to(self.model.device, self.model.dtype)) for p in pixels.split(1)]
        tokens = torch.cat([tokens for tokens, _ in seen])
        tokens_BTW = tokens.new_zeros(len(prompts), *tokens.shape[1:])
        shown_B = tokens.new_zeros(len(prompts))
        tokens_BTW[rows] = tokens
        shown_B[self._deciding(prompts, rows, torch.cat([whole for _, whole in seen]))] = 1.0
        return FusedSession(self.model, len(prompts), Vision(tokens_BTW, shown_B)), None

    def _deciding(
        self, prompts: Sequence[Prompt], rows: Sequence[int], embedding_RE: Tensor
    ) -> list[int]:
        """The rows whose image decides; where each of these stands is noted in its prompt."""
        if self._domain is None:
            return list(rows)
        deciding = []
        for row, standing in zip(rows, self._domain.standings(embedding_RE), strict=True):
            prompt = prompts[row]
            if standing.reason is None or not _has_text(prompt):
                prompt.standings.append(standing)
                deciding.append(row)
        return deciding

    def _is_looked_at(self, prompt: Prompt) -> bool:
        """Whether the row has an image, and its text alone does not seem to be enough."""
        if prompt.pixels is None:
            return False
        if not _has_text(prompt):
            return True
        ids = torch.tensor([prompt.ids], device=self.model.device)
        state_W = self.model.text(input_ids=ids, use_cache=False).last_hidden_state[0, -1]
        return self.model.need(state_W).sigmoid().item() >= NEEDED


def _has_text(prompt: Prompt) -> bool:
    return isinstance(prompt, FusedPrompt) and prompt.has_text


def pixels_of(image: Image.Image, side: int) -> Tensor:
    """An upright RGB image, padded to a square with grey, as (3, side, side) from -1 to 1."""
    upright = ImageOps.exif_transpose(image).convert("RGB")
    scale = side / max(upright.size)
    width, height = (max(round(length * scale), 1) for length in upright.size)
    canvas = Image.new("RGB", (side, side), GREY)
    small = upright.resize((width, height), Image.Resampling.BICUBIC)
    canvas.paste(small, ((side - width) // 2, (side - height) // 2))
    pixels = torch.from_numpy(np.array(canvas)).permute(2, 0, 1)
    return pixels.float().div(127.5).sub(1.0)
