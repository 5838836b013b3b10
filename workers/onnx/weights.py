"""Reads a decoder's weights from safetensors under the names that its graph has for them.

What lies in half precision on disk is widened to single. It knows no runtime.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from orchestra.errors import CheckpointInvalid
from workers.checkpoint import RESTORE
from workers.onnx.layout import Layout

Array = NDArray[np.float32]
EMBEDDING = "embed_tokens.weight"
# (name in the graph, name in the checkpoint) of what a layer has once
NORMS = (
    ("before_attention", "input_layernorm.weight"),
    ("before_mlp", "post_attention_layernorm.weight"),
)
MATRICES = (
    ("out", "self_attn.o_proj.weight"),
    ("gate", "mlp.gate_proj.weight"),
    ("up", "mlp.up_proj.weight"),
    ("down", "mlp.down_proj.weight"),
)


def read_weights(folder: Path, layout: Layout) -> tuple[Array, dict[str, Array]]:
    """The embedding (V, W), and the graph's weights. Raises CheckpointInvalid."""
    files = {}
    try:
        for path in sorted(folder.glob("*.safetensors")):
            opened = safe_open(path, framework="np")
            files.update(dict.fromkeys(opened.keys(), opened))
        return _arrange(_reader(folder, files), files, layout)
    except (SafetensorError, OSError, TypeError) as error:
        raise CheckpointInvalid(
            f"The weights in {str(folder)!r} cannot be read: {error}. {RESTORE}"
        ) from error


def _reader(folder: Path, files: dict[str, Any]) -> Callable[[str], Array]:
    def read(name: str) -> Array:
        if name not in files:
            raise CheckpointInvalid(
                f"{name!r} is missing from the weights in {str(folder)!r}. {RESTORE}"
            )
        return files[name].get_tensor(name).astype(np.float32)

    return read


def _arrange(
    read: Callable[[str], Array], names: dict[str, Any], layout: Layout
) -> tuple[Array, dict[str, Array]]:
    # A vision-language model keeps its decoder under a longer prefix.
    prefix = next((n for n in names if n.endswith(EMBEDDING)), EMBEDDING).removesuffix(EMBEDDING)
    table = read(prefix + EMBEDDING)
    head = read("lm_head.weight") if "lm_head.weight" in names else table
    cos, sin = _rotary(layout)
    weights = {"norm": read(f"{prefix}norm.weight"), "head": _turned(head), "cos": cos, "sin": sin}
    for layer in range(layout.layers):
        ours, theirs = f"layers.{layer}.", f"{prefix}layers.{layer}."
        weights |= {ours + name: read(theirs + stored) for name, stored in NORMS}
        weights |= {ours + name: _turned(read(theirs + stored)) for name, stored in MATRICES}
        qkv = [f"{theirs}self_attn.{part}_proj" for part in ("q", "k", "v")]
        weights[f"{ours}qkv"] = _turned(np.concatenate([read(f"{part}.weight") for part in qkv]))
        if layout.has_bias:
            weights[f"{ours}qkv_bias"] = np.concatenate([read(f"{part}.bias") for part in qkv])
    return table, weights


def _turned(matrix: Array) -> Array:
    """From (out, in), as torch stores a product, to (in, out)."""
    return np.ascontiguousarray(matrix.T)


def _rotary(layout: Layout) -> tuple[Array, Array]:
    """Cosines and sines (positions, D / 2), computed in float32 as transformers does."""
    exponents = np.arange(0, layout.head_width, 2, dtype=np.float32) / np.float32(layout.head_width)
    turns = np.float32(1.0) / np.float32(layout.theta) ** exponents
    angles = np.arange(layout.positions, dtype=np.float32)[:, None] * turns
    return np.cos(angles), np.sin(angles)
