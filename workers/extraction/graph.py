"""The ONNX graph of a reader's own layers, without weights, in the encoder's 8-bit arithmetic.

Needed once for a number of layers, by who exports a reader; running one takes the written file.
Shapes: B texts, S fields and tokens of the longest, W width; N is B times S.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from workers.encoder.graph import IR_VERSION, OPSETS, GraphWriter
from workers.encoder.layout import LAYER_OUTPUT, PRODUCTS
from workers.encoder.packed import Sizes


def write(sizes: Sizes, layers: int) -> onnx.ModelProto:
    """The graph of `layers` layers over states; the last one's states (N, W) are its output."""
    writer = GraphWriter(sizes)
    writer.add("Shape", ["x"], "shape")
    states = writer.add("Reshape", ["x", "flat"], "packed")
    for layer in range(layers):
        states = writer.layer(states, layer)
    out = helper.make_tensor_value_info(
        LAYER_OUTPUT.format(layers), TensorProto.FLOAT, ["N", sizes.width]
    )
    given = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", "S", sizes.width]),
        helper.make_tensor_value_info("mask", TensorProto.INT32, ["B", "S"]),
    ]
    constants = [numpy_helper.from_array(value, name) for name, value in writer.constants.items()]
    weights = [w for layer in range(layers) for w in _weights(sizes, layer)]
    graph = helper.make_graph(writer.nodes, "reader", given, [out], [*constants, *weights])
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=IR_VERSION)


def _weights(sizes: Sizes, layer: int) -> list[onnx.TensorProto]:
    """Names and shapes of what the session is given when it opens."""
    found = []
    for product in PRODUCTS:
        name = f"{layer}.{product.name}"
        inputs, outputs = product.shape(sizes)
        found.append(_named(f"{name}.weight", TensorProto.INT8, inputs, outputs))
        parts = ("scale", "bias", *(("norm", "norm_bias") if product.norm else ()))
        found += [_named(f"{name}.{part}", TensorProto.FLOAT, outputs) for part in parts]
    return found


def _named(name: str, kind: int, *shape: int) -> onnx.TensorProto:
    tensor = TensorProto(name=name, data_type=kind, dims=shape, data_location=TensorProto.EXTERNAL)
    size = int(np.prod(shape)) * helper.tensor_dtype_to_np_dtype(kind).itemsize
    for key, value in (("location", "weights"), ("offset", "0"), ("length", str(size))):
        tensor.external_data.add(key=key, value=value)
    return tensor
