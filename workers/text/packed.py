"""Runs Llama and Qwen2 decoders without padding: the fast path of the text and vision roles.

The tokens that all rows append are packed into one line, so that every matrix product does
useful work only; attention alone looks at rows. A token's slot in the cache is its position,
hence there is no padding to mask. It gives what `PaddedSession` gives, and knows no schema.

Shapes: B rows, N packed tokens, S tokens of the longest block, L slots in use, C slots in
all, H heads, D width of a head, W width of the model, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from transformers import LlamaModel, PreTrainedModel, Qwen2Model
from transformers.models.llama.modeling_llama import rotate_half

from workers.decoding.sampling import Draws
from workers.text.pick import pick

FAMILIES = (LlamaModel, Qwen2Model)


def is_packable(decoder: nn.Module) -> bool:
    """Whether `decoder` is of a family and configuration that `PackedDecoder` runs."""
    if type(decoder) not in FAMILIES:
        return False
    config: Any = decoder.config
    slides = "sliding_attention" in (getattr(config, "layer_types", None) or ())
    return config.hidden_act == "silu" and not slides


@dataclass(frozen=True, slots=True)
class Places:
    """Where packed tokens belong: row, position and place in the block of each, (N,)."""

    row_N: Tensor
    position_N: Tensor
    place_N: Tensor
    rows: int
    blocks: int
    slots: int

    def pick(self, index: Tensor) -> Places:
        """The places of one token a row, those at `index`."""
        place = torch.zeros_like(index)
        return Places(self.row_N[index], self.position_N[index], place, self.rows, 1, self.slots)

    def mask(self) -> Tensor:
        """Which slots each token may look at, (B, 1, S, L); unused places see slot 0."""
        device = self.row_N.device
        position_BS = torch.zeros(self.rows, self.blocks, dtype=torch.long, device=device)
        position_BS[self.row_N, self.place_N] = self.position_N
        return torch.arange(self.slots, device=device) <= position_BS[:, None, :, None]


class PackedLayer:
    """One decoder layer with its query, key, value and its gate, up products joined."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.head_width: int = attention.head_dim
        self.key_heads = attention.k_proj.out_features // self.head_width
        self.heads = attention.q_proj.out_features // self.head_width
        self._scale: float = attention.scaling
        self._qkv = _join(attention.q_proj, attention.k_proj, attention.v_proj)
        self._out = attention.o_proj
        self._gate_up = _join(mlp.gate_proj, mlp.up_proj)
        self._down = mlp.down_proj
        self._norms = (layer.input_layernorm, layer.post_attention_layernorm)

    def project(self, x_NW: Tensor, rotary: tuple[Tensor, Tensor]) -> tuple[Tensor, ...]:
        """Rotated queries (N, H, D), rotated keys and values of `x_NW`."""
        joined = functional.linear(_norm(x_NW, self._norms[0]), *self._qkv)
        joined = joined.view(len(x_NW), -1, self.head_width)
        turned = joined[:, : self.heads + self.key_heads]
        turned = turned * rotary[0] + rotate_half(turned) * rotary[1]
        return turned[:, : self.heads], turned[:, self.heads :], joined[:, -self.key_heads :]

    def attend(self, q_NHD: Tensor, cache: Tensor, places: Places, mask: Tensor) -> Tensor:
        """Attention of packed queries over the cached slots of their rows, (N, H * D)."""
        q_BSHD = q_NHD.new_zeros(places.rows, places.blocks, *q_NHD.shape[1:])
        q_BSHD[places.row_N, places.place_N] = q_NHD
        k_BHLD, v_BHLD = cache[:, :, :, : places.slots]
        out_BHSD = self._attention(q_BSHD.transpose(1, 2), k_BHLD, v_BHLD, attn_mask=mask)
        return out_BHSD.transpose(1, 2)[places.row_N, places.place_N].flatten(1)

    def attend_fresh(
        self, q_NHD: Tensor, k_NHD: Tensor, v_NHD: Tensor, lengths: Sequence[int]
    ) -> Tensor:
        """Attention where nothing is cached yet: each row looks at its own tokens only."""
        split = [part.split(list(lengths)) for part in (q_NHD, k_NHD, v_NHD)]
        rows = [
            self._attention(*(part.transpose(0, 1)[None] for part in row), is_causal=True)
            for row in zip(*split, strict=True)
        ]
        return torch.cat([row[0].transpose(0, 1).flatten(1) for row in rows])

    def finish(self, x_NW: Tensor, attended_NW: Tensor) -> Tensor:
        """The layer's output from its input and its attention."""
        x_NW = x_NW + self._out(attended_NW)
        joined = functional.linear(_norm(x_NW, self._norms[1]), *self._gate_up)
        gate, up = joined.chunk(2, dim=-1)
        return x_NW + self._down(functional.silu(gate) * up)

    def _attention(self, q: Tensor, k: Tensor, v: Tensor, **masking: Any) -> Tensor:
        shared = self.heads != self.key_heads
        return functional.scaled_dot_product_attention(
            q, k, v, scale=self._scale, enable_gqa=shared, **masking
        )


