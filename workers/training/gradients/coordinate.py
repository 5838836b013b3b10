"""Gradients of several losses joined into one step; knows no model.

With coordination, a gradient that conflicts with another (negative product) loses the part that
does, as in PCGrad (Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def set_gradients(
    losses: Sequence[Tensor], parameters: Sequence[nn.Parameter], coordinate: bool
) -> bool:
    """Give `parameters` the gradient of the losses' sum; returns whether two of them conflicted."""
    flat = [_flat(loss, parameters) for loss in losses]
    conflicts = any(a @ b < 0 for at, a in enumerate(flat) for b in flat[:at])
    joined = torch.stack(project(flat) if coordinate else flat).sum(dim=0)
    at = 0
    for parameter in parameters:
        parameter.grad = joined[at : at + parameter.numel()].view_as(parameter).clone()
        at += parameter.numel()
    return bool(conflicts)


def project(gradients: Sequence[Tensor]) -> list[Tensor]:
    """Each gradient without the parts that point against the others'."""
    projected = []
    for at, gradient in enumerate(gradients):
        kept = gradient.clone()
        for other_at, other in enumerate(gradients):
            product = kept @ other
            if other_at != at and product < 0:
                kept -= product / other.square().sum().clamp_min(1e-12) * other
        projected.append(kept)
    return projected


def _flat(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    found = torch.autograd.grad(loss, list(parameters), retain_graph=True, allow_unused=True)
    parts = [
        torch.zeros_like(parameter) if gradient is None else gradient
        for gradient, parameter in zip(found, parameters, strict=True)
    ]
    return torch.cat([part.flatten() for part in parts])
