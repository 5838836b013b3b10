"""What graph and weights agree on: the products of a layer, their names, and the graphs' files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workers.encoder.packed import Sizes

GRAPHS = Path(__file__).parents[1] / "checkpoints" / "encoder"
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


def depths() -> list[int]:
    """The numbers of layers that there are graphs for."""
    return sorted(int(path.stem.removeprefix("encoder-")) for path in GRAPHS.glob("encoder-*.onnx"))
