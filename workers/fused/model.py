"""The fused role (V3): one call answers from text, image or both; knows no schema and no job.

The tower is skipped where a call has no image, and where its text alone is judged to be enough:
a linear probe on the text stream's state after the prompt, trained on whether the text says what
is asked. What each modality weighed is read off the decoder's gates (see `FusedSession.weights`).
A photo outside the checkpoint's domain decides nothing: where there is a text, the text alone
answers, and without one every field is left empty with the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from orchestra.core.call import Call
from workers.decoding.model import AnySession, Prompt, TextModel
from workers.decoding.taught import Taught
from workers.decoding.weighing import Shares
from workers.fused.network import FusedForConditionalGeneration, Vision
from workers.fused.prompt import NEEDED, deciding, has_text, pixels_of, prepared
from workers.loading.device import Placement
from workers.loading.pretrained import load_weights
from workers.loading.tokenizer import load_tokenizer
from workers.text.model import sizes
from workers.text.session import PaddedSession
from workers.vision.domain import Domain

ARCHITECTURE = "FusedForConditionalGeneration"


class FusedSession(PaddedSession):
    """A session whose rows may look at an image; it adds up how much each of them does."""

    def __init__(self, model: FusedForConditionalGeneration, rows: int, vision: Vision | None):
        super().__init__(model, rows)
        self._vision = vision
        self._shares = Shares(rows)

    def extend(
        self, blocks: Sequence[Sequence[int]], image_features: Tensor | None = None
    ) -> Tensor:
        """Append `blocks[row]` to each row; returns logits (B, V) after each last token."""
        logits_BV = super().extend(blocks)
        if self._vision is not None:
            share_B = torch.stack(self._vision.shares).mean(dim=0).tolist()
            self._vision.shares.clear()
            self._shares.add(blocks, share_B)
        return logits_BV

    def keep(self, rows: Sequence[int]) -> None:
        """Drop every row but `rows` from the batch, in that order."""
        super().keep(rows)
        self._shares.keep(rows)
        if self._vision is not None:
            index = torch.tensor(rows, dtype=torch.long, device=self._device)
            seen = self._vision
            self._vision = Vision(seen.tokens_BTW[index], seen.shown_B[index])

    def weights(self) -> list[dict[str, float]]:
        """The part of each modality in each row's answer; see `workers.decoding.weighing`."""
        return self._shares.weights()

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
        side = self.model.config.vision_config.image_size
        return prepared(call, self.writer, lambda image: torch.from_numpy(pixels_of(image, side)))

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
        whole_RE = torch.cat([whole for _, whole in seen]).float().cpu().numpy()
        standings = None if self._domain is None else self._domain.standings(whole_RE)
        shown_B[deciding(prompts, rows, standings)] = 1.0
        return FusedSession(self.model, len(prompts), Vision(tokens_BTW, shown_B)), None

    def _is_looked_at(self, prompt: Prompt) -> bool:
        """Whether the row has an image, and its text alone does not seem to be enough."""
        if prompt.pixels is None:
            return False
        if not has_text(prompt):
            return True
        ids = torch.tensor([prompt.ids], device=self.model.device)
        state_W = self.model.text(input_ids=ids, use_cache=False).last_hidden_state[0, -1]
        return self.model.need(state_W).sigmoid().item() >= NEEDED
