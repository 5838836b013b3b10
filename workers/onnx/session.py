"""Runs one batch through an ONNX decoder: packs its tokens and keeps its cache; knows no schema.

The tokens that all rows append lie end to end, so that every matrix product does useful work
only; attention gets them a row a line. It gives what `workers.text.session.Session` gives.

Shapes: B rows, E rows that are fed, N packed tokens, S tokens of the longest block, C slots of
the cache, K key heads, D width of a head, W width of the model, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxruntime import OrtValue

from workers.decoding.model import OpenSession
from workers.decoding.sampling import Draws
from workers.onnx.decoder import OnnxDecoder
from workers.onnx.layout import BLOCK_TOKENS, cache_names
from workers.onnx.pick import pick


class OnnxSession:
    """The cache of one batch; see `AnySession` for what `extend` and `keep` promise."""

    block_tokens = BLOCK_TOKENS

    def __init__(
        self, decoder: OnnxDecoder, capacity: Sequence[int], image_token_id: int | None = None
    ) -> None:
        """`capacity` is the most tokens that each row will ever hold."""
        self._decoder = decoder
        self._image_token_id = image_token_id
        self._length_B = np.zeros(len(capacity), dtype=np.int32)
        layout = decoder.layout
        # A padded block has to fit even behind the longest row.
        slots = max(capacity) + self.block_tokens
        shape = (len(capacity), layout.key_heads, slots, layout.head_width)
        names = cache_names(layout.layers)
        self._caches = {name: np.empty(shape, dtype=np.float32) for name in names}
        self._binding = decoder.session.io_binding()
        self._bind_caches()

    def extend(
        self, blocks: Sequence[Sequence[int]], image_features: Any = None
    ) -> NDArray[np.float32]:
        """Append `blocks[row]` to each row; returns logits (B, V) after each last token."""
        fed_B = np.array([len(block) for block in blocks], dtype=np.int32)
        self._length_B = self._length_B + fed_B
        given = {
            "x": self._embed(blocks, image_features),
            **_places(fed_B),
            # A row that was cancelled before its prompt was read has no last position.
            "past": np.maximum(self._length_B - 1, 0),
            "fed": fed_B,
            "total": self._length_B.max(),
        }
        for name, value in given.items():
            self._binding.bind_cpu_input(name, np.asarray(value))
        logits_EV = np.empty((len(given["last"]), self._decoder.layout.vocabulary), np.float32)
        self._binding.bind_ortvalue_output("logits", OrtValue.ortvalue_from_numpy(logits_EV))
        self._bind_more(len(logits_EV))
        self._decoder.session.run_with_iobinding(self._binding)
        if len(logits_EV) == len(blocks):
            return logits_EV
        logits_BV = np.zeros((len(blocks), logits_EV.shape[1]), np.float32)
        logits_BV[fed_B > 0] = logits_EV
        return logits_BV

    def keep(self, rows: Sequence[int]) -> None:
        """Drop every row but `rows` from the batch, in that order."""
        kept = list(rows)
        self._caches = {name: cache[kept] for name, cache in self._caches.items()}
        self._length_B = self._length_B[kept]
        self._bind_caches()

    def pick(
        self, logits_BV: NDArray[np.float32], allowed_BV: NDArray[np.bool_], draws: Draws | None
    ) -> tuple[list[int], list[float]]:
        """Each row's next token, and its probability among the allowed ones at temperature 1."""
        return pick(logits_BV, allowed_BV, draws)

    def _bind_more(self, fed: int) -> None:
        """Bind what else a decoder takes and gives; `fed` rows are fed."""

    def _bind_caches(self) -> None:
        """Each cache is read and written in one place, so that a step copies none."""
        for name, cache in self._caches.items():
            value = OrtValue.ortvalue_from_numpy(cache)
            self._binding.bind_ortvalue_input(name, value)
            self._binding.bind_ortvalue_output(f"new.{name}", value)

    def _embed(self, blocks: Sequence[Sequence[int]], image_features: Any) -> NDArray[np.float32]:
        ids_N = np.fromiter(chain.from_iterable(blocks), dtype=np.int64)
        x_NW = self._decoder.table.rows(ids_N)
        if image_features is not None:
            x_NW[ids_N == self._image_token_id] = np.asarray(image_features).reshape(
                -1, x_NW.shape[1]
            )
        return x_NW


def _places(fed_B: NDArray[np.int32]) -> dict[str, NDArray[np.int64]]:
    """Where packed tokens stand in the rows' blocks, and back; see `DecoderGraph.forward`."""
    longest = int(fed_B.max())
    place_S = np.arange(longest)
    start_B = np.cumsum(fed_B, dtype=np.int64) - fed_B
    used_BS = place_S < fed_B[:, None]
    cell_BS = np.where(used_BS, start_B[:, None] + place_S, 0)
    fed_rows = np.flatnonzero(fed_B)
    last_place = fed_B[fed_rows].astype(np.int64) - 1
    return {
        "cell": cell_BS,
        "token": np.flatnonzero(used_BS),
        "last": start_B[fed_rows] + last_place,
        "last_cell": fed_rows * longest + last_place,
    }


def sessions_of(decoder: OnnxDecoder) -> OpenSession:
    """Sessions that `decoder` runs."""
    return lambda capacity, image_token_id: OnnxSession(decoder, capacity, image_token_id)
