"""A small convolutional vision tower, EfficientNet-Lite, as a transformers model.

After Tan and Le, "EfficientNet" (ICML 2019), and the Lite variants of 2020: inverted bottlenecks
with ReLU6 and without squeeze-and-excitation. It gives a grid of image tokens as a ViT does, so
that DeepSeek-VL's aligner and decoder take it as they take SigLIP; a small branch of our own adds
what a photo's kind does not depend on: shades, number, place. It knows no language.

Shapes: B images, C channels, H = W pixels or places, T tokens, D their width, E the embedding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

# Kernel, stride, expansion, channels, repeats of each stage of Lite0.
LITE0 = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
CELL = 2  # a token sees CELL x CELL places of the finer grid
GRAIN = 4  # pixels of a side that the detail branch sees as one
NORM_EPS = 1e-3


class LiteTowerConfig(PreTrainedConfig):
    """Sizes of a tower; `hidden_size` is the width of a token, `patch_size` the pixels it covers.

    A token is the last feature map at its place, beside the CELL x CELL places of the map before
    the last stride that lie in it, and `detail_size` channels of a branch of its own that looks at
    small pictures (0: there is none). `is_folded`: the norms are part of the convolutions.
    """

    model_type = "lite_tower"

    def __init__(
        self,
        *,
        image_size: int = 224,
        stem: int = 32,
        stages: Sequence[Sequence[int]] = LITE0,
        embedding_size: int = 1280,
        fine_stage: int = 4,
        detail_size: int = 0,
        is_folded: bool = False,
        **given: Any,
    ) -> None:
        self.image_size = image_size
        self.stem = stem
        self.stages = [list(stage) for stage in stages]
        self.embedding_size = embedding_size
        self.fine_stage = fine_stage
        self.detail_size = detail_size
        self.is_folded = is_folded
        self.patch_size = 2
        for _, stride, *_ in stages:
            self.patch_size *= stride
        self.fine_size = stages[fine_stage][3]
        self.hidden_size = embedding_size + CELL * CELL * self.fine_size + detail_size
        self.num_channels = 3
        for derived in ("patch_size", "fine_size", "hidden_size", "num_channels"):
            given.pop(derived, None)
        super().__init__(**given)


@dataclass
class TowerOutput(BaseModelOutputWithPooling):
    """`last_hidden_state` (B, T, D) are the tokens, `pooler_output` (B, E) the whole image."""


class Unit(nn.Module):
    """A convolution padded as TensorFlow pads (more at the end), its norm, and ReLU6 or nothing."""

    def __init__(
        self,
        channels: tuple[int, int],
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        acts: bool = True,
        folded: bool,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(*channels, kernel, stride, groups=groups, bias=folded)
        self.norm = nn.Identity() if folded else nn.BatchNorm2d(channels[1], eps=NORM_EPS)
        self.acts = acts

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The unit's output, (B, C', H / stride, W / stride)."""
        kernel, stride = self.conv.kernel_size[0], self.conv.stride[0]
        if kernel > 1:
            pads = [max((-(-n // stride) - 1) * stride + kernel - n, 0) for n in x_BCHW.shape[2:]]
            tall, wide = pads
            x_BCHW = F.pad(x_BCHW, (wide // 2, wide - wide // 2, tall // 2, tall - tall // 2))
        y_BCHW = self.norm(self.conv(x_BCHW))
        return F.relu6(y_BCHW) if self.acts else y_BCHW


class Bottleneck(nn.Module):
    """Widen, look around a channel at a time, narrow; added to its input where sizes agree."""

    def __init__(
        self, channels: tuple[int, int], kernel: int, stride: int, expansion: int, folded: bool
    ) -> None:
        super().__init__()
        narrow, wide = channels[0], channels[0] * expansion
        self.expand = Unit((narrow, wide), folded=folded) if expansion > 1 else nn.Identity()
        self.depthwise = Unit((wide, wide), kernel, stride, groups=wide, folded=folded)
        self.project = Unit((wide, channels[1]), acts=False, folded=folded)
        self.adds = stride == 1 and channels[0] == channels[1]

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """The block's output."""
        y_BCHW = self.project(self.depthwise(self.expand(x_BCHW)))
        return x_BCHW + y_BCHW if self.adds else y_BCHW


class Detail(nn.Module):
    """What stands at each place of a picture GRAIN times smaller: its colour, its edges, its place.

    Weights made for naming photos hardly tell a shade or count small things; these are trained to.
    """

    def __init__(self, config: LiteTowerConfig) -> None:
        super().__init__()
        width, halvings = config.detail_size, int(math.log2(config.patch_size // GRAIN))
        layers: list[nn.Module] = []
        narrow = 3
        for left in reversed(range(halvings)):
            wide = width >> left
            kernel = 3 if layers else 5
            layers += [nn.Conv2d(narrow, wide, kernel, 2, kernel // 2), nn.GELU()]
            narrow = wide
        self.look = nn.Sequential(*layers)
        side = config.image_size // config.patch_size
        self.place = nn.Parameter(torch.zeros(width, side, side))
        self.around = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GELU(),
        )

    def forward(self, small_B3HW: Tensor) -> Tensor:
        """The branch's channels, (B, C, H', W') of as many places as there are tokens."""
        return self.around(self.look(small_B3HW) + self.place)


class LiteTower(PreTrainedModel):
    """The tower; see `LiteTowerConfig` for what a token is."""

    config_class = LiteTowerConfig
    config: LiteTowerConfig
    main_input_name = "pixel_values"
    input_modalities = "image"

    def __init__(self, config: LiteTowerConfig) -> None:
        super().__init__(config)
        folded = config.is_folded
        self.stem = Unit((3, config.stem), 3, 2, folded=folded)
        stages, narrow = [], config.stem
        for kernel, stride, expansion, channels, repeats in config.stages:
            blocks = []
            for at in range(repeats):
                sizes = (narrow, channels)
                blocks.append(Bottleneck(sizes, kernel, 1 if at else stride, expansion, folded))
                narrow = channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.head = Unit((narrow, config.embedding_size), folded=folded)
        if config.detail_size:
            self.detail = Detail(config)
        self.post_init()

    def forward(self, pixel_values: Tensor, **_: Any) -> TowerOutput:
        """Tokens (B, T, D), row by row, and the embedding (B, E) of (B, 3, H, W) pixels."""
        return self.top(self.trunk(pixel_values))

    def trunk(self, pixels_B3HW: Tensor) -> Tensor:
        """The finer map (B, C, H / 16, W / 16), before the last stride.

        With a detail branch, its small picture stands behind it as more channels.
        """
        x_BCHW = self.stem(pixels_B3HW.contiguous(memory_format=torch.channels_last))
        for stage in self.stages[: self.config.fine_stage + 1]:
            x_BCHW = stage(x_BCHW)
        if not self.config.detail_size:
            return x_BCHW
        small_B3HW = F.avg_pool2d(pixels_B3HW, GRAIN)
        behind_BCHW = F.pixel_unshuffle(small_B3HW, self._grains)
        return torch.cat([x_BCHW, behind_BCHW.to(x_BCHW.dtype)], dim=1)

    def top(self, cells_BCHW: Tensor) -> TowerOutput:
        """What `forward` gives, from the finer map on."""
        fine_BCHW = cells_BCHW[:, : self.config.fine_size]
        x_BCHW = fine_BCHW
        for stage in self.stages[self.config.fine_stage + 1 :]:
            x_BCHW = stage(x_BCHW)
        coarse_BCHW = self.head(x_BCHW)
        parts = [coarse_BCHW, F.pixel_unshuffle(fine_BCHW, CELL)]
        if self.config.detail_size:
            parts.append(self.detail(self.small(cells_BCHW)))
        return TowerOutput(
            last_hidden_state=torch.cat(parts, dim=1).flatten(2).transpose(1, 2),
            pooler_output=coarse_BCHW.mean(dim=(2, 3)),
        )

    def small(self, cells_BCHW: Tensor) -> Tensor:
        """The small picture (B, 3, H / GRAIN, W / GRAIN) that stands behind the finer map."""
        return F.pixel_shuffle(cells_BCHW[:, self.config.fine_size :], self._grains)

    @property
    def _grains(self) -> int:
        """How many of them lie along a side of a place of the finer grid."""
        return self.config.patch_size // CELL // GRAIN


@torch.no_grad()
def fold(tower: LiteTower) -> LiteTower:
    """A tower with the same output whose norms (with their running statistics) are folded in."""
    config = LiteTowerConfig(**{**tower.config.to_dict(), "is_folded": True})
    folded = LiteTower(config).eval()
    units = {name: unit for name, unit in tower.named_modules() if isinstance(unit, Unit)}
    for name, unit in folded.named_modules():
        if not isinstance(unit, Unit):
            continue
        conv, norm = units[name].conv, units[name].norm
        if not isinstance(norm, nn.BatchNorm2d):
            unit.load_state_dict(units[name].state_dict())
            continue
        mean, variance = norm.running_mean, norm.running_var
        if mean is None or variance is None or unit.conv.bias is None:
            raise ValueError(f"Unit {name!r} has no running statistics to fold. Train it first.")
        scale = norm.weight / (variance + norm.eps).sqrt()
        unit.conv.weight.copy_(conv.weight * scale[:, None, None, None])
        unit.conv.bias.copy_(norm.bias - mean * scale)
    if config.detail_size:
        folded.detail.load_state_dict(tower.detail.state_dict())
    return folded


# Looked up by `model_type` wherever a vision-language config names this tower.
AutoConfig.register(LiteTowerConfig.model_type, LiteTowerConfig, exist_ok=True)
AutoModel.register(LiteTowerConfig, LiteTower, exist_ok=True)
