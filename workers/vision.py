"""The vision role: DeepSeek-VL (SigLIP tower and Llama decoder); knows no schema and no job.

The processor's slow image path is used, because it needs PIL and numpy only. It takes RGB
images that are upright already: it ignores EXIF and turns transparency black.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    DeepseekVLForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import (
    DeepseekVLImageProcessorPil,
)

from orchestra.clients.engine import Call
from orchestra.errors import CheckpointInvalid
from workers.checkpoint import RESTORE, load_tokenizer, load_weights
from workers.prompt import PromptWriter
from workers.session import AnySession
from workers.text import Prompt, TextModel

ARCHITECTURE = "DeepseekVLForConditionalGeneration"


class VisionModel(TextModel):
    """A DeepSeek-VL model; a call may have any number of images, or none."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        processor: DeepseekVLImageProcessorPil,
    ) -> None:
        super().__init__(model, tokenizer)
        config = cast(Any, model.config)
        self._processor = processor
        self._image_token_id: int = config.image_token_id
        side = config.vision_config.image_size // config.vision_config.patch_size
        self.image_tokens: int = side * side
        mark = tokenizer.convert_ids_to_tokens(self._image_token_id)
        self.writer = PromptWriter(tokenizer, image_block=str(mark) * self.image_tokens)

    @classmethod
    def load(cls, folder: Path, config: dict[str, Any]) -> VisionModel:
        """Load a checked folder. Raises CheckpointInvalid."""
        tokenizer = load_tokenizer(folder, config["text_config"]["vocab_size"])
        try:
            processor = DeepseekVLImageProcessorPil.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise CheckpointInvalid(
                f"The image processor in {str(folder)!r} cannot be read: {error}. {RESTORE}"
            ) from error
        model = load_weights(DeepseekVLForConditionalGeneration, folder)
        return cls(model, tokenizer, processor)

    def prepare(self, call: Call) -> Prompt:
        """Render and encode one call, and its images as pixels."""
        return Prompt(self.writer.encode(call), self._pixels(call))

    def count_tokens(self, call: Call) -> int:
        """Prompt tokens of `call`, each image's tokens included."""
        return len(self.writer.encode(call))

    def open(
        self, prompts: Sequence[Prompt], capacity: Sequence[int]
    ) -> tuple[AnySession, torch.Tensor | None]:
        """A session for these rows, and their image features (images, tokens, width)."""
        session = self._session(capacity, self._image_token_id)
        pixels = [prompt.pixels for prompt in prompts if prompt.pixels is not None]
        if not pixels:
            return session, None
        model = cast(DeepseekVLForConditionalGeneration, self.model)
        features: Any = model.model.get_image_features(torch.cat(pixels))
        return session, features.pooler_output

    def _pixels(self, call: Call) -> torch.Tensor | None:
        if not call.images:
            return None
        return self._processor(images=list(call.images), return_tensors="pt")["pixel_values"]
