"""Reads a decoder's weights from safetensors under the names that its graph has for them.

What lies in half precision on disk is widened to single; 8-bit rows stay as they are. It knows no
runtime.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from orchestra.core.errors import CheckpointInvalid
from workers.loading.checkpoint import RESTORE
from workers.loading.parts import open_tensors
from workers.onnx.layout import INT8_BLOCK, Layout

Array = NDArray[Any]
EMBEDDING = "embed_tokens.weight"
SCALE = "_scale"  # after the name of an 8-bit matrix: the scale of each of its rows
# (name in the graph, name in the checkpoint) of what a layer has once
NORMS = (
    ("before_attention", "input_layernorm.weight"),
    ("before_mlp", "post_attention_layernorm.weight"),
)
MATRICES = (
    ("out", "self_attn.o_proj"),
    ("gate", "mlp.gate_proj"),
    ("up", "mlp.up_proj"),
    ("down", "mlp.down_proj"),
)


@dataclass(frozen=True, slots=True)
class EmbeddingTable:
    """The embedding: a row of `values` (V, W) for each token, times its scale where there are."""

    values_VW: Array
    scale_V: Array | None = None

    def rows(self, ids_N: NDArray[np.int64]) -> NDArray[np.float32]:
        """Embedded tokens (N, W), a copy."""
        x_NW = self.values_VW[ids_N]
        if self.scale_V is None:
            return x_NW
        return x_NW * self.scale_V[ids_N, None]


def read_weights(folder: Path, layout: Layout) -> tuple[EmbeddingTable, dict[str, Array]]:
    """The embedding, and the graph's weights. Raises CheckpointInvalid."""
    try:
        files = open_tensors(folder, "np")
        return _Arranger(_reader(folder, files), files, layout).arrange()
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise CheckpointInvalid(
            f"The weights in {str(folder)!r} cannot be read: {error}. {RESTORE}"
        ) from error


def read_named(folder: Path, names: Sequence[str]) -> dict[str, Array]:
    """Tensors of a checkpoint in float32. Raises CheckpointInvalid."""
    try:
        read = _reader(folder, open_tensors(folder, "np"))
        return {name: read(name) for name in names}
    except (SafetensorError, OSError, TypeError, ValueError) as error:
        raise CheckpointInvalid(
            f"The weights in {str(folder)!r} cannot be read: {error}. {RESTORE}"
        ) from error


def _reader(folder: Path, files: Mapping[str, tuple[Any, str]]) -> Callable[[str], Array]:
    def read(name: str) -> Array:
        if name not in files:
            raise CheckpointInvalid(
                f"{name!r} is missing from the weights in {str(folder)!r}. {RESTORE}"
            )
        file, stored = files[name]
        found = file.get_tensor(stored)
        return found if found.dtype == np.int8 else found.astype(np.float32)

    return read


@dataclass(frozen=True, slots=True)
class _Arranger:
    read: Callable[[str], Array]
    names: Mapping[str, Any]
    layout: Layout

    def arrange(self) -> tuple[EmbeddingTable, dict[str, Array]]:
        # A vision-language model keeps its decoder under a longer prefix.
        first = next((name for name in self.names if name.endswith(EMBEDDING)), EMBEDDING)
        prefix = first.removesuffix(EMBEDDING)
        embedding = prefix + EMBEDDING.removesuffix(".weight")
        head = "lm_head" if "lm_head.weight" in self.names else embedding
        cos, sin = _rotary(self.layout)
        weights = {"norm": self.read(f"{prefix}norm.weight"), "cos": cos, "sin": sin}
        weights |= self._matrix("head", [head])
        for layer in range(self.layout.layers):
            ours, theirs = f"layers.{layer}.", f"{prefix}layers.{layer}."
            weights |= {ours + name: self.read(theirs + stored) for name, stored in NORMS}
            for name, stored in MATRICES:
                weights |= self._matrix(ours + name, [theirs + stored])
            qkv = [f"{theirs}self_attn.{part}_proj" for part in ("q", "k", "v")]
            weights |= self._matrix(f"{ours}qkv", qkv, has_bias=self.layout.has_bias)
            if self.layout.cross is not None and layer in self.layout.cross.layers:
                weights |= self._cross(f"{ours}cross.", f"{theirs}cross.")
        scale = self.read(f"{embedding}.weight{SCALE}") if self.layout.is_int8 else None
        return EmbeddingTable(self.read(f"{embedding}.weight"), scale), weights

    def _cross(self, ours: str, theirs: str) -> dict[str, Array]:
        """What looks at a photo; its keys and values are the tower graph's."""
        weights = {ours + name: self.read(theirs + name) for name in ("norm.weight", "norm.bias")}
        weights[f"{ours}gate"] = np.tanh(self.read(f"{theirs}gate"))
        return (
            weights
            | self._matrix(f"{ours}query", [f"{theirs}query"])
            | self._matrix(f"{ours}out", [f"{theirs}out"])
        )

    def _matrix(
        self, ours: str, theirs: Sequence[str], *, has_bias: bool = False
    ) -> dict[str, Array]:
        """One product of the graph, out of matrices (out, in) as torch stores them."""
        matrix = np.concatenate([self.read(f"{name}.weight") for name in theirs])
        if self.layout.is_int8:
            blocks = matrix.shape[1] // INT8_BLOCK
            scale = np.concatenate([self.read(f"{name}.weight{SCALE}") for name in theirs])
            # onnxruntime counts from 0 to 255, with 128 for zero.
            values = (matrix.view(np.uint8) ^ 0x80).reshape(len(matrix), blocks, INT8_BLOCK)
            found = {"values": values, "scales": np.repeat(scale[:, None], blocks, axis=1)}
        else:
            found = {"weight": np.ascontiguousarray(matrix.T)}
        if has_bias:
            found["bias"] = np.concatenate([self.read(f"{name}.bias") for name in theirs])
        return {f"{ours}.{part}": value for part, value in found.items()}


def _rotary(layout: Layout) -> tuple[Array, Array]:
    """Cosines and sines (positions, D / 2), computed in float32 as transformers does."""
    exponents = np.arange(0, layout.head_width, 2, dtype=np.float32) / np.float32(layout.head_width)
    turns = np.float32(1.0) / np.float32(layout.theta) ** exponents
    angles = np.arange(layout.positions, dtype=np.float32)[:, None] * turns
    return np.cos(angles), np.sin(angles)
