"""The fused role (V3) on ONNX Runtime: one call answers from text, image or both.

It gives what `workers.fused.model` gives with torch: the tower is skipped where a call has no image
and where its text alone is judged to be enough, by a linear probe on the decoder's state after the
prompt.

Shapes: B rows, R rows that are looked at, E rows that are fed, T image tokens, W width, L looks,
I width of the cross-attention.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import OrtValue

from orchestra.core.call import Call
from workers.decoding.model import AnySession, Prompt, TextModel
from workers.decoding.taught import Taught
from workers.decoding.weighing import Shares
from workers.fused.prompt import NEEDED, PIXELS, deciding, has_text, pixels_of, prepared
from workers.loading.plain_tokenizer import PlainTokenizer
from workers.onnx.decoder import OnnxDecoder
from workers.onnx.session import OnnxSession
from workers.onnx.tower import Floats, OnnxTower
from workers.onnx.weights import read_named
from workers.vision.domain import Domain

ARCHITECTURE = "FusedForConditionalGeneration"
PROBE = ("need.weight", "need.bias")


class OnnxFusedSession(OnnxSession):
    """A session whose rows may look at an image; it adds up how much each of them does."""

    def __init__(
        self,
        decoder: OnnxDecoder,
        capacity: Sequence[int],
        seen: Floats | None = None,
        shown_B: Floats | None = None,
    ) -> None:
        """`seen` (B, T, L x 2 I) is what the rows look at, where `shown_B` is 1."""
        super().__init__(decoder, capacity)
        self._shares = Shares(len(capacity))
        self._looks = seen is not None
        if seen is None or shown_B is None:
            seen = np.zeros((len(capacity), 1, _width(decoder)), np.float32)
            shown_B = np.zeros(len(capacity), np.float32)
        self._seen, self._shown_B = seen, shown_B
        self.hidden_EW = np.empty((0, decoder.layout.width), np.float32)
        self._share_E = np.empty(0, np.float32)

    def extend(
        self, blocks: Sequence[Sequence[int]], image_features: Any = None
    ) -> NDArray[np.float32]:
        """Append `blocks[row]` to each row; returns logits (B, V) after each last token."""
        logits_BV = super().extend(blocks)
        if self._looks:
            fed = iter(self._share_E.tolist())
            self._shares.add(blocks, [next(fed) if block else 0.0 for block in blocks])
        return logits_BV

    def keep(self, rows: Sequence[int]) -> None:
        """Drop every row but `rows` from the batch, in that order."""
        self._shares.keep(rows)
        self._seen, self._shown_B = self._seen[list(rows)], self._shown_B[list(rows)]
        super().keep(rows)

    def weights(self) -> list[dict[str, float]]:
        """The part of each modality in each row's answer; see `workers.decoding.weighing`."""
        return self._shares.weights()

    def _bind_more(self, fed: int) -> None:
        self._binding.bind_cpu_input("seen", self._seen)
        self._binding.bind_cpu_input("shown", self._shown_B)
        self.hidden_EW = np.empty((fed, self._decoder.layout.width), np.float32)
        self._share_E = np.empty(fed, np.float32)
        for name, value in (("hidden", self.hidden_EW), ("share", self._share_E)):
            self._binding.bind_ortvalue_output(name, OrtValue.ortvalue_from_numpy(value))


class OnnxFusedModel(TextModel):
    """The fused model with its tokenizer; a call may have one image, or none."""

    def __init__(
        self,
        tokenizer: PlainTokenizer,
        decoder: OnnxDecoder,
        tower: OnnxTower,
        probe: Sequence[Floats],
        domain: Domain | None = None,
    ) -> None:
        """`probe` is the weight (1, W) and bias (1,) of what tells whether a photo is needed."""

        def plain(capacity: Sequence[int], _: int | None) -> AnySession:
            return OnnxFusedSession(decoder, capacity)

        sizes = decoder.layout
        super().__init__(
            tokenizer, plain, vocab_size=sizes.vocabulary, context_tokens=sizes.context
        )
        self._decoder, self._tower, self._domain = decoder, tower, domain
        self._need_W, self._bias = probe[0][0], float(probe[1][0])
        self.looked = 0  # images that the tower was run for

    @classmethod
    def load(cls, folder: Path, config: dict[str, Any], threads: int) -> OnnxFusedModel:
        """Load a checked folder, to run on `threads` threads. Raises CheckpointInvalid."""
        decoder = OnnxDecoder.load(folder, config, threads)
        loaded = cls(
            PlainTokenizer(folder, decoder.layout.vocabulary),
            decoder,
            OnnxTower.load(folder, threads),
            list(read_named(folder, PROBE).values()),
            Domain.load(folder),
        )
        loaded.taught = Taught.load(folder)
        return loaded

    def prepare(self, call: Call) -> Prompt:
        """Render and encode one call, and its image as pixels. Raises UsageError for more."""
        return prepared(call, self.writer, partial(pixels_of, side=self._tower.side))

    def count_tokens(self, call: Call) -> int:
        """Prompt tokens of `call`; an image has none, since it stands beside the text."""
        return len(self.writer.encode(call))

    def open(self, prompts: Sequence[Prompt], capacity: Sequence[int]) -> tuple[AnySession, None]:
        """A session for these rows; the images that are worth it are looked at first."""
        rows = [row for row, prompt in enumerate(prompts) if self._is_looked_at(prompt)]
        if not rows:
            return OnnxFusedSession(self._decoder, capacity), None
        self.looked += len(rows)
        pixels = [(prompts[row].pixels or {})[PIXELS] for row in rows]
        looks_R, embedding_RE = self._tower.look(pixels)
        seen = np.zeros((len(prompts), *looks_R.shape[1:]), np.float32)
        seen[rows] = looks_R
        standings = None
        if self._domain is not None and embedding_RE is not None:
            standings = self._domain.standings(embedding_RE)
        shown_B = np.zeros(len(prompts), np.float32)
        shown_B[deciding(prompts, rows, standings)] = 1.0
        return OnnxFusedSession(self._decoder, capacity, seen, shown_B), None

    def _is_looked_at(self, prompt: Prompt) -> bool:
        """Whether the row has an image, and its text alone does not seem to be enough."""
        if prompt.pixels is None:
            return False
        if not has_text(prompt):
            return True
        session = OnnxFusedSession(self._decoder, [len(prompt.ids)])
        session.extend([prompt.ids])
        score = float(session.hidden_EW[0] @ self._need_W) + self._bias
        return 1 / (1 + np.exp(-score)) >= NEEDED


def _width(decoder: OnnxDecoder) -> int:
    """Of what a fused decoder looks at."""
    cross = decoder.layout.cross
    return 0 if cross is None else 2 * cross.width * len(cross.layers)
