"""Loads a decoder into ONNX Runtime: the graph from `decoder.onnx`, the weights from safetensors.

It knows no tokens, no batch and no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state  # pyright: ignore

from orchestra.core.errors import CheckpointInvalid
from workers.onnx.layout import GRAPH, LAYOUT_KEY, Layout
from workers.onnx.weights import Array, EmbeddingTable, read_weights

# What onnxruntime raises for a graph or weights that it cannot load.
REFUSALS: tuple[type[Exception], ...] = tuple(
    getattr(onnxruntime_pybind11_state, name)
    for name in ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
)


class OnnxDecoder:
    """One decoder in memory: its embedding, and a session that runs its graph."""

    def __init__(
        self,
        layout: Layout,
        table: EmbeddingTable,
        weights: Mapping[str, Array],
        session: onnxruntime.InferenceSession,
    ) -> None:
        self.layout = layout
        self.table = table
        self.session = session
        self._weights = weights  # the session reads some of them where they lie

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any], threads: int) -> OnnxDecoder:
        """Load a checked folder, to run on `threads` threads. Raises CheckpointInvalid."""
        layout = Layout.read(config)
        path = folder / GRAPH
        table, weights = read_weights(folder, layout)
        session = open_graph(path, graph_bytes(path), weights, threads)
        written = session.get_modelmeta().custom_metadata_map.get(LAYOUT_KEY, "{}")
        if json.loads(written) != json.loads(layout.to_json()):
            raise CheckpointInvalid(
                f"{str(path)!r} was made for {written}, config.json says {layout.to_json()}. "
                f"{remake(folder)}"
            )
        return cls(layout, table, weights, session)


def remake(folder: Path) -> str:
    """What makes the graphs of a folder anew."""
    return f"Make it with: python -m workers.onnx.graph {str(folder)!r}"


def graph_bytes(path: Path) -> bytes:
    """The file of a graph. Raises CheckpointInvalid where there is none."""
    if not path.is_file():
        raise CheckpointInvalid(
            f"{path.name!r} is missing from {str(path.parent)!r}. {remake(path.parent)}"
        )
    return path.read_bytes()


def open_graph(
    path: Path, graph: bytes, weights: Mapping[str, Array], threads: int
) -> onnxruntime.InferenceSession:
    """A session of the `graph` at `path`, on a CPU. Raises CheckpointInvalid."""
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
    except REFUSALS as error:
        raise CheckpointInvalid(
            f"onnxruntime cannot load {str(path)!r}: {error}. {remake(path.parent)}"
        ) from error
