"""The text role: any causal language model of transformers; knows no schema and no job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from orchestra.clients.engine import Call
from orchestra.errors import UsageError
from workers.checkpoint import load_weights
from workers.device import Place
from workers.packed import PackedDecoder, PackedSession, is_packable
from workers.prompt import PromptWriter
from workers.session import AnySession, Session
from workers.tokenizer import load_tokenizer

ARCHITECTURES = frozenset(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of one call, and its images as pixels, or None.

    `pixels` has one tensor (images, 3, height, width) for each resolution that the vision tower
    takes, by the name that transformers gives it.
    """

    ids: list[int]
    pixels: dict[str, torch.Tensor] | None = None


class TextModel:
    """A causal language model with its tokenizer and prompt format."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
        self.model = model
        self.tokenizer = tokenizer
        text_config: Any = model.config.get_text_config()
        self.vocab_size: int = text_config.vocab_size
        self.context_tokens: int = text_config.max_position_embeddings
        self.writer = PromptWriter(tokenizer)
        decoder = model.get_decoder()
        self._packed = PackedDecoder(model, decoder) if is_packable(decoder) else None

    @classmethod
    def load(cls, folder: Path, config: dict[str, Any], place: Place) -> TextModel:
        """Load a checked folder. Raises CheckpointInvalid."""
        tokenizer = load_tokenizer(folder, config["vocab_size"])
        return cls(load_weights(AutoModelForCausalLM, folder, place), tokenizer)

    def prepare(self, call: Call) -> Prompt:
        """Render and encode one call. Raises UsageError for an image."""
        if call.images:
            raise UsageError(
                f"This model reads text only, but the call has {len(call.images)} images. "
                "Route it to a card whose modalities hold 'image'."
            )
        return Prompt(self.writer.encode(call))

    def count_tokens(self, call: Call) -> int:
        """Prompt tokens of `call`."""
        return len(self.prepare(call).ids)

    def open(
        self, prompts: Sequence[Prompt], capacity: Sequence[int]
    ) -> tuple[AnySession, torch.Tensor | None]:
        """A session for these rows, and the image features to fill their prompts with.

        `capacity` is the most tokens that each row will hold, its answer included.
        """
        return self._session(capacity), None

    def _session(self, capacity: Sequence[int], image_token_id: int | None = None) -> AnySession:
        if self._packed is not None:
            return PackedSession(self._packed, capacity, image_token_id)
        return Session(self.model, len(capacity), image_token_id)
