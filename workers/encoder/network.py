"""Runs the encoder in ONNX Runtime: token ids to the states of a layer; knows no texts.

Shapes: B texts, S tokens of the longest, W width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from orchestra.core.errors import CheckpointInvalid
from workers.encoder.int8 import to_rows
from workers.encoder.layout import LAYER_OUTPUT, PRODUCTS, read_graph
from workers.encoder.packed import PackedFile, split, unpack


class Network:
    """One encoder in memory; threads may share it."""

    def __init__(self, packed: PackedFile, layers: int, threads: int) -> None:
        sizes = packed.sizes
        self.layers, self.width, self.positions = layers, sizes.width, sizes.positions
        self._words_VGB = packed.raw_blocks("emb.word", sizes.width)
        types = packed.floats("emb.type")[: sizes.width]
        self._places_SW = packed.floats("emb.pos").reshape(-1, sizes.width) + types
        self._weights = _weights(packed, layers)  # the session reads some of them where they lie
        self._session = _open(layers, self._weights, threads)

    def states(
        self, rows: Sequence[NDArray[np.int32]], wanted: Sequence[int]
    ) -> list[list[NDArray[np.float32]]]:
        """For each row of ids its states (S, W) after each of the `wanted` layers."""
        lengths = [len(row) for row in rows]
        used_BS = np.arange(max(lengths)) < np.array(lengths)[:, None]
        x_BSW = np.zeros((*used_BS.shape, self.width), np.float32)
        x_BSW[used_BS] = self._embed(np.concatenate(rows))
        x_BSW += self._places_SW[: used_BS.shape[1]]
        names = [LAYER_OUTPUT.format(layer) for layer in wanted]
        given = {"x": x_BSW, "mask": used_BS.astype(np.int32)}
        outputs = [np.reshape(out, x_BSW.shape) for out in self._run(names, given)]
        return [[out[at, :n] for out in outputs] for at, n in enumerate(lengths)]

    def _run(self, names: list[str], given: dict[str, NDArray[Any]]) -> list[Any]:
        return list(self._session.run(names, given))

    def _embed(self, ids: NDArray[np.int32]) -> NDArray[np.float32]:
        return unpack(*split(self._words_VGB[ids]))


def _weights(packed: PackedFile, layers: int) -> dict[str, NDArray[Any]]:
    width = packed.sizes.width
    found = {"norm": packed.floats("emb.ln.w"), "norm_bias": packed.floats("emb.ln.b")}
    for layer in range(layers):
        for product in PRODUCTS:
            inputs = packed.sizes.inner if product.has_inner_inputs else width
            name, parts = f"{layer}.{product.name}", [f"l{layer}.{p}" for p in product.parts]
            rows = [to_rows(*packed.blocks(f"{part}.w", inputs)) for part in parts]
            found[f"{name}.weight"] = np.concatenate([values for values, _ in rows], axis=1)
            found[f"{name}.scale"] = np.concatenate([scale for _, scale in rows])
            found[f"{name}.bias"] = np.concatenate([packed.floats(f"{p}.b") for p in parts])
            if product.norm:
                found[f"{name}.norm"] = packed.floats(f"l{layer}.{product.norm}.w")
                found[f"{name}.norm_bias"] = packed.floats(f"l{layer}.{product.norm}.b")
    return found


def _open(
    layers: int, weights: dict[str, NDArray[Any]], threads: int
) -> onnxruntime.InferenceSession:
    graph = read_graph(layers)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that wait in a loop would take the CPU from the other models of a fleet.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    values = [onnxruntime.OrtValue.ortvalue_from_numpy(weight) for weight in weights.values()]
    options.add_external_initializers(list(weights), values)
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has no base of its own for what it refuses
        raise CheckpointInvalid(
            f"onnxruntime cannot load the encoder's graph of {layers!r} layers: {error}. Make it "
            f"again: python -m workers.encoder.graph {layers}."
        ) from error
