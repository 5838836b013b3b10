"""Runs a finished answer through its model once more, so that it can be asked why; picks no method.

The replay is one pass over prompt and answer, in eager attention: the fast kernels give no weights.
It begins at a grid over the photo, whose cells stand for places, and can be differentiated there:
the finest map that the tower hands on, or else the image tokens.

Shapes: B copies of the answer, C choices, D width at a cell, R x K rows and columns of the grid,
H heads, S tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from workers.attention.choices import ChosenToken
from workers.decoding.completion import Completion
from workers.vision.lite import CELL, LiteTower
from workers.vision.model import VisionModel

Pixels = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class PhotoCells:
    """A photo on its way to the decoder: cells (B, D, R, K), and the image tokens made of them."""

    cells_BDRK: Tensor
    tokens_of: Callable[[Tensor], Tensor]


class CompletionReplay:
    """One answer of one photo, ready to be run again."""

    def __init__(
        self, vision: VisionModel, answer: Completion, choices: Sequence[ChosenToken]
    ) -> None:
        self._model = cast(Any, vision.model)
        self._image_token_id: int = self._model.config.image_token_id
        self._decoder: Any = self._model.get_decoder()
        self._head: Any = self._model.get_output_embeddings()
        self.choices = tuple(choices)
        device = self._model.device
        ids = [*answer.prompt.ids, *answer.thought, *answer.tokens]
        # What comes after the last choice decides nothing.
        ids = ids[: max(choice.at for choice in choices)]
        self._ids_S = torch.tensor(ids, device=device)
        self.image_places = (self._ids_S == self._image_token_id).nonzero()[:, 0]
        self.deciding = torch.tensor([choice.at - 1 for choice in choices], device=device)
        self._token_C = torch.tensor([choice.token for choice in choices], device=device)
        self._forbidden_CV = ~torch.stack([choice.allowed for choice in choices]).to(device)
        kind = self._model.dtype
        # Cloned, because what was made in inference mode cannot be differentiated.
        pixels = answer.prompt.pixels or {}
        self.pixels: Pixels = {
            name: torch.as_tensor(part).clone().to(device, kind) for name, part in pixels.items()
        }

    def see(self, pixels: Pixels) -> PhotoCells:
        """The cells of these pixels; a tower that hands on a finer map is opened there."""
        tower = getattr(self._model.model, "vision_model", None)
        if isinstance(tower, LiteTower) and tower.config.fine_stage < len(tower.stages) - 1:
            aligner = self._model.model.aligner
            cells = tower.trunk(pixels["pixel_values"])
            return PhotoCells(cells, lambda given: aligner(tower.top(given).last_hidden_state))
        return self.see_tokens(pixels)

    def see_tokens(self, pixels: Pixels) -> PhotoCells:
        """The image tokens of these pixels as cells."""
        tokens_BTD = self._model.model.get_image_features(**pixels).pooler_output
        side = round(tokens_BTD.shape[1] ** 0.5)
        cells = tokens_BTD.transpose(1, 2).unflatten(2, (side, side))
        return PhotoCells(cells, lambda given: given.flatten(2).transpose(1, 2))

    def run(self, tokens_BTD: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """How sure each choice is, as log-odds (B, C), and the attentions (B, H, S, S) by layer."""
        copies = len(tokens_BTD)
        embeds_SD = self._decoder.get_input_embeddings()(self._ids_S)
        embeds_BSD = embeds_SD.expand(copies, -1, -1).clone()
        embeds_BSD[:, self.image_places] = tokens_BTD.to(embeds_BSD.dtype)
        with _eager(self._decoder):
            output = self._decoder(
                inputs_embeds=embeds_BSD, use_cache=False, output_attentions=True
            )
        logits_BCV = self._head(output.last_hidden_state[:, self.deciding]).float()
        return self._log_odds(logits_BCV), output.attentions

    def _log_odds(self, logits_BCV: Tensor) -> Tensor:
        """Of the chosen token against the other allowed ones, (B, C).

        Unlike the log-probability it has a gradient for a model that is sure, too.
        """
        logits_BCV = logits_BCV.masked_fill(self._forbidden_CV, -torch.inf)
        index_BC1 = self._token_C[:, None].expand(len(logits_BCV), -1, 1)
        chosen_BC = logits_BCV.gather(-1, index_BC1)[..., 0]
        others_BC = logits_BCV.scatter(-1, index_BC1, -torch.inf).logsumexp(dim=-1)
        return chosen_BC - others_BC


def pooled(fine_CRK: Tensor) -> Tensor:
    """A finer grid summed into one cell for each `CELL` x `CELL` of it."""
    return F.avg_pool2d(fine_CRK[None], CELL)[0] * CELL * CELL


@contextmanager
def _eager(decoder: Any) -> Iterator[None]:
    usual = decoder.config._attn_implementation
    decoder.set_attn_implementation("eager")
    try:
        yield
    finally:
        decoder.set_attn_implementation(usual)
