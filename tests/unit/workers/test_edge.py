"""The edge engine keeps the contract on 8-bit weights, and needs neither torch nor transformers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from transformers import Qwen2ForCausalLM

from orchestra.clients.engine import Call, Reply
from orchestra.errors import CheckpointInvalid, InvalidFleet, PromptTooLong, UsageError
from orchestra.fleet.card import Sampling
from tests.contract.engine_contract import SCHEMA, TEXT, TEXTS, EngineContract, replies
from tests.tiny_models import CONTEXT_TOKENS, tiny_qwen2
from workers.edge import EdgeEngine
from workers.edge_tokenizer import EdgeTokenizer
from workers.engine import TransformersEngine
from workers.onnx import graph, int8
from workers.onnx.layout import Layout
from workers.onnx.weights import SCALE
from workers.tokenizer import load_tokenizer
from workers.training.quantise import quantised

META = {"format": "pt"}
BLOCKED = ("torch", "transformers", "ray", "langgraph", "huggingface_hub", "onnx", "onnxscript")
ALONE = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocked())
from orchestra.clients.engine import Call
from workers.edge import EdgeEngine

schema = {{"type": "object", "properties": {{"kind": {{"enum": ["Apple", "Pear"]}}}}}}
engine = EdgeEngine.load(sys.argv[1])
held, free = engine.generate([Call("Extract.", "An apple.", schema=schema), Call("Go on.")])
print(held.text, held.value["kind"] in schema["properties"]["kind"]["enum"], free.finish)
"""


@pytest.fixture(scope="module")
def float_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_qwen2(tmp_path_factory.mktemp("qwen2"), heads=2)
    config = json.loads((folder / "config.json").read_text())
    model = Qwen2ForCausalLM.from_pretrained(folder)
    for module in model.modules():  # weights as the training leaves them: rounded already
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            values, scale = quantised(module.weight.data)
            module.weight.data = values * scale
    model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({**config, "intermediate_size": 64}))
    model = Qwen2ForCausalLM(Qwen2ForCausalLM.config_class.from_pretrained(folder))
    torch.manual_seed(3)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(float_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("int8")
    int8.pack(float_folder, out)
    graph.write(out)
    return out


@pytest.fixture(scope="module")
def edge(folder: Path) -> EdgeEngine:
    return EdgeEngine.load(folder)


@pytest.fixture
def broken(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))