class PackedDecoder:
    """The decoder of `model` and its head; made once, it shares the model's weights."""

    def __init__(self, model: PreTrainedModel, decoder: Any) -> None:
        self.layers = [PackedLayer(layer) for layer in decoder.layers]
        self.embed: nn.Module = decoder.embed_tokens
        self.head: Any = model.get_output_embeddings()
        self.norm = decoder.norm
        self._rotary = decoder.rotary_emb
        weight = decoder.embed_tokens.weight
        self.device: torch.device = weight.device
        self.dtype: torch.dtype = weight.dtype

    def rotary(self, x_NW: Tensor, position_N: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines (N, 1, D) of the positions."""
        cos, sin = self._rotary(x_NW[None], position_N[None])
        return cos[0, :, None], sin[0, :, None]


class PackedSession:
    """The cache of one batch; see `PaddedSession` for what `extend` and `keep` promise."""

    block_tokens = 64

    def __init__(
        self, decoder: PackedDecoder, capacity: Sequence[int], image_token_id: int | None = None
    ) -> None:
        """`capacity` is the most tokens that each row will ever hold."""
        self._decoder = decoder
        self._image_token_id = image_token_id
        self._length = [0] * len(capacity)
        layer = decoder.layers[0]
        # Zeros, because a masked slot is still multiplied and must not hold a NaN.
        shape = (2, len(capacity), layer.key_heads, max(capacity), layer.head_width)
        self._device = decoder.device
        kind = {"device": decoder.device, "dtype": decoder.dtype}
        self._caches = [torch.zeros(shape, **kind) for _ in decoder.layers]

    def extend(
        self, blocks: Sequence[Sequence[int]], image_features: Tensor | None = None
    ) -> Tensor:
        """Append `blocks[row]` to each row; returns logits (B, V) after each last token."""
        is_fresh = not any(self._length)
        fed = [row for row, block in enumerate(blocks) if block]
        lengths = [len(blocks[row]) for row in fed]
        places = self._place(blocks)
        x_NW = self._embed(blocks, image_features)
        rotary = self._decoder.rotary(x_NW, places.position_N)
        last = torch.tensor(lengths, device=self._device).cumsum(0) - 1
        *earlier, final = zip(self._decoder.layers, self._caches, strict=True)
        mask = None if is_fresh else places.mask()
        for layer, cache in earlier:
            q, k, v = self._write(layer, cache, x_NW, rotary, places)
            if mask is None:
                attended = layer.attend_fresh(q, k, v, lengths)
            else:
                attended = layer.attend(q, cache, places, mask)
            x_NW = layer.finish(x_NW, attended)
        # Of the last layer only each row's last token is needed.
        layer, cache = final
        q, _, _ = self._write(layer, cache, x_NW, rotary, places)
        ends = places.pick(last)
        x_NW = layer.finish(x_NW[last], layer.attend(q[last], cache, ends, ends.mask()))
        logits = self._decoder.head(_norm(x_NW, self._decoder.norm)).float()
        if len(fed) == len(blocks):
            return logits
        return logits.new_zeros(len(blocks), logits.shape[1]).index_copy_(
            0, torch.tensor(fed, device=self._device), logits
        )

    def keep(self, rows: Sequence[int]) -> None:
        """Drop every row but `rows` from the batch, in that order."""
        self._caches = [cache[:, list(rows)] for cache in self._caches]
        self._length = [self._length[row] for row in rows]

    def pick(
        self, logits_BV: Tensor, allowed_BV: NDArray[np.bool_], draws: Draws | None
    ) -> tuple[list[int], list[float]]:
        """Each row's next token, and its probability among the allowed ones at temperature 1."""
        return pick(logits_BV, allowed_BV, draws)

    def _place(self, blocks: Sequence[Sequence[int]]) -> Places:
        row = [at for at, block in enumerate(blocks) for _ in block]
        place = [at for block in blocks for at in range(len(block))]
        row_N = torch.tensor(row, device=self._device)
        place_N = torch.tensor(place, device=self._device)
        position_N = torch.tensor(self._length, device=self._device)[row_N] + place_N
        self._length = [n + len(block) for n, block in zip(self._length, blocks, strict=True)]
        longest = max(map(len, blocks))
        return Places(row_N, position_N, place_N, len(blocks), longest, max(self._length))

    def _embed(self, blocks: Sequence[Sequence[int]], image_features: Tensor | None) -> Tensor:
        ids_N = torch.tensor([token for block in blocks for token in block], device=self._device)
        x_NW = self._decoder.embed(ids_N)
        if image_features is not None:
            x_NW[ids_N == self._image_token_id] = image_features.flatten(0, 1).to(x_NW.dtype)
        return x_NW

    def _write(
        self,
        layer: PackedLayer,
        cache: Tensor,
        x_NW: Tensor,
        rotary: tuple[Tensor, Tensor],
        places: Places,
    ) -> tuple[Tensor, ...]:
        """Queries, keys and values of the tokens; keys and values enter the cache."""
        q, k, v = layer.project(x_NW, rotary)
        cache[0][places.row_N, :, places.position_N] = k
        cache[1][places.row_N, :, places.position_N] = v
        return q, k, v


def _norm(x: Tensor, norm: Any) -> Tensor:
    return functional.rms_norm(x, (x.shape[-1],), norm.weight, norm.variance_epsilon)


def _join(*linears: Any) -> tuple[Tensor, Tensor | None]:
    """One weight and bias for several products of the same input.

    The modules are left as views into the joined tensors, so that memory is not doubled.
    """
    weight = torch.cat([linear.weight for linear in linears])
    bias = None if linears[0].bias is None else torch.cat([linear.bias for linear in linears])
    at = 0
    for linear in linears:
        rows = slice(at, at + linear.out_features)
        linear.weight.data = weight[rows]
        if bias is not None:
            linear.bias.data = bias[rows]
        at += linear.out_features
    return weight, bias
