"""The ONNX graph of a fused decoder: it looks at a photo before some of its layers.

Beside what every decoder takes it has `seen`, the keys and values of the photos (see
`tower_graph.py`), and `shown`, which says which rows have one; beside the logits it gives the state
that they were made of, and what the photo weighed.

Shapes: as in `decoder_graph.py`; T image tokens, I width of the cross-attention, L looks.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from workers.onnx.decoder_graph import DecoderGraph, Layer, Matrix
from workers.onnx.layout import Cross, Layout

SEEN = ("seen", "shown")
TOLD = ("hidden", "share")


class GatedLook(nn.Module):
    """Cross-attention of one layer, whose gate (its tanh) decides how much is taken over."""

    def __init__(self, width: int, cross: Cross) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        nn.init.uniform_(self.norm.weight)
        nn.init.uniform_(self.norm.bias)
        self.query = Matrix(width, cross.width)
        self.out = Matrix(cross.width, width)
        self.gate = nn.Parameter(torch.rand(1), requires_grad=False)
        self.heads = cross.heads

    def forward(
        self, x_NW: Tensor, cell_BS: Tensor, token_N: Tensor, seen: Tensor, shown_B: Tensor
    ) -> Tensor:
        """What is added to `x_NW`; `seen` (B, T, 2 I) are this layer's keys and values."""
        query_BSI = embedding(cell_BS, self.query(self.norm(x_NW)))
        joined = (query_BSI, *seen.chunk(2, dim=-1))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in joined)
        weights = (q @ k.transpose(2, 3) * q.shape[-1] ** -0.5).softmax(dim=-1)
        looked_BSI = (weights @ v).transpose(1, 2).flatten(2) * shown_B[:, None, None]
        width = looked_BSI.shape[-1]
        return self.gate * self.out(embedding(token_N, looked_BSI.reshape(-1, width)))


class FusedDecoderGraph(DecoderGraph):
    """The graph as a module, to be exported; it cannot be run in torch."""

    def __init__(self, layout: Layout, cross: Cross) -> None:
        super().__init__(layout)
        self.cross = cross
        for at in cross.layers:
            self.layers[at].cross = GatedLook(layout.width, cross)

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        x: Tensor,
        cell: Tensor,
        token: Tensor,
        last: Tensor,
        last_cell: Tensor,
        past: Tensor,
        fed: Tensor,
        total: Tensor,
        caches: list[Tensor],
        seen: Tensor,
        shown: Tensor,
    ) -> tuple[Tensor, list[Tensor], Tensor, Tensor]:
        """Logits (E, V), the caches, the normed state (E, W), and the photo's part (E,).

        `seen` is (B, T, L x 2 I) and `shown` (B,); the rest is as `DecoderGraph.forward` says.
        """
        layers, written, shares = cast(list[Layer], self.layers), [], []
        width = self.layout.heads * self.layout.head_width
        parts = iter(seen.chunk(len(self.cross.layers), dim=-1))
        for at, layer in enumerate(layers):
            looked: Any = None
            if at in self.cross.layers:
                looked = cast(Any, layer).cross(x, cell, token, next(parts), shown)
                normed, x = self._add_norm(x, looked, layer.before_attention)
            else:
                normed = self._norm(x, layer.before_attention)
            begun = x
            qkv = embedding(cell, layer.qkv(normed))
            attended, key, value = self._attend(qkv, *caches[2 * at : 2 * at + 2], past, total, fed)
            written += [key, value]
            is_last = at + 1 == len(layers)
            if is_last:
                x = embedding(last, x)
            attended = embedding(last_cell if is_last else token, attended.reshape(-1, width))
            normed, x = self._add_norm(x, layer.out(attended), layer.before_mlp)
            x = x + layer.mlp(normed)
            if looked is not None:
                ended = x if is_last else embedding(last, x)
                shares.append(_share(embedding(last, looked), ended - embedding(last, begun)))
        normed = self._norm(x, self.norm)
        return self.head(normed), written, normed, torch.stack(shares).mean(dim=0)


def _share(looked_EW: Tensor, worded_EW: Tensor) -> Tensor:
    """The photo's part (E,) of what moved each row's last token."""
    image_E, text_E = looked_EW.norm(dim=-1), worded_EW.norm(dim=-1)
    return image_E / (image_E + text_E).clamp_min(1e-6)


def example(cross: Cross) -> tuple[Tensor, Tensor]:
    """Two rows' photos of five tokens, one of them shown."""
    return torch.randn(2, 5, 2 * cross.width * len(cross.layers)), torch.rand(2)
