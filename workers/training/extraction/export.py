"""Writes a trained reader as the folder that `workers.extraction.head` loads: int8 and fp16."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from workers.encoder.layout import PRODUCTS
from workers.encoder.packed import read_packed
from workers.encoder.source import find_file, map_file
from workers.extraction.graph import write
from workers.training.extraction.network import Reader

PARTS = {
    "qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "out": ("attention.output.dense",),
    "up": ("intermediate.dense",),
    "down": ("output.dense",),
}
NORMS = {"out": "attention.output.LayerNorm", "down": "output.LayerNorm"}


def export(reader: Reader, folder: Path, config: dict[str, Any]) -> None:
    """Write `reader`; `config` says the layer whose states it takes (`states_of`) and more."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.numpy() for name, value in reader.state_dict().items()}
    depth = len(reader.layers)
    weights: dict[str, NDArray[Any]] = {}
    for layer in range(depth):
        weights |= _layer(state, layer)
    weights |= {
        f"head.{name}": value.astype(np.float16)
        for name, value in state.items()
        if not name.startswith("layers.")
    }
    save_file(
        {name: np.ascontiguousarray(v) for name, v in weights.items()},
        folder / "reader.safetensors",
    )
    sizes = read_packed(map_file(find_file())).sizes
    (folder / "layers.onnx").write_bytes(write(sizes, depth).SerializeToString(deterministic=True))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def _layer(state: dict[str, NDArray[Any]], layer: int) -> dict[str, NDArray[Any]]:
    found: dict[str, NDArray[Any]] = {}
    for product in PRODUCTS:
        name, parts = f"{layer}.{product.name}", PARTS[product.name]
        whole = np.concatenate([state[f"layers.{layer}.{part}.weight"] for part in parts])
        scale = np.maximum(np.abs(whole).max(1), 1e-12) / 127
        found[f"{name}.weight"] = np.rint(whole / scale[:, None]).astype(np.int8).T
        found[f"{name}.scale"] = scale.astype(np.float32)
        found[f"{name}.bias"] = np.concatenate([state[f"layers.{layer}.{p}.bias"] for p in parts])
        if product.norm:
            for ours, theirs in (("norm", "weight"), ("norm_bias", "bias")):
                found[f"{name}.{ours}"] = state[f"layers.{layer}.{NORMS[product.name]}.{theirs}"]
    return found
