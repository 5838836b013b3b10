"""Writes the ONNX graphs of a checkpoint, without its weights: needed once for a shape, not to run.

    python -m workers.onnx.graph workers/checkpoints/r1

It writes `decoder.onnx` into the checkpoint's folder, and `tower.onnx` where the checkpoint looks
at photos: some kilobytes that depend on config.json alone, so weights may be trained again under
them. Every weight is a name, which `weights.py` fills from the safetensors.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import onnx_ir as ir
import torch
from torch.export import Dim

from workers.onnx.decoder_graph import INPUTS, DecoderGraph
from workers.onnx.fused_graph import SEEN, TOLD, FusedDecoderGraph, example
from workers.onnx.layout import GRAPH, LAYOUT_KEY, Layout, cache_names
from workers.onnx.tower_graph import has_tower, without_data, write_tower


def export(layout: Layout) -> ir.Model:
    """The graph of any decoder of this layout; its weights are names without data."""
    caches, cross = cache_names(layout.layers), layout.cross
    graph = DecoderGraph(layout) if cross is None else FusedDecoderGraph(layout, cross)
    more = () if cross is None else example(cross)
    with warnings.catch_warnings():
        # torch's exporter uses a call that torch itself is giving up.
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.onnx.export(
            graph.eval(),
            (*_example(layout), *more),
            input_names=[*INPUTS, *caches, *SEEN[: len(more)]],
            output_names=["logits", *(f"new.{name}" for name in caches), *TOLD[: len(more)]],
            dynamic_shapes=_dynamic(layout),
            dynamo=True,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program.")
    names = {name for name, _ in graph.named_parameters()}
    program.model.metadata_props[LAYOUT_KEY] = layout.to_json()
    return without_data(program.model, names)


def _example(layout: Layout) -> tuple[Any, ...]:
    """Two rows of one and three tokens. Each is a tensor of its own: the exporter joins equals."""
    cache = (2, layout.key_heads, 5, layout.head_width)
    return (
        torch.zeros(4, layout.width),
        torch.zeros(2, 3, dtype=torch.long),
        *(torch.zeros(size, dtype=torch.long) for size in (4, 2, 2)),
        *(torch.zeros(2, dtype=torch.int32) for _ in range(2)),
        torch.tensor(3, dtype=torch.int32),
        [torch.zeros(cache) for _ in range(2 * layout.layers)],
    )


def _dynamic(layout: Layout) -> tuple[Any, ...]:
    any_size = Dim.DYNAMIC
    row = {0: any_size}
    block = {0: any_size, 1: any_size}
    return (
        row,
        block,
        row,
        row,
        row,
        row,
        row,
        None,
        [{0: any_size, 2: any_size}] * 2 * layout.layers,
        *([] if layout.cross is None else [block, row]),
    )


def write(folder: Path) -> list[Path]:
    """Write the graphs of a checkpoint into its folder. Raises CheckpointInvalid."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    path = folder / GRAPH
    ir.save(export(Layout.read(config)), path)
    return [path, write_tower(folder, config)] if has_tower(config) else [path]


def main() -> None:
    """Parse the command line and write the graphs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    for folder in parser.parse_args().checkpoints:
        for path in write(folder):
            print(f"{path}  {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
