"""What graph and weights agree on: the products of a layer, their names, and the graphs' files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from orchestra.core.errors import CheckpointInvalid, UsageError
from workers.encoder.packed import Sizes

GRAPHS = Path(__file__).parents[1] / "checkpoints" / "encoder"
SUMS = "checksums.json"
LAYER_OUTPUT = "layer.{}.out"


@dataclass(frozen=True, slots=True)
class LayerProduct:
    """A matrix of a layer: its name in the graph, and its parts and norm in the packed file."""

    name: str
    parts: tuple[str, ...]
    norm: str = ""
    has_inner_inputs: bool = False
    has_inner_outputs: bool = False

    def shape(self, sizes: Sizes) -> tuple[int, int]:
        """Inputs and outputs."""
        inputs = sizes.inner if self.has_inner_inputs else sizes.width
        outputs = sizes.inner if self.has_inner_outputs else sizes.width
        return inputs, outputs * len(self.parts)


PRODUCTS = (
    LayerProduct("qkv", ("q", "k", "v")),
    LayerProduct("out", ("ao",), norm="aln"),
    LayerProduct("up", ("fi",), has_inner_outputs=True),
    LayerProduct("down", ("fo",), norm="oln", has_inner_inputs=True),
)


def graph_file(layers: int) -> Path:
    """Where the graph of so many layers is."""
    return GRAPHS / f"encoder-{layers}.onnx"


def read_graph(layers: int, folder: Path = GRAPHS) -> bytes:
    """The graph of so many layers.

    Raises UsageError where there is none, and CheckpointInvalid for one that was changed.
    """
    path = folder / graph_file(layers).name
    if not path.is_file():
        raise UsageError(
            f"The encoder has no graph of {layers!r} layers (there are {depths()!r}). Name one of "
            f"these, or make it: python -m workers.encoder.graph {layers}."
        )
    graph = path.read_bytes()
    found, expected = hashlib.sha256(graph).hexdigest(), read_sums(folder).get(path.name)
    if found != expected:
        raise CheckpointInvalid(
            f"{str(path)!r} has sha256 {found!r}, and {SUMS} says {expected!r}. Restore the folder "
            f"(git checkout), or make it again: python -m workers.encoder.graph {layers}."
        )
    return graph


def read_sums(folder: Path = GRAPHS) -> dict[str, str]:
    """SHA-256 by file name. Raises CheckpointInvalid where the list cannot be read."""
    path = folder / SUMS
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise CheckpointInvalid(
            f"{str(path)!r} cannot be read: {error}. Restore the folder (git checkout)."
        ) from error


def depths() -> list[int]:
    """The numbers of layers that there are graphs for."""
    return sorted(int(path.stem.removeprefix("encoder-")) for path in GRAPHS.glob("encoder-*.onnx"))
