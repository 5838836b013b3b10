"""Writes the ONNX graph of what looks at photos, without its weights: needed once for a shape.

    python -m workers.onnx.graph workers/checkpoints/vl

It writes `tower.onnx` beside `decoder.onnx`: the vision tower, the aligner, and for the fused model
the keys and values that its decoder looks at. Every weight has the name that the checkpoint has for
it, so that `tower.py` fills them from the safetensors as they lie.

Shapes: B photos, H = W pixels, T tokens, W width of the decoder, E the tower's embedding.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import onnx_ir as ir
import torch
from torch import Tensor, nn
from torch.export import Dim
from transformers import DeepseekVLConfig, DeepseekVLForConditionalGeneration

from workers.fused import model as fused
from workers.fused.network import FusedConfig, FusedForConditionalGeneration
from workers.loading.checkpoint import architecture
from workers.onnx.layout import TOWER, WEIGHTS_KEY
from workers.vision.lite import LiteTower


class AlignedTower(nn.Module):
    """DeepSeek-VL's: features (B, T, W) in the decoder's width, and a tower's embedding (B, E)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = nn.Module()
        self.model.vision_model = model.model.vision_model
        self.model.aligner = model.model.aligner

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Look at (B, 3, H, W) normalised pixels."""
        parts = cast(Any, self.model)
        seen = parts.vision_model(pixels)
        features = parts.aligner(seen.last_hidden_state)
        # Only our own tower's embedding is one that a domain was fitted on.
        is_ours = isinstance(parts.vision_model, LiteTower)
        return (features, seen.pooler_output) if is_ours else (features,)


class FusedTower(nn.Module):
    """The fused model's: what its decoder looks at, layer by layer, and the tower's embedding.

    The features (B, T, layers x 2 x inner) are the keys and values of all cross-attention in turn.
    """

    def __init__(self, model: FusedForConditionalGeneration) -> None:
        super().__init__()
        self.vision, self.aligner = model.vision, model.aligner
        self.text = nn.Module()
        self.text.layers = model.text.layers

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Look at (B, 3, H, W) normalised pixels."""
        seen = self.vision(pixels)
        tokens_BTW = self.aligner(seen.last_hidden_state)
        layers = cast(Any, self.text.layers)
        looks = [layer.cross.key_value(tokens_BTW) for layer in layers if layer.cross is not None]
        return torch.cat(looks, dim=-1), seen.pooler_output


def _aligned(config: Mapping[str, Any]) -> nn.Module:
    return AlignedTower(DeepseekVLForConditionalGeneration(DeepseekVLConfig(**config)))


def _fused(config: Mapping[str, Any]) -> nn.Module:
    return FusedTower(FusedForConditionalGeneration(FusedConfig(**config)))


TOWERS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "DeepseekVLForConditionalGeneration": _aligned,
    fused.ARCHITECTURE: _fused,
}


def has_tower(config: Mapping[str, Any]) -> bool:
    """Whether the checkpoint of `config` looks at photos through a graph of its own."""
    return architecture(dict(config)) in TOWERS


def write_tower(folder: Path, config: Mapping[str, Any]) -> Path:
    """Write `tower.onnx` into a checkpoint's folder, for the sizes of its config."""
    path = folder / TOWER
    side = int(config["vision_config"]["image_size"])
    ir.save(_export(TOWERS[architecture(dict(config))](config), side), path)
    return path


def _export(tower: nn.Module, side: int) -> ir.Model:
    for parameter in tower.parameters():  # the exporter makes equal tensors one
        nn.init.normal_(parameter)
    pixels = torch.randn(2, 3, side, side)
    tower = tower.eval().requires_grad_(False)
    with warnings.catch_warnings():
        # torch's exporter uses a call that torch itself is giving up.
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            tower,
            (pixels,),
            input_names=["pixels"],
            output_names=["features", "embedding"][: len(tower(pixels))],
            dynamic_shapes=({0: Dim.DYNAMIC},),
            dynamo=True,
            optimize=False,  # it would work out what is made of weights alone
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program.")
    names = set(dict(tower.named_parameters())) & set(program.model.graph.initializers)
    program.model.metadata_props[WEIGHTS_KEY] = json.dumps(sorted(names))
    return without_data(program.model, names)


def without_data(model: ir.Model, names: set[str]) -> ir.Model:
    """`model` with the tensors called `names` left as names, to be filled when it is loaded."""
    for node in model.graph:
        node.metadata_props.clear()
    for name, value in model.graph.initializers.items():
        tensor = value.const_value
        if name in names and isinstance(tensor, ir.TensorProtocol):
            value.const_value = ir.ExternalTensor(
                "model.safetensors",
                0,
                tensor.nbytes,
                tensor.dtype,
                shape=ir.Shape(tensor.numpy().shape),
                name=name,
            )
    return model
