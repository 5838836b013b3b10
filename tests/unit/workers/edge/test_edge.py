"""The edge engine keeps the contract on 8-bit weights, and needs neither torch nor transformers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from transformers import Qwen2ForCausalLM

from orchestra.core.call import Call, Reply
from orchestra.core.card import Sampling
from orchestra.core.errors import CheckpointInvalid, InvalidFleet, PromptTooLong, UsageError
from tests.contract.engine_contract import SCHEMA, TEXTS, EngineContract, replies
from tests.tiny_models import CONTEXT_TOKENS, tiny_qwen2
from workers.edge.engine import EdgeEngine
from workers.engine import TransformersEngine
from workers.loading.plain_tokenizer import PlainTokenizer
from workers.loading.tokenizer import load_tokenizer
from workers.onnx import graph, int8
from workers.onnx.decoder import OnnxDecoder
from workers.onnx.layout import Layout
from workers.onnx.session import OnnxSession
from workers.onnx.weights import SCALE
from workers.training.edge.quantise import quantised

META = {"format": "pt"}
BUNDLED = Path(__file__).parents[4] / "workers" / "checkpoints"
BLOCKED = ("torch", "transformers", "ray", "langgraph", "huggingface_hub", "onnx", "onnxscript")
ALONE = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocked())
from orchestra.core.call import Call
from workers.edge.engine import EdgeEngine

schema = {{"type": "object", "properties": {{"kind": {{"enum": ["Apple", "Pear"]}}}}}}
engine = EdgeEngine.load(sys.argv[1])
held, free = engine.generate([Call("Extract.", "An apple.", schema=schema), Call("Go on.")])
print(held.text, held.value["kind"] in schema["properties"]["kind"]["enum"], free.finish)
"""


