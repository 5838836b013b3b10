"""A decoder's graph as modules of torch, to be exported by `graph.py`; they cannot be run.

Attention is onnxruntime's GroupQueryAttention: it turns queries and keys by their positions, writes
keys and values into the cache in place, and takes rows of any lengths.

Shapes: N packed tokens, E rows that are fed, B rows, S tokens of the longest block, C slots of
the cache, H heads, K key heads, D width of a head, W width of the model, V vocabulary.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from torch.onnx import ops

from workers.onnx.layout import INT8_BLOCK, Layout

INPUTS = ("x", "cell", "token", "last", "last_cell", "past", "fed", "total")
MICROSOFT = "com.microsoft::"


class Matrix(nn.Module):
    """A product in float32; its weight lies as (in, out), so that nothing is transposed."""

    def __init__(self, inputs: int, outputs: int, *, has_bias: bool = False) -> None:
        super().__init__()
        self.weight = _weight(inputs, outputs)
        self.bias = _weight(outputs) if has_bias else None

    def forward(self, x_NI: Tensor) -> Tensor:
        """The product (N, outputs)."""
        if self.bias is None:
            return x_NI @ self.weight
        return torch.addmm(self.bias, x_NI, self.weight)


class Int8Matrix(nn.Module):
    """A product with 8-bit weights; onnxruntime rounds its inputs to 8 bits a block, too.

    A block's scale depends on its own values only, so that a row is the same in any batch.
    """

    def __init__(self, inputs: int, outputs: int, *, has_bias: bool = False) -> None:
        super().__init__()
        blocks = inputs // INT8_BLOCK
        values = torch.randint(256, (outputs, blocks, INT8_BLOCK), dtype=torch.uint8)
        self.values = nn.Parameter(values, requires_grad=False)
        self.scales = _weight(outputs, blocks)
        self.bias = _weight(outputs) if has_bias else None
        self._sizes = {"K": inputs, "N": outputs, "bits": 8, "block_size": INT8_BLOCK}

    def forward(self, x_NI: Tensor) -> Tensor:
        """The product (N, outputs)."""
        y_NO = ops.symbolic(
            f"{MICROSOFT}MatMulNBits",
            [x_NI, self.values, self.scales],
            {**self._sizes, "accuracy_level": 4},
            dtype=x_NI.dtype,
            shape=(x_NI.shape[0], self._sizes["N"]),
            version=1,
        )
        return y_NO if self.bias is None else y_NO + self.bias


class Layer(nn.Module):
    """The weights of one layer."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        width, inner = layout.width, layout.inner
        joined = (layout.heads + 2 * layout.key_heads) * layout.head_width
        product = Int8Matrix if layout.is_int8 else Matrix
        self.before_attention = _weight(width)
        self.qkv = product(width, joined, has_bias=layout.has_bias)
        self.out = product(layout.heads * layout.head_width, width)
        self.before_mlp = _weight(width)
        self.gate, self.up = product(width, inner), product(width, inner)
        self.down = product(inner, width)

    def mlp(self, x_NW: Tensor) -> Tensor:
        """The gated product: QuickGelu with alpha 1 is SiLU."""
        gate = self.gate(x_NW)
        gate = ops.symbolic(
            f"{MICROSOFT}QuickGelu", [gate], {"alpha": 1.0}, dtype=gate.dtype, shape=gate.shape
        )
        return self.down(gate * self.up(x_NW))


class DecoderGraph(nn.Module):
    """The graph as a module, to be exported; it cannot be run in torch."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.layers = nn.ModuleList(Layer(layout) for _ in range(layout.layers))
        self.norm = _weight(layout.width)
        product = Int8Matrix if layout.is_int8 else Matrix
        self.head = product(layout.width, layout.vocabulary)
        self.cos, self.sin = (_weight(layout.positions, layout.head_width // 2) for _ in range(2))

    def forward(
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
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits (E, V) after each row's last token, and the caches with the tokens written.

        Embedded tokens `x` (N, W) are packed. `cell` (B, S) says which of them stands where in
        its row's block, padded on the right; `token` (N,) is the way back from the flattened
        cells. `last` and `last_cell` (E,) are each row's last token, packed and as a cell. `fed`
        (B,) is the length of each block, `past` (B,) the row's last position after it, and
        `total` the longest row's length. `caches` are (B, K, C, D).
        """
        first = cast(Layer, self.layers[0])
        normed, written = self._norm(x, first.before_attention), []
        width = self.layout.heads * self.layout.head_width
        for at, layer in enumerate(cast(list[Layer], self.layers)):
            qkv = embedding(cell, layer.qkv(normed))
            key, value = caches[2 * at : 2 * at + 2]
            attended, key, value = self._attend(qkv, key, value, past, total, fed)
            written += [key, value]
            following: Any = self.norm
            if at + 1 < len(self.layers):
                attended = embedding(token, attended.reshape(-1, width))
                following = self.layers[at + 1].before_attention
            else:  # of the last layer only each row's last token is needed
                attended, x = embedding(last_cell, attended.reshape(-1, width)), embedding(last, x)
            normed, x = self._add_norm(x, layer.out(attended), layer.before_mlp)
            normed, x = self._add_norm(x, layer.mlp(normed), following)
        return self.head(normed), written

    def _attend(
        self, qkv: Tensor, key: Tensor, value: Tensor, past: Tensor, total: Tensor, fed: Tensor
    ) -> Any:
        layout = self.layout
        given = [qkv, None, None, key, value, past, total, self.cos, self.sin, *[None] * 7, fed]
        heads: dict[str, Any] = {
            "num_heads": layout.heads,
            "kv_num_heads": layout.key_heads,
            "do_rotary": 1,
        }
        out = (*qkv.shape[:2], layout.heads * layout.head_width)
        return ops.symbolic_multi_out(
            f"{MICROSOFT}GroupQueryAttention",
            given,
            heads,
            dtypes=[qkv.dtype] * 3,
            shapes=[out, key.shape, value.shape],
            version=1,
        )

    def _norm(self, x: Tensor, weight: Tensor) -> Tensor:
        settings = {"epsilon": self.layout.epsilon, "axis": -1}
        return ops.symbolic(
            "SimplifiedLayerNormalization", [x, weight], settings, dtype=x.dtype, shape=x.shape
        )

    def _add_norm(self, x: Tensor, added: Tensor, weight: Any) -> tuple[Tensor, Tensor]:
        """The RMS norm of `x + added`, and that sum."""
        normed, _, _, total = ops.symbolic_multi_out(
            f"{MICROSOFT}SkipSimplifiedLayerNormalization",
            [x, added, weight],
            {"epsilon": self.layout.epsilon},
            dtypes=[x.dtype] * 4,
            shapes=[x.shape, (x.shape[0], 1), (x.shape[0], 1), x.shape],
        )
        return normed, total


def _weight(*shape: int) -> nn.Parameter:
    """Room for a weight. It is never zeros: the exporter makes equal tensors one."""
    return nn.Parameter(torch.rand(shape), requires_grad=False)
