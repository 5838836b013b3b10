"""The text role: any causal language model of transformers; knows no schema and no job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from orchestra.clients.engine import Call
from orchestra.errors import UsageError
from workers.checkpoint import load_weights
from workers.device import Place
from workers.domain import Standing
from workers.packed import PackedDecoder, PackedSession, is_packable
from workers.prompt import PromptWriter
from workers.session import AnySession, Session
from workers.tokenizer import load_tokenizer

ARCHITECTURES = frozenset(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
# Makes a session of rows that hold at most so many tokens each; the id marks image tokens.
OpenSession = Callable[[Sequence[int], int | None], AnySession]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids of one call, and its images as pixels, or None.

    `pixels` has one tensor (images, 3, height, width) for each resolution that the vision tower
    takes, by the name that transformers gives it. `standings` is filled when the images are looked
    at, by a model that knows its domain.
    """

    ids: list[int]
    pixels: dict[str, torch.Tensor] | None = None
    standings: list[Standing] = field(default_factory=list)


class TextModel:
    """A causal language model with its tokenizer and prompt format."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerFast,
        open_session: OpenSession,
        *,
        vocab_size: int,
        context_tokens: int,
    ) -> None:
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size
        self.context_tokens = context_tokens
        self.writer = PromptWriter(tokenizer)
        self._open_session = open_session

    @classmethod
    def load(cls, folder: Path, config: dict[str, Any], place: Place) -> TextModel:
        """Load a checked folder. Raises CheckpointInvalid."""
        tokenizer = load_tokenizer(folder, config["vocab_size"])
        model = load_weights(AutoModelForCausalLM, folder, place)
        return cls(tokenizer, sessions_of(model), **sizes(model))

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
        return self._open_session(capacity, None), None


def sizes(model: PreTrainedModel) -> dict[str, int]:
    """Vocabulary and context of a model, as `TextModel` takes them."""
    config: Any = model.config.get_text_config()
    return {"vocab_size": config.vocab_size, "context_tokens": config.max_position_embeddings}


def sessions_of(model: PreTrainedModel) -> OpenSession:
    """The fastest sessions that torch has for `model`."""
    decoder = model.get_decoder()
    if not is_packable(decoder):
        return lambda capacity, image_token_id: Session(model, len(capacity), image_token_id)
    packed = PackedDecoder(model, decoder)
    return lambda capacity, image_token_id: PackedSession(packed, capacity, image_token_id)
