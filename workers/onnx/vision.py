"""DeepSeek-VL on ONNX Runtime: photos through the tower's graph, prompts through the decoder's.

It gives what `workers.vision.model` gives with torch, and knows neither schema nor job.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from orchestra.core.call import Call
from orchestra.core.errors import CheckpointInvalid, UsageError
from workers.decoding.model import AnySession, Prompt, TextModel
from workers.decoding.prompt import PromptWriter
from workers.decoding.taught import Taught
from workers.loading.checkpoint import RESTORE
from workers.loading.plain_tokenizer import PlainTokenizer
from workers.onnx.decoder import OnnxDecoder
from workers.onnx.session import sessions_of
from workers.onnx.tower import Floats, OnnxTower
from workers.vision.domain import Domain
from workers.vision.photo_look import PhotoLook
from workers.vision.pixels import SquarePixels

ARCHITECTURE = "DeepseekVLForConditionalGeneration"
PIXELS = "pixel_values"


class OnnxVisionModel(TextModel):
    """A vision-language model; a call may have any number of images, or none."""

    def __init__(
        self,
        tokenizer: PlainTokenizer,
        decoder: OnnxDecoder,
        tower: OnnxTower,
        pixels: SquarePixels,
        image_token_id: int,
        domain: Domain | None = None,
    ) -> None:
        sizes = decoder.layout
        super().__init__(
            tokenizer,
            sessions_of(decoder),
            vocab_size=sizes.vocabulary,
            context_tokens=sizes.context,
        )
        self._tower, self._pixels, self._domain = tower, pixels, domain
        self._image_token_id = image_token_id
        mark = tokenizer.backend_tokenizer.id_to_token(image_token_id) or ""
        self.writer = PromptWriter(tokenizer, mark, mark * tower.tokens)

    @classmethod
    def load(cls, folder: Path, config: dict[str, Any], threads: int) -> OnnxVisionModel:
        """Load a checked folder, to run on `threads` threads. Raises CheckpointInvalid."""
        decoder = OnnxDecoder.load(folder, config, threads)
        tokenizer = PlainTokenizer(folder, decoder.layout.vocabulary)
        image = config.get("image_token_id")
        if not isinstance(image, int) or tokenizer.backend_tokenizer.id_to_token(image) is None:
            raise CheckpointInvalid(
                f"config.json in {str(folder)!r} has image_token_id {image!r}, which is no token "
                f"of tokenizer.json. {RESTORE}"
            )
        loaded = cls(
            tokenizer,
            decoder,
            OnnxTower.load(folder, threads),
            SquarePixels.load(folder),
            image,
            Domain.load(folder),
        )
        loaded.taught = Taught.load(folder)
        loaded.second_look = PhotoLook.load(folder, loaded.embedding)
        return loaded

    def embedding(self, photo: Image.Image) -> Floats:
        """What the tower makes of an upright RGB photo as a whole, (E,).

        Raises UsageError for a tower that is not our own.
        """
        _, embedding_BE = self._tower.look([self._pixels.of(photo)[None]])
        if embedding_BE is None:
            raise UsageError(
                "The checkpoint's tower gives no vector of a photo. Use mini's vl, or a checkpoint "
                "with a tower of workers/vision/lite.py."
            )
        return embedding_BE[0]

    def prepare(self, call: Call) -> Prompt:
        """Render and encode one call, and its images as pixels."""
        return Prompt(self.writer.encode(call), self._shown(call))

    def count_tokens(self, call: Call) -> int:
        """Prompt tokens of `call`, each image's tokens included."""
        return len(self.writer.encode(call))

    def open(
        self, prompts: Sequence[Prompt], capacity: Sequence[int]
    ) -> tuple[AnySession, Floats | None]:
        """A session for these rows, and their image features (images, tokens, width)."""
        session = self._open_session(capacity, self._image_token_id)
        shown = [prompt for prompt in prompts if prompt.pixels is not None]
        return session, self._look(shown) if shown else None

    def _look(self, prompts: Sequence[Prompt]) -> Floats:
        """Features of all images, in order; where each photo stands is noted in its prompt."""
        pixels = [(prompt.pixels or {})[PIXELS] for prompt in prompts]
        features, embedding_BE = self._tower.look(pixels)
        if self._domain is not None and embedding_BE is not None:
            found = iter(self._domain.standings(embedding_BE))
            seen = iter(embedding_BE)
            for prompt, part in zip(prompts, pixels, strict=True):
                prompt.standings.extend(islice(found, len(part)))
                prompt.seen.extend(islice(seen, len(part)))
        return features

    def _shown(self, call: Call) -> dict[str, Floats] | None:
        if not call.images:
            return None
        return {PIXELS: np.stack([self._pixels.of(photo) for photo in call.images])}
