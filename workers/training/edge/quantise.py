"""Int8 weights: how they are rounded, and training that feels the rounding.

A row of a matrix has one scale and values of -127 to 127. The embedding is the output head too, so
its rows are right for both: a row is a token either way. It knows no engine and no file.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

LARGEST = 127


def quantised(weight_OI: Tensor) -> tuple[Tensor, Tensor]:
    """Int8 values (O, I) and float32 scales (O, 1) with `values * scales` near `weight_OI`."""
    scale_O1 = weight_OI.abs().amax(dim=1, keepdim=True).clamp_min(1e-8) / LARGEST
    values_OI = (weight_OI / scale_O1).round().clamp(-LARGEST, LARGEST).to(torch.int8)
    return values_OI, scale_O1


class Rounded(nn.Module):
    """The weight as int8 would give it back; gradients pass as if nothing were rounded."""

    def forward(self, weight_OI: Tensor) -> Tensor:
        """`weight_OI` rounded row by row."""
        values_OI, scale_O1 = quantised(weight_OI.detach())
        return weight_OI + (values_OI * scale_O1 - weight_OI).detach()


def _matrices(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, (nn.Linear, nn.Embedding))]


def begin_rounding(model: Any) -> None:
    """Round each matrix of `model` at every use from now on; the tied head stays tied."""
    for module in _matrices(model):
        if module is model.lm_head:
            continue
        parametrize.register_parametrization(module, "weight", Rounded())
    # The head reads the rounded embedding, so that both see the same int8 rows.
    model.lm_head.forward = lambda x: nn.functional.linear(x, model.model.embed_tokens.weight)


def end_rounding(model: Any) -> None:
    """Leave plain weights that hold the rounded values."""
    for module in _matrices(model):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
    if "forward" in model.lm_head.__dict__:
        del model.lm_head.forward
    model.lm_head.weight = model.model.embed_tokens.weight
