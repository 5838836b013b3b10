"""A card's device and the type of the weights: what is taken, and what is said otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from orchestra.core.errors import InvalidFleet
from tests.contract.engine_contract import SCHEMA, TEXT, replies
from tests.tiny_models import tiny_deepseek_vl, tiny_qwen2, tiny_qwen3
from workers.engine import Call, TransformersEngine
from workers.loading.device import placement_of

# No machine has this many.
ABSENT = "cuda:99"


def test_a_gpu_that_is_not_there_says_so_and_how_to_go_on(tmp_path: Path):
    with pytest.raises(InvalidFleet, match=r"'cuda:99'.*sees \d+ GPUs.*'cpu'"):
        TransformersEngine.load(tiny_qwen2(tmp_path / "m"), device=ABSENT)


@pytest.mark.parametrize("device", ["A100", "edge", "cuda:x", "", "mps"])
def test_a_device_that_the_engine_does_not_run_on_is_named(device: str):
    with pytest.raises(InvalidFleet, match="runs on 'cpu', 'cuda'"):
        placement_of(device)


def test_an_unknown_type_lists_the_known_ones():
    with pytest.raises(InvalidFleet, match=r"int4.*bfloat16"):
        placement_of("cpu", "int4")


def test_weights_are_float32_on_a_cpu():
    assert placement_of("cpu").dtype == torch.float32


@pytest.mark.parametrize("make", [tiny_qwen2, tiny_qwen3, tiny_deepseek_vl])
def test_bfloat16_runs_through_every_path(make, tmp_path: Path):
    engine = TransformersEngine.load(make(tmp_path / "m"), dtype="bfloat16")
    session: Any = engine._model._open_session([1], None)
    runs = session._decoder if hasattr(session, "_decoder") else session._model
    assert runs.dtype == torch.bfloat16
    call = Call("Extract.", text=TEXT, schema=SCHEMA, max_tokens=200)
    (reply,) = replies(engine.generate([call]))
    assert list(reply.value) == list(SCHEMA["properties"])
