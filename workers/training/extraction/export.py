"""Writes a trained reader as the folder that `workers.extraction.head` loads, in float16."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from workers.encoder.packed import read_packed
from workers.encoder.source import find_file, map_file
from workers.encoder.weights import MATRICES
from workers.extraction.graph import write
from workers.training.extraction.network import Reader

# the encoder's own names of a layer's matrices, by those of `BertLayer`
PARTS = dict(MATRICES)


def export(reader: Reader, folder: Path, config: dict[str, Any]) -> None:
    """Write `reader`; `config` says the layer whose states it takes (`states_of`) and more."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.numpy() for name, value in reader.state_dict().items()}
    weights = {_stored(name): value.astype(np.float16) for name, value in state.items()}
    weights.pop("", None)
    save_file(
        {name: np.ascontiguousarray(v) for name, v in weights.items()},
        folder / "reader.safetensors",
    )
    sizes = read_packed(map_file(find_file())).sizes
    graph = write(sizes, len(reader.layers))
    (folder / "layers.onnx").write_bytes(graph.SerializeToString(deterministic=True))
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def _stored(name: str) -> str:
    """Under which name a parameter is stored; empty for what the encoder's wheel brings."""
    if not name.startswith("layers."):
        return f"head.{name}"
    _, layer, rest = name.split(".", 2)
    part, _, side = rest.rpartition(".")
    return f"{layer}.{PARTS[part]}.{side}" if side in ("down", "up") else ""
