"""A fused model: a text stream that looks at a vision stream through gated cross-attention.

The text stream is a Qwen2 decoder, the vision stream a convolutional tower. An alignment module
maps tower tokens to the decoder's width and is held by a loss of its own (contrastive, as CLIP's:
Radford et al., 2021). Before some layers the decoder looks at them, through tanh gates that begin
at zero (Flamingo: Alayrac et al., 2022), so that without an image it is its text stream exactly.
It knows no engine, no prompt and no schema.

Shapes: B rows, S tokens of a row, T image tokens, W width of the decoder, D of the tower.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModel,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen2Model,
)
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.qwen2.modeling_qwen2 import Qwen2DecoderLayer

from workers.vision.lite import LiteTower, LiteTowerConfig

START_SCALE = 2.66  # of the contrastive logits, as CLIP begins: log(1 / 0.07)


class FusedConfig(PreTrainedConfig):
    """Sizes; `cross_layers` are the decoder layers before which it looks at the image."""

    model_type = "orchestra_fused"
    sub_configs = {  # pyright: ignore # noqa: RUF012 (transformers reads it off the class)
        "text_config": Qwen2Config,
        "vision_config": LiteTowerConfig,
    }

    def __init__(
        self,
        text_config: Any = None,
        vision_config: Any = None,
        cross_layers: Sequence[int] = (0, 1, 2, 3),
        cross_width: int = 160,
        cross_heads: int = 5,
        embedding_size: int = 64,
        **given: Any,
    ) -> None:
        self.text_config = _config(Qwen2Config, text_config)
        self.vision_config = _config(LiteTowerConfig, vision_config)
        self.cross_layers = list(cross_layers)
        self.cross_width = cross_width
        self.cross_heads = cross_heads
        self.embedding_size = embedding_size
        super().__init__(**given)


@dataclass
class Vision:
    """Aligned image tokens (B, T, W) of a batch, and which rows have an image, (B,).

    `shares` collects, for each look, the image's part (B,) of what the last token was moved by.
    """

    tokens_BTW: Tensor
    shown_B: Tensor
    shares: list[Tensor] = field(default_factory=list)


class GatedCross(nn.Module):
    """Looks at image tokens; a gate that begins at zero decides how much is taken over."""

    def __init__(self, width: int, inner: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.heads = heads
        self.query = nn.Linear(width, inner, bias=False)
        self.key_value = nn.Linear(width, 2 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, x_BSW: Tensor, vision: Vision) -> Tensor:
        """What is added to `x_BSW`; nothing in rows without an image."""
        query = self.query(self.norm(x_BSW))
        joined = (query, *self.key_value(vision.tokens_BTW).chunk(2, dim=-1))
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in joined)
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        return self.gate.tanh() * self.out(seen) * vision.shown_B[:, None, None]


class FusedLayer(Qwen2DecoderLayer):
    """A decoder layer that looks at the image first, where it has a `cross`."""

    def __init__(self, config: FusedConfig, at: int) -> None:
        text = config.text_config
        super().__init__(text, at)
        looks = at in config.cross_layers
        sizes = (text.hidden_size, config.cross_width, config.cross_heads)
        self.cross = GatedCross(*sizes) if looks else None

    def forward(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, hidden_states: Tensor, vision: Vision | None = None, **given: Any
    ) -> Any:
        """As the plain layer; `vision` is looked at first."""
        if self.cross is None or vision is None:
            return super().forward(hidden_states, **given)
        looked = self.cross(hidden_states, vision)
        x_BSW = hidden_states + looked
        y_BSW = super().forward(x_BSW, **given)
        image_B = looked[:, -1].norm(dim=-1)
        text_B = (y_BSW - x_BSW)[:, -1].norm(dim=-1)
        vision.shares.append((image_B / (image_B + text_B).clamp_min(1e-6)).detach())
        return y_BSW


class Aligner(nn.Module):
    """The alignment module: tower tokens to the decoder's width, and a space shared with texts."""

    def __init__(self, config: FusedConfig) -> None:
        super().__init__()
        tower, width = config.vision_config, config.text_config.hidden_size
        side = tower.image_size // tower.patch_size
        self.into = nn.Linear(tower.hidden_size, width)
        self.out = nn.Linear(width, width)
        self.places = nn.Parameter(torch.zeros(side * side, width))
        self.final = nn.LayerNorm(width)
        self.image_head = nn.Linear(width, config.embedding_size, bias=False)
        self.text_head = nn.Linear(width, config.embedding_size, bias=False)
        self.scale = nn.Parameter(torch.full((1,), START_SCALE))

    def forward(self, tokens_BTD: Tensor) -> Tensor:
        """Aligned tokens (B, T, W)."""
        inner = F.gelu(self.into(tokens_BTD))
        return self.final(self.out(inner) + self.places)

    def loss(self, image_BTW: Tensor, text_BW: Tensor) -> Tensor:
        """Contrastive: each image's own text is told from the others' of the batch, both ways."""
        image = F.normalize(self.image_head(image_BTW.mean(dim=1)), dim=-1)
        text = F.normalize(self.text_head(text_BW), dim=-1)
        logits_BB = self.scale.exp() * image @ text.T
        own_B = torch.arange(len(logits_BB), device=logits_BB.device)
        return (F.cross_entropy(logits_BB, own_B) + F.cross_entropy(logits_BB.T, own_B)) / 2


class FusedForConditionalGeneration(PreTrainedModel):
    """Both streams, the alignment module, and `need`, which tells if an image is worth a look."""

    config_class = FusedConfig
    config: FusedConfig
    _supports_sdpa = True

    def __init__(self, config: FusedConfig) -> None:
        super().__init__(config)
        self.text = Qwen2Model(config.text_config)
        layers = range(config.text_config.num_hidden_layers)
        self.text.layers = nn.ModuleList([FusedLayer(config, at) for at in layers])
        self.vision = LiteTower(config.vision_config)
        self.aligner = Aligner(config)
        self.need = nn.Linear(config.text_config.hidden_size, 1)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """The token embedding, which is the output's, too."""
        return self.text.embed_tokens

    def see(self, pixels_B3HW: Tensor) -> tuple[Tensor, Tensor]:
        """Aligned tokens (B, T, W) of normalised pixels, and the tower's embedding (B, E)."""
        seen = self.vision(pixels_B3HW)
        return self.aligner(seen.last_hidden_state), seen.pooler_output

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of hidden states, (..., V)."""
        return F.linear(hidden, self.text.embed_tokens.weight)

    def forward(
        self, *, vision: Vision | None = None, logits_to_keep: int = 0, **given: Any
    ) -> CausalLMOutputWithPast:
        """Logits of the last `logits_to_keep` tokens (of all at 0); `given` is the decoder's."""
        output = self.text(vision=vision, **given)
        hidden_BSW = output.last_hidden_state[:, -logits_to_keep:]
        cache = output.past_key_values
        return CausalLMOutputWithPast(logits=self.logits(hidden_BSW), past_key_values=cache)


def _config(kind: Any, given: Any) -> Any:
    return given if isinstance(given, kind) else kind(**(given or {}))


AutoConfig.register(FusedConfig.model_type, FusedConfig, exist_ok=True)
AutoModel.register(FusedConfig, FusedForConditionalGeneration, exist_ok=True)
