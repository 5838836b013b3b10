"""Packs a decoder's matrices as 8-bit rows: a checkpoint for the edge, a quarter of float32.

    python -m workers.onnx.int8 TRAINED OUT

A row has one scale and values of -127 to 127, stored as `NAME` (int8) and `NAME_scale` (float32);
norms and biases are halved. Weights that were trained to be rounded so (see
`workers.training.edge.quantise`) lose nothing. It knows no torch and no graph.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from workers.loading.checkpoint import INT8
from workers.onnx.layout import Layout
from workers.onnx.weights import SCALE

LARGEST = 127
KEPT = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json")


def pack_rows(weight_OI: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Values (O, I) and scales (O,) with `values * scale` near the weight."""
    weight_OI = weight_OI.astype(np.float32)
    scale_O = np.maximum(np.abs(weight_OI).max(axis=1), np.float32(1e-8)) / np.float32(LARGEST)
    values_OI = np.rint(weight_OI / scale_O[:, None]).clip(-LARGEST, LARGEST)
    return values_OI.astype(np.int8), scale_O


def pack(trained: Path, out: Path) -> None:
    """Write the 8-bit checkpoint of `trained` (float weights of one file) to `out`.

    Raises CheckpointInvalid for sizes that have no 8-bit products.
    """
    config = json.loads((trained / "config.json").read_text(encoding="utf-8"))
    config["quantization_config"] = INT8
    Layout.read(config)
    packed: dict[str, NDArray[Any]] = {}
    with safe_open(trained / "model.safetensors", framework="np") as opened:
        for name in opened.keys():  # noqa: SIM118 - a file is no mapping
            tensor = opened.get_tensor(name)
            if tensor.ndim == 2:
                packed[name], packed[name + SCALE] = pack_rows(tensor)
            else:
                packed[name] = tensor.astype(np.float16)
    out.mkdir(parents=True, exist_ok=True)
    save_file(packed, out / "model.safetensors", {"format": "np"})
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    for name in KEPT:
        if (trained / name).is_file():
            shutil.copyfile(trained / name, out / name)


def main() -> None:
    """Parse the command line and write the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("trained", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    pack(given.trained, given.out)
    print(f"{given.out}  {(given.out / 'model.safetensors').stat().st_size} bytes of weights")


if __name__ == "__main__":
    main()
