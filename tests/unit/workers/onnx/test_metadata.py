"""What an ONNX file says of itself is read without loading it."""

import json
from pathlib import Path

import pytest

from workers.onnx.metadata import metadata

BUNDLED = Path(__file__).parents[4] / "workers" / "checkpoints"


def test_a_graph_names_its_weights() -> None:
    found = metadata((BUNDLED / "vl" / "tower.onnx").read_bytes())
    assert "model.vision_model.stem.conv.weight" in json.loads(found["orchestra.weights"])


@pytest.mark.parametrize("data", [b"\x72\x7f", b"\xff", b"\x0b", b"\x08"])
def test_what_is_no_onnx_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="byte"):
        metadata(data)


def test_an_empty_file_says_nothing() -> None:
    assert metadata(b"") == {}
