"""The reader as a torch module: the top layers of an encoder over fields and text, and span scores.

Shapes: B texts, M fields, T tokens, W words, S widest span, H width of a state.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertLayer

from workers.extraction.head import PARTS, WIDEST

RANK = 128
DROPPED = 0.15  # of what the scores are made of; names are learnt by heart without


class Standard(nn.Module):
    """Takes off the mean of each dimension and divides by its deviation, as first seen.

    States of one encoder share most of their direction; what tells names apart is the rest.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.seen: list[Tensor] | None = None

    def forward(self, states: Tensor) -> Tensor:
        """Standardised states; while `seen` is a list, they are noted as well."""
        if self.seen is not None:
            self.seen.append(states.detach().flatten(0, -2))
        known = (states - self.mean) * self.scale
        return nn.functional.dropout(known, DROPPED, self.training)

    def settle(self) -> None:
        """Take mean and deviation of what was seen; padding is what is all zero."""
        rows = torch.cat(self.seen or [])
        rows = rows[rows.abs().sum(-1) > 0]
        self.mean.copy_(rows.mean(0))
        self.scale.copy_(1 / rows.std(0).clamp(min=1e-3))
        self.seen = None


class Adapted(nn.Module):
    """A matrix that stays as it is, plus the product of two thin ones that learn (LoRA).

    Hu et al. 2021, arXiv:2106.09685. At first the product is zero.
    """

    def __init__(self, still: nn.Linear, rank: int) -> None:
        super().__init__()
        self.still = still.requires_grad_(False)
        self.down = nn.Parameter(torch.randn(rank, still.in_features) / still.in_features**0.5)
        self.up = nn.Parameter(torch.zeros(still.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:
        """`x` (..., I) to (..., O)."""
        return self.still(x) + x @ self.down.T @ self.up.T


def adapt(layer: nn.Module, rank: int) -> None:
    """Put an adapter on every matrix of `layer`; nothing else of it learns."""
    layer.requires_grad_(False)
    for part in list(layer.modules()):
        for name, child in list(part.named_children()):
            if isinstance(child, nn.Linear):
                setattr(part, name, Adapted(child, rank))


class Reader(nn.Module):
    """Scores every span of a text for every field, and that a field is not stated.

    Fields and tokens go through the layers as one sequence, so that each sees all the others: a
    late form of the joint encoding of GLiNER (Zaratiana et al., 2023), on states that are shared
    with other uses of the encoder. A span's score is the sum of its start, its end and its inside
    words, as in a linear-chain model; the field's softmax runs over all spans and "not stated".
    """

    def __init__(self, config: BertConfig, depth: int, marks: int) -> None:
        super().__init__()
        width = config.hidden_size
        self.layers = nn.ModuleList(BertLayer(config) for _ in range(depth))
        self.side = nn.Embedding(2, width)  # what is asked, what is read
        self.asked = nn.Linear(width, width)
        self.vector_norm, self.word_norm, self.field_norm = (Standard(width) for _ in range(3))
        self.word = nn.Linear(width, PARTS * RANK)
        self.mark = nn.Linear(marks, PARTS * RANK)
        self.field = nn.Linear(2 * width, PARTS * RANK)
        self.bias = nn.Linear(2 * width, PARTS)
        self.match = nn.Linear(3, PARTS, bias=False)
        self.absent = nn.Sequential(
            nn.Linear(2 * width, RANK), nn.GELU(approximate="tanh"), nn.Linear(RANK, 1)
        )
        nn.init.zeros_(self.side.weight)
        nn.init.zeros_(self.match.weight)
        nn.init.normal_(self.asked.weight, std=0.005)
        nn.init.zeros_(self.asked.bias)

    @property
    def settled(self) -> bool:
        """Whether its standards were taken already."""
        return bool(self.word_norm.mean.abs().sum() > 0)

    def forward(
        self,
        fields: Tensor,
        field_mask: Tensor,
        tokens: Tensor,
        token_mask: Tensor,
        pooling: Tensor,
        marks: Tensor,
        matches: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Parts (B, M, 3, W) and absent (B, M).

        `fields` is (B, M, 2, H): the mean state of the field's words at the layer where the text's
        states are taken, and its vector; `tokens` (B, T, H), `pooling` (B, W, T), `marks`
        (B, W, K), `matches` (B, M, W, 3).
        """
        count = fields.shape[1]
        vectors = self.vector_norm(fields[:, :, 1])
        asked = fields[:, :, 0] + self.asked(vectors) + self.side.weight[0]
        states = torch.cat([asked, tokens + self.side.weight[1]], 1)
        mask = torch.cat([field_mask, token_mask], 1)
        block = torch.where(mask[:, None, None, :], 0.0, -1e4)
        for layer in self.layers:
            out = layer(states, attention_mask=block)
            states = out[0] if isinstance(out, tuple) else out
        read = self.word_norm(pooling @ states[:, count:])
        asked = torch.cat([self.field_norm(states[:, :count]), vectors], -1)
        words = (self.word(read) + self.mark(marks)).unflatten(-1, (PARTS, RANK))
        names = self.field(asked).unflatten(-1, (PARTS, RANK))
        parts = torch.einsum("bmpr,bwpr->bmpw", names, words) / RANK**0.5
        parts = parts + self.match(matches).transpose(2, 3)
        return parts + self.bias(asked)[..., None], self.absent(asked)[..., 0]


def span_scores(parts: Tensor, word_mask: Tensor) -> Tensor:
    """Scores (B, M, W, S) of the spans that start at each word, by words less one."""
    start, end, inside = parts.unbind(2)
    count = parts.shape[-1]
    total = nn.functional.pad(inside.cumsum(-1), (1, 0))
    first = torch.arange(count)
    last = first[:, None] + torch.arange(WIDEST)[None]
    near = last.clamp(max=count - 1)
    scores = start[..., None] + end[..., near] + total[..., near + 1] - total[..., first, None]
    fits = (last < count) & word_mask[:, near]
    return scores.masked_fill(~fits[:, None], -1e4)