@pytest.fixture(scope="module")
def float_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights as the training leaves them: float32, but rounded already."""
    folder = tiny_qwen2(tmp_path_factory.mktemp("qwen2"), heads=2, inner=64)
    model = Qwen2ForCausalLM.from_pretrained(folder)
    for module in model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            values, scale = quantised(module.weight.data)
            module.weight.data = values * scale
    model.save_pretrained(folder)
    graph.write(folder)
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


class TestEdgeEngine(EngineContract):
    context_tokens = CONTEXT_TOKENS

    @pytest.fixture
    def engine(self, edge: EdgeEngine) -> EdgeEngine:
        return edge

    def test_an_image_is_its_rows_error(self, engine: EdgeEngine):
        photo = Image.new("RGB", (8, 8))
        fine, error = engine.generate([self.call(), self.call(images=(photo,))])
        assert isinstance(fine, Reply)
        assert isinstance(error, UsageError)
        assert "text only" in str(error)


def calls(**changes) -> list[Call]:
    given = {"schema": SCHEMA, "max_tokens": 200, **changes}
    return [Call("Extract what the text states.", text=text, **given) for text in TEXTS]


def test_float_weights_give_the_tokens_of_transformers(float_folder: Path):
    for changes in ({}, {"schema": None, "max_tokens": 40}):
        expected = replies(TransformersEngine.load(float_folder).generate(calls(**changes)))
        found = replies(EdgeEngine.load(float_folder).generate(calls(**changes)))
        assert [r.text for r in found] == [r.text for r in expected]


def test_sampled_tokens_are_those_of_transformers(float_folder: Path):
    warm = Sampling(temperature=0.6, top_p=0.9, seed=7)
    asked = calls(schema=None, max_tokens=40)
    expected = replies(TransformersEngine.load(float_folder, sampling=warm).generate(asked))
    found = replies(EdgeEngine.load(float_folder, sampling=warm).generate(asked))
    assert [r.text for r in found] == [r.text for r in expected]


def test_eight_bits_score_tokens_nearly_as_the_rounded_floats_do(folder: Path, float_folder: Path):
    scores = []
    for place in (folder, float_folder):
        config = json.loads((place / "config.json").read_text())
        session = OnnxSession(OnnxDecoder.load(place, config, 1), [20, 20])
        session.extend([[7, 8, 9, 10, 11], [20]])
        scores.append(session.extend([[40], [41, 42]]))
    error = np.abs(scores[0] - scores[1]).max() / np.abs(scores[1]).max()
    assert 0 < error < 0.05


def test_packing_keeps_rounded_weights_in_a_byte_each(folder: Path, float_folder: Path):
    packed, plain = (load_file(place / "model.safetensors") for place in (folder, float_folder))
    for name, weight in plain.items():
        if weight.ndim == 2:
            assert packed[name].dtype == np.int8
            restored = packed[name] * packed[name + SCALE][:, None]
            np.testing.assert_allclose(restored, weight, rtol=1e-5, atol=1e-7)


def test_it_runs_where_torch_transformers_and_ray_cannot_be_imported(folder: Path):
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1] == "True"


def test_its_tokenizer_and_template_give_the_ids_of_transformers(folder: Path):
    ours, theirs = PlainTokenizer(folder, 1000), load_tokenizer(folder, 1000)
    messages = [
        {"role": "user", "content": "Is it red? 红色"},
        {"role": "assistant", "content": "No"},
    ]
    settings: dict[str, Any] = {"tokenize": False, "add_generation_prompt": True}
    rendered = ours.apply_chat_template(messages, **settings)
    assert rendered == theirs.apply_chat_template(messages, **settings)
    assert ours.encode(rendered) == theirs.encode(rendered)
    assert (len(ours), ours.eos_token_id) == (len(theirs), theirs.eos_token_id)
    assert ours.get_added_vocab() == theirs.get_added_vocab()


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "tokenizer_config.json"])
def test_a_missing_file_is_named(broken: Path, name: str):
    (broken / name).unlink()
    with pytest.raises(CheckpointInvalid, match=name):
        EdgeEngine.load(broken)


def test_a_missing_graph_is_named_with_the_command_that_makes_it(broken: Path):
    (broken / "decoder.onnx").unlink()
    with pytest.raises(CheckpointInvalid, match=r"decoder\.onnx.*python -m workers\.onnx\.graph"):
        EdgeEngine.load(broken)


def test_a_missing_template_is_named(broken: Path):
    (broken / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointInvalid, match=r"chat_template\.jinja"):
        EdgeEngine.load(broken)


def test_weights_whose_hash_is_another_are_refused(broken: Path):
    (broken / "checksums.json").write_text(json.dumps({"model.safetensors": "0" * 64}))
    with pytest.raises(CheckpointInvalid, match="sha256"):
        EdgeEngine.load(broken)


def test_weights_without_scales_are_refused(broken: Path):
    tensors = load_file(broken / "model.safetensors")
    del tensors["model.layers.0.mlp.up_proj.weight" + SCALE]
    save_file(tensors, broken / "model.safetensors", META)
    with pytest.raises(CheckpointInvalid, match=r"up_proj\.weight_scale"):
        EdgeEngine.load(broken)


def test_a_prompt_longer_than_the_context_is_its_rows_error(edge: EdgeEngine):
    long, fine = edge.generate([Call("Go on.", text="word " * 2 * CONTEXT_TOKENS), Call("Go on.")])
    assert isinstance(long, PromptTooLong)
    assert str(CONTEXT_TOKENS) in str(long)
    assert isinstance(fine, Reply)


def test_another_device_is_refused(broken: Path):
    with pytest.raises(InvalidFleet, match="'cuda'"):
        EdgeEngine.load(broken, device="cuda")


def test_widths_without_eight_bit_products_are_refused(tmp_path: Path):
    with pytest.raises(CheckpointInvalid, match="multiples of 32"):
        int8.pack(tiny_qwen2(tmp_path / "odd", heads=2), tmp_path / "out")


def test_weights_that_another_tool_quantised_are_refused(broken: Path):
    config = json.loads((broken / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    with pytest.raises(CheckpointInvalid, match="gptq"):
        Layout.read(config)


def test_transformers_is_never_given_eight_bit_weights(folder: Path):
    with pytest.raises(CheckpointInvalid, match=r"8-bit rows.*EdgeEngine"):
        TransformersEngine.load(folder)


def test_the_bundled_weights_take_a_quarter_of_r1s_at_most():
    r1, v2 = (BUNDLED / name / "model.safetensors" for name in ("r1", "v2"))
    assert 4 * v2.stat().st_size <= r1.stat().st_size


def test_the_bundled_model_reads_a_product_text():
    span = {"anyOf": [{"type": "string", "x-span": True}, {"type": "null"}]}
    schema = {"type": "object", "properties": dict.fromkeys(("name", "origin", "quantity"), span)}
    text = "name: Golden Delicious\ndescription: A sweet and juicy apple from Italy, 500 g."
    call = Call("Extract what the text states.", text=text, schema=schema)
    (reply,) = replies(EdgeEngine.load(BUNDLED / "v2").generate([call]))
    assert reply.value == {"name": "Golden Delicious", "origin": "Italy", "quantity": "500 g"}
