"""Write `workers/checkpoints/things`: `python -m workers.training.vision.things`.

The public EfficientNet-Lite0 with its own classifier as one ONNX graph whose large weights are
bytes with a step a channel, and the encoder's vectors of the names in `names.tsv`. Nothing is
trained.

Shapes: B photos, H = W pixels, L names, E embedding.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from safetensors.numpy import save_file
from torch import Tensor, nn

from workers.encoder.encoder import shared_encoder
from workers.things.names import centred
from workers.things.things import FOLDER, GRAPH, LEAVES, NAMES, SIDE, SUMS, VECTORS
from workers.training.vision.imagenet import public_classifier, public_tower
from workers.vision.lite import LiteTower, fold

LARGE = 4000  # weights of a tensor from which it is kept in bytes
SPOKEN = 3  # names of a thing that its vector is the mean of


class Classifier(nn.Module):
    """A tower and its linear head."""

    def __init__(self, tower: LiteTower, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.tower = tower
        self.head = nn.Linear(weight.shape[1], weight.shape[0])
        self.head.weight.data.copy_(weight)
        self.head.bias.data.copy_(bias)

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits (B, L) of (B, 3, H, W) pixels."""
        tower, x_BCHW = self.tower, self.tower.stem(pixels)
        for stage in tower.stages:
            x_BCHW = stage(x_BCHW)
        return self.head(tower.head(x_BCHW).mean(dim=(2, 3)))


def write_graph(folder: Path) -> None:
    """Export the classifier, its large weights in bytes."""
    weight, bias = public_classifier()
    model = Classifier(fold(public_tower(SIDE)), weight, bias).eval().requires_grad_(False)
    program = torch.onnx.export(
        model,
        (torch.randn(2, 3, SIDE, SIDE),),
        input_names=["pixels"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
        dynamo=True,
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program.")
    onnx.save(in_bytes(program.model_proto), folder / GRAPH)


def in_bytes(model: onnx.ModelProto) -> onnx.ModelProto:
    """`model` with each large weight as bytes that are cast and scaled when it is loaded."""
    graph, made = model.graph, []
    for tensor in list(graph.initializer):
        array = numpy_helper.to_array(tensor)
        if array.size < LARGE or array.dtype != np.float32:
            continue
        whole, step = quantised(array)
        graph.initializer.remove(tensor)
        names = [f"{tensor.name}.{part}" for part in ("bytes", "step", "cast")]
        graph.initializer.append(numpy_helper.from_array(whole, names[0]))
        graph.initializer.append(numpy_helper.from_array(step, names[1]))
        made.append(helper.make_node("Cast", [names[0]], [names[2]], to=onnx.TensorProto.FLOAT))
        made.append(helper.make_node("Mul", [names[2], names[1]], [tensor.name]))
    for node in graph.node:
        del node.metadata_props[:]
    for node in reversed(made):
        graph.node.insert(0, node)
    return model


def quantised(array: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Whole numbers from -127 to 127, and what one stands for in each output channel."""
    axes = tuple(range(1, array.ndim))
    step = np.maximum(np.abs(array).max(axis=axes, keepdims=True), 1e-12) / np.float32(127)
    return np.round(array / step).astype(np.int8), step.astype(np.float32)


def write_vectors(folder: Path) -> None:
    """The vectors of all names, about the mean of the leaves'."""
    lines = (folder / NAMES).read_text(encoding="utf-8").splitlines()
    words = [line.split("\t")[0].split(", ")[:SPOKEN] for line in lines]
    flat = [word for names in words for word in names]
    every = shared_encoder().vectors(flat)
    ends = np.cumsum([len(names) for names in words])
    means = np.stack([part.mean(axis=0) for part in np.split(every, ends[:-1])])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    middle = means[:LEAVES].mean(axis=0)
    whole, step = quantised(centred(means, middle))
    save_file({"vectors": whole, "step": step, "middle": middle}, folder / VECTORS)


def main() -> None:
    """Write graph, vectors and checksums."""
    parser = argparse.ArgumentParser(description="Write the checkpoint of ImageNet's names.")
    parser.add_argument("--out", type=Path, default=FOLDER)
    out: Path = parser.parse_args().out
    write_graph(out)
    write_vectors(out)
    sums = {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest()
        for name in (GRAPH, NAMES, VECTORS)
    }
    (out / SUMS).write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
