"""The bundled graphs of the encoder: those that our code writes, and whole."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest

from orchestra.core.errors import CheckpointInvalid, UsageError
from workers.encoder.graph import write
from workers.encoder.layout import GRAPHS, SUMS, depths, graph_file, read_graph
from workers.encoder.packed import read_packed
from workers.encoder.source import find_file, map_file


def test_the_bundled_graphs_are_what_the_code_writes() -> None:
    sizes = read_packed(map_file(find_file())).sizes
    for layers in depths():
        assert onnx.load(graph_file(layers), load_external_data=False) == write(sizes, layers)


def test_a_changed_graph_or_list_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    shutil.copytree(GRAPHS, folder)
    assert read_graph(6, folder) == graph_file(6).read_bytes()
    with (folder / "encoder-6.onnx").open("r+b") as file:
        file.seek(1000)
        file.write(b"!")
    with pytest.raises(CheckpointInvalid, match=r"encoder-6.onnx' has sha256 .*git checkout"):
        read_graph(6, folder)
    (folder / SUMS).write_text("[")
    with pytest.raises(CheckpointInvalid, match=r"checksums.json' cannot be read"):
        read_graph(12, folder)
    with pytest.raises(UsageError, match=r"no graph of 7 layers \(there are \[6, 12\]\)"):
        read_graph(7, folder)
