"""Runs one left-padded batch through any transformers model with a key-value cache.

A session is told which tokens each row appends and gives the logits after each row's last
one. Rows may append different numbers of tokens: shorter ones are padded on the left of
the block, and the holes this leaves in the cache are masked. It knows no schema and no text.

Shapes: B rows, T tokens of the longest row's block, L cached positions, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from workers.decoding.sampling import Draws
from workers.text.pick import pick


class PaddedSession:
    """The cache of one batch. `image_token_id` marks places that image features fill."""

    # A long forced run is fed in blocks, so that it does not pad every other row.
    block_tokens = 8

    def __init__(self, model: PreTrainedModel, rows: int, image_token_id: int | None = None):
        self._model = model
        self._image_token_id = image_token_id
        self._cache = DynamicCache(config=model.config.get_text_config())
        self._device = model.device
        self._seen_BL = torch.zeros(rows, 0, dtype=torch.long, device=self._device)
        self._length_B = torch.zeros(rows, dtype=torch.long, device=self._device)

    def extend(
        self, blocks: Sequence[Sequence[int]], image_features: Tensor | None = None
    ) -> Tensor:
        """Append `blocks[row]` to each row; returns logits (B, V) after each last token."""
        longest = max(map(len, blocks))
        # Filled on the CPU and sent at once: a row at a time would wait for a GPU each time.
        ids_BT = torch.zeros(len(blocks), longest, dtype=torch.long)
        new_BT = torch.zeros_like(ids_BT)
        for row, block in enumerate(blocks):
            if block:
                ids_BT[row, -len(block) :] = torch.tensor(block)
                new_BT[row, -len(block) :] = 1
        ids_BT, new_BT = ids_BT.to(self._device), new_BT.to(self._device)
        position_BT = (self._length_B[:, None] + new_BT.cumsum(1) - 1).clamp_min_(0)
        self._seen_BL = torch.cat([self._seen_BL, new_BT], dim=1)
        self._length_B += new_BT.sum(1)
        output = self._model(
            inputs_embeds=self._embed(ids_BT, image_features),
            attention_mask=self._seen_BL,
            position_ids=position_BT,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
            **self._extras(),
        )
        return output.logits[:, -1].float()

    def keep(self, rows: Sequence[int]) -> None:
        """Drop every row but `rows` from the batch, in that order."""
        index = torch.tensor(rows, dtype=torch.long, device=self._device)
        self._cache.batch_select_indices(index)
        self._seen_BL = self._seen_BL[index]
        self._length_B = self._length_B[index]

    def pick(
        self, logits_BV: Tensor, allowed_BV: NDArray[np.bool_], draws: Draws | None
    ) -> tuple[list[int], list[float]]:
        """Each row's next token, and its probability among the allowed ones at temperature 1."""
        return pick(logits_BV, allowed_BV, draws)

    def _extras(self) -> dict[str, Any]:
        """What else the model is given at each step."""
        return {}

    def _embed(self, ids_BT: Tensor, image_features: Tensor | None) -> Tensor:
        embeds = self._model.get_input_embeddings()(ids_BT)
        if image_features is not None:
            embeds[ids_BT == self._image_token_id] = image_features.flatten(0, 1).to(embeds.dtype)
        return embeds
