"""The vision role: DeepSeek-VL, its hybrid, and Janus; knows no schema and no job.

All three put a tower's features where image tokens stand in a Llama decoder. Janus can also
draw images; here it only looks at them. The processors' PIL path is used, because it needs PIL
and numpy only. It takes RGB images that are upright already: it ignores EXIF and turns
transparency black.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from transformers import (
    DeepseekVLForConditionalGeneration,
    DeepseekVLHybridForConditionalGeneration,
    JanusForConditionalGeneration,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import (
    DeepseekVLImageProcessorPil,
)
from transformers.models.deepseek_vl_hybrid.image_processing_pil_deepseek_vl_hybrid import (
    DeepseekVLHybridImageProcessorPil,
)
from transformers.models.janus.image_processing_pil_janus import JanusImageProcessorPil
from transformers.models.janus.processing_janus import DEFAULT_SYSTEM_PROMPT

from orchestra.core.call import Call
from orchestra.core.errors import CheckpointInvalid
from workers.decoding.model import AnySession, OpenSession, Prompt, TextModel
from workers.decoding.prompt import PromptWriter
from workers.decoding.taught import Taught
from workers.loading.checkpoint import RESTORE
from workers.loading.device import Placement
from workers.loading.pretrained import load_weights
from workers.loading.tokenizer import load_tokenizer
from workers.text.model import sessions_of, sizes
from workers.vision.domain import Domain
from workers.vision.lite import LiteTower
from workers.vision.photo_look import PhotoLook

OWN_TOWERS = (LiteTower,)  # a config may name one: its module registers it
# Eight images of 384 px, one of 1024 px: more at once take memory and gain little.
PIXELS_AT_ONCE = 8 * 384 * 384


@dataclass(frozen=True, slots=True)
class Family:
    """Classes of one vision-language family, and the tokens it puts around an image."""

    model: Any
    processor: Any
    around: tuple[str, str] = ("", "")


FAMILIES = {
    "DeepseekVLForConditionalGeneration": Family(
        DeepseekVLForConditionalGeneration, DeepseekVLImageProcessorPil
    ),
    "DeepseekVLHybridForConditionalGeneration": Family(
        DeepseekVLHybridForConditionalGeneration, DeepseekVLHybridImageProcessorPil
    ),
    "JanusForConditionalGeneration": Family(
        JanusForConditionalGeneration,
        JanusImageProcessorPil,
        around=("<begin_of_image>", "<end_of_image>"),
    ),
}


class VisionModel(TextModel):
    """A vision-language model; a call may have any number of images, or none."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        processor: Any,
        *,
        open_session: OpenSession | None = None,
        around: tuple[str, str] = ("", ""),
        preamble: str = "",
        domain: Domain | None = None,
    ) -> None:
        super().__init__(tokenizer, open_session or sessions_of(model), **sizes(model))
        self.model = model
        config = cast(Any, model.config)
        self._processor = processor
        self._domain = domain
        self._image_token_id: int = config.image_token_id
        side = config.vision_config.image_size // config.vision_config.patch_size
        self.image_tokens: int = side * side
        mark = str(tokenizer.convert_ids_to_tokens(self._image_token_id))
        block = around[0] + mark * self.image_tokens + around[1]
        self.writer = PromptWriter(tokenizer, mark, block, preamble)

    @classmethod
    def load(
        cls,
        folder: Path,
        config: dict[str, Any],
        place: Placement,
        open_session: OpenSession | None = None,
    ) -> VisionModel:
        """Load a checked folder; `open_session` may run its decoder otherwise than torch.

        Raises CheckpointInvalid.
        """
        family = FAMILIES[config["architectures"][0]]
        tokenizer = load_tokenizer(folder, config["text_config"]["vocab_size"])
        _require_tokens(tokenizer, family, folder)
        try:
            processor = family.processor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise CheckpointInvalid(
                f"The image processor in {str(folder)!r} cannot be read: {error}. {RESTORE}"
            ) from error
        domain, taught = Domain.load(folder), Taught.load(folder)
        model = load_weights(family.model, folder, place)
        loaded = cls(
            model,
            tokenizer,
            processor,
            open_session=open_session,
            around=family.around,
            preamble=_preamble(folder),
            domain=domain,
        )
        loaded.taught = taught
        loaded.second_look = PhotoLook.load(folder, loaded.embedding)
        return loaded

    def embedding(self, photo: Image.Image) -> NDArray[np.float32]:
        """What our own tower makes of an upright RGB photo as a whole, (E,)."""
        given = self._processor(images=[photo], return_tensors="pt")["pixel_values"]
        model = cast(Any, self.model)
        seen = model.model.vision_model(given.to(model.device, model.dtype))
        return seen.pooler_output[0].float().cpu().numpy()

    def prepare(self, call: Call) -> Prompt:
        """Render and encode one call, and its images as pixels."""
        return Prompt(self.writer.encode(call), self._pixels(call))

    def count_tokens(self, call: Call) -> int:
        """Prompt tokens of `call`, each image's tokens included."""
        return len(self.writer.encode(call))

    def covers(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """The square that the tower sees of a photo of `size`, as fractions of the photo.

        (left, top, right, bottom); beyond 0 and 1 where the processor pads, as it centres a photo.
        """
        side, least = self._processor.size["height"], self._processor.min_size
        edges = []
        for length in size:
            shown = max(round(length * side / max(size)), least)
            before = (side - shown) // 2
            edges.append((-before / shown, (side - before) / shown))
        (left, right), (top, bottom) = edges
        return left, top, right, bottom

    def open(
        self, prompts: Sequence[Prompt], capacity: Sequence[int]
    ) -> tuple[AnySession, torch.Tensor | None]:
        """A session for these rows, and their image features (images, tokens, width)."""
        session = self._open_session(capacity, self._image_token_id)
        shown = [prompt for prompt in prompts if prompt.pixels is not None]
        return session, self._look(shown) if shown else None

    def _look(self, prompts: Sequence[Prompt]) -> torch.Tensor:
        """Features of all images, in order, looked at a few at a time."""
        pixels = [prompt.pixels or {} for prompt in prompts]
        joined = {name: torch.cat([part[name] for part in pixels]) for name in pixels[0]}
        largest = max(tensor[0, 0].numel() for tensor in joined.values())
        at_once = max(1, PIXELS_AT_ONCE // largest)
        pieces = {name: tensor.split(at_once) for name, tensor in joined.items()}
        model = cast(Any, self.model)
        features, embeddings = [], []
        for part in zip(*pieces.values(), strict=True):
            given = {
                name: tensor.to(model.device, model.dtype)
                for name, tensor in zip(pieces, part, strict=True)
            }
            if self._domain is None:
                features.append(model.model.get_image_features(**given).pooler_output)
                continue
            seen = model.model.vision_model(given["pixel_values"])
            embeddings.append(seen.pooler_output)
            features.append(model.model.aligner(seen.last_hidden_state))
        if self._domain is not None:
            embedding_BE = torch.cat(embeddings).float().cpu().numpy()
            found, seen = iter(self._domain.standings(embedding_BE)), iter(embedding_BE)
            for prompt, part in zip(prompts, pixels, strict=True):
                prompt.standings.extend(islice(found, len(part["pixel_values"])))
                prompt.seen.extend(islice(seen, len(part["pixel_values"])))
        return torch.cat(features)

    def _pixels(self, call: Call) -> dict[str, torch.Tensor] | None:
        if not call.images:
            return None
        return dict(self._processor(images=list(call.images), return_tensors="pt"))


def _require_tokens(tokenizer: PreTrainedTokenizerFast, family: Family, folder: Path) -> None:
    known = tokenizer.get_vocab()
    for token in filter(None, family.around):
        if token not in known:
            raise CheckpointInvalid(
                f"The tokenizer in {str(folder)!r} has no token {token!r}, which "
                f"{family.model.__name__} puts around an image. {RESTORE}"
            )


def _preamble(folder: Path) -> str:
    """What the checkpoint's processor writes before a conversation (Janus-Pro: a system prompt)."""
    path = folder / "processor_config.json"
    if not path.is_file():
        return ""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointInvalid(f"{str(path)!r} is not JSON: {error}. {RESTORE}") from error
    return DEFAULT_SYSTEM_PROMPT if settings.get("use_default_system_prompt") else ""
