"""Writes the encoder's ONNX graphs, without weights: needed once for a depth, not to run it.

    python -m workers.encoder.graph 12 6

Products multiply whole numbers: a token's 384 or 1536 values are rounded to 255 steps of their own
largest, weights lie in 8 bits with a scale an output, so that a token is the same in any batch
(onnxruntime's own dynamic quantisation has one scale a batch; ADR 0047 has what was measured).

Shapes: B texts, S tokens of the longest, W width; N is B times S.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from workers.encoder.layout import LAYER_OUTPUT, PRODUCTS, SUMS, graph_file, read_sums
from workers.encoder.packed import Sizes, read_packed
from workers.encoder.source import find_file, map_file

MICROSOFT = "com.microsoft"
OPSETS = (helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1))
IR_VERSION = 10  # of opset 21


class GraphWriter:
    """Collects the nodes of one graph."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.nodes: list[onnx.NodeProto] = []
        self.constants = {
            "step": np.array(1 / 127, np.float32),
            "tiny": np.array(1e-12, np.float32),
            "one": np.array(1, np.float32),
            "middle": np.array(128, np.uint8),
            "last": np.array([-1], np.int64),
            "flat": np.array([-1, sizes.width], np.int64),
        }

    def add(self, kind: str, given: list[str], out: str, domain: str = "", **settings: Any) -> str:
        """Add a node with one output, and give that."""
        self.nodes.append(helper.make_node(kind, given, [out], domain=domain, **settings))
        return out

    def product(self, x: str, name: str) -> str:
        """`x` (N, in) times a matrix, without its bias, both in 8 bits."""
        largest = self.add(
            "ReduceMax", [self.add("Abs", [x], f"{name}.abs"), "last"], f"{name}.top"
        )
        largest = self.add("Max", [largest, "tiny"], f"{name}.largest")
        scale = self.add("Mul", [largest, "step"], f"{name}.step")
        flat = self.add("Squeeze", [scale, "last"], f"{name}.steps")
        count = self.add("Shape", [flat], f"{name}.count")
        middle = self.add("Expand", ["middle", count], f"{name}.middle")
        rounded = self.add("QuantizeLinear", [x, flat, middle], f"{name}.rounded", axis=0)
        weight, scales = f"{name}.weight", f"{name}.scale"
        given = [rounded, weight, "one", scales, "middle"]
        summed = self.add("MatMulIntegerToFloat", given, f"{name}.sum", MICROSOFT)
        return self.add("Mul", [summed, scale], f"{name}.out")

    def layer(self, x: str, layer: int) -> str:
        """One layer of BERT (Devlin et al. 2018), its norms after the sums."""
        at = f"{layer}."
        attended = self.attention(x, at)
        x = self.norm(x, self.product(attended, f"{at}out"), f"{at}out", f"{at}attended")
        inner = self.product(x, f"{at}up")
        inner = self.add("BiasGelu", [inner, f"{at}up.bias"], f"{at}inner", MICROSOFT)
        out = LAYER_OUTPUT.format(layer + 1)
        return self.norm(x, self.product(inner, f"{at}down"), f"{at}down", out)

    def attention(self, x: str, at: str) -> str:
        """Each text's tokens over the others."""
        joined = self.product(x, f"{at}qkv")
        parts = [f"{at}{part}" for part in ("query", "key", "value")]
        self.nodes.append(helper.make_node("Split", [joined], parts, axis=-1, num_outputs=3))
        given = [self.add("Reshape", [part, "shape"], f"{part}.rows") for part in parts]
        heads = self.add(
            "MultiHeadAttention",
            [*given, f"{at}qkv.bias", "mask"],
            f"{at}heads",
            MICROSOFT,
            num_heads=self.sizes.heads,
        )
        return self.add("Reshape", [heads, "flat"], f"{at}flat")

    def norm(self, x: str, added: str, product: str, out: str) -> str:
        """The layer norm of `x + added` with the product's bias."""
        given = [x, added, f"{product}.norm", f"{product}.norm_bias", f"{product}.bias"]
        settings = {"epsilon": self.sizes.epsilon}
        return self.add("SkipLayerNormalization", given, out, MICROSOFT, **settings)


def write(sizes: Sizes, layers: int) -> onnx.ModelProto:
    """The graph of the first `layers` layers; each layer's states (N, W) are an output."""
    writer = GraphWriter(sizes)
    writer.add("Shape", ["x"], "shape")
    x = writer.add("Reshape", ["x", "flat"], "packed")
    given = [x, "norm", "norm_bias"]
    x = writer.add("LayerNormalization", given, "layer.0", epsilon=sizes.epsilon)
    for layer in range(layers):
        x = writer.layer(x, layer)
    outputs = [LAYER_OUTPUT.format(layer) for layer in range(1, layers + 1)]
    graph = helper.make_graph(
        writer.nodes,
        "encoder",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", "S", sizes.width]),
            helper.make_tensor_value_info("mask", TensorProto.INT32, ["B", "S"]),
        ],
        [helper.make_tensor_value_info(o, TensorProto.FLOAT, ["N", sizes.width]) for o in outputs],
        [
            *(numpy_helper.from_array(value, name) for name, value in writer.constants.items()),
            *_weights(sizes, layers),
        ],
    )
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION)


def _weights(sizes: Sizes, layers: int) -> list[onnx.TensorProto]:
    """Names and shapes of what the session is given when it opens."""
    float32, int8 = TensorProto.FLOAT, TensorProto.INT8
    found = [_named(name, float32, sizes.width) for name in ("norm", "norm_bias")]
    for layer in range(layers):
        for product in PRODUCTS:
            name = f"{layer}.{product.name}"
            inputs, outputs = product.shape(sizes)
            found.append(_named(f"{name}.weight", int8, inputs, outputs))
            found += [_named(f"{name}.{part}", float32, outputs) for part in ("scale", "bias")]
            if product.norm:
                parts = ("norm", "norm_bias")
                found += [_named(f"{name}.{part}", float32, outputs) for part in parts]
    return found


def _named(name: str, kind: int, *shape: int) -> onnx.TensorProto:
    tensor = TensorProto(name=name, data_type=kind, dims=shape, data_location=TensorProto.EXTERNAL)
    size = int(np.prod(shape)) * helper.tensor_dtype_to_np_dtype(kind).itemsize
    for key, value in (("location", "weights"), ("offset", "0"), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)
    return tensor


def main() -> None:
    """Parse the command line and write the graphs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("layers", type=int, nargs="+")
    sizes = read_packed(map_file(find_file())).sizes
    for layers in parser.parse_args().layers:
        path: Path = graph_file(layers)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write(sizes, layers).SerializeToString(deterministic=True))
        sums = read_sums() if (path.parent / SUMS).is_file() else {}
        sums[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
        (path.parent / SUMS).write_text(json.dumps(sums, indent=2, sort_keys=True) + "\n", "utf-8")
        print(f"{path.name}  {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
