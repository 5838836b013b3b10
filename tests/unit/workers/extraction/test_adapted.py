"""The encoder's layers with adapters, as a trained reader is stored and run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestra.core.errors import CheckpointInvalid
from workers.encoder.packed import PackedFile, read_packed, unpack
from workers.encoder.source import find_file, map_file
from workers.extraction.adapted import adapted_layers
from workers.extraction.head import SpanHead
from workers.extraction.marks import COUNT

torch = pytest.importorskip("torch")

from workers.training.extraction.export import export  # noqa: E402
from workers.training.extraction.train import fresh_reader  # noqa: E402

LAST = 11  # one layer is enough


@pytest.fixture(scope="module")
def packed() -> PackedFile:
    return read_packed(map_file(find_file()))


def thin(seed: int, *shape: int) -> NDArray[np.float16]:
    return np.random.default_rng(seed).normal(0, 0.1, shape).astype(np.float16)


def test_an_adapter_is_added_to_the_matrix_of_its_part(packed: PackedFile) -> None:
    sides = {"q": (384, 384), "k": (384, 384), "v": (384, 384), "ao": (384, 384),
             "fi": (384, 1536), "fo": (1536, 384)}  # fmt: skip
    adapters = {}
    for part, (inputs, outputs) in sides.items():
        adapters[f"0.{part}.down"] = thin(1, 4, inputs)
        adapters[f"0.{part}.up"] = thin(2, outputs, 4) if part == "k" else np.zeros((outputs, 4))
    found = adapted_layers(packed, LAST, adapters)
    rows = found["0.qkv.weight"].T * found["0.qkv.scale"][:, None]
    step = found["0.qkv.scale"][:, None] * 0.51
    plain = [unpack(*packed.blocks(f"l{LAST}.{part}.w", 384)) for part in "qkv"]
    plain[1] = plain[1] + adapters["0.k.up"].astype(np.float32) @ adapters["0.k.down"]
    assert np.all(np.abs(rows - np.concatenate(plain)) <= step)
    assert found["0.down.weight"].shape == (1536, 384)


def test_a_stored_reader_scores_spans_as_the_trained_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    reader = fresh_reader(depth=1).eval()
    for name, value in reader.named_parameters():
        if name.endswith(".up") or name.startswith("field"):
            torch.nn.init.normal_(value, std=0.03)
    export(reader, tmp_path, {"states_of": LAST, "temperature": 1.0, "least": 0.3})
    draw = np.random.default_rng(0)
    fields, states = (draw.normal(0, 0.5, (n, *s)).astype(np.float32)
                      for n, s in ((3, (2, 384)), (7, (384,))))  # fmt: skip
    marks, alike = np.zeros((7, COUNT), np.float32), np.zeros((3, 7, 3), np.float32)
    pooling = np.eye(7, dtype=np.float32)
    scores = SpanHead.load(tmp_path).scores(fields, states, pooling, marks, alike)
    given = [torch.tensor(a)[None] for a in (fields, states, pooling, marks, alike)]
    whole = [torch.ones(1, n, dtype=torch.bool) for n in (3, 7)]
    with torch.no_grad():
        _, absent = reader(given[0], whole[0], given[1], whole[1], *given[2:])
    assert np.abs(scores.absent - absent[0].numpy()).max() < 0.05
    assert np.abs(scores.absent).max() > 0.05


def test_a_reader_without_an_adapter_cannot_be_loaded(tmp_path: Path) -> None:
    export(fresh_reader(depth=1), tmp_path, {"states_of": 10, "temperature": 1.0, "least": 0.3})
    assert json.loads((tmp_path / "config.json").read_text())["states_of"] == 10
    with pytest.raises(CheckpointInvalid, match=r"1\.q\.up"):
        SpanHead.load(tmp_path)
