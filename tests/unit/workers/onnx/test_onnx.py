"""The ONNX Runtime engine keeps the contract, and gives the tokens of transformers."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

from orchestra.core.call import Call, Reply
from orchestra.core.errors import CheckpointInvalid, InvalidFleet, UsageError
from tests.contract.engine_contract import SCHEMA, TEXTS, EngineContract, replies
from tests.tiny_models import CONTEXT_TOKENS, tiny_deepseek_vl, tiny_qwen2, tiny_qwen3
from workers.decoding.answering import AnsweringEngine
from workers.engine import TransformersEngine
from workers.onnx import graph
from workers.onnx.engine import OnnxEngine
from workers.onnx.layout import Layout

HEADS = 2  # of 16: onnxruntime attends over no narrower ones
PHOTOS = tuple(Image.new("RGB", (9, 9), colour) for colour in ("red", "blue"))
META = {"format": "pt"}


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_qwen2(tmp_path_factory.mktemp("qwen2"), heads=HEADS)
    graph.write(folder)
    return folder


@pytest.fixture(scope="module")
def vision_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny_deepseek_vl(tmp_path_factory.mktemp("vl"), heads=HEADS)
    graph.write(folder)
    return folder


@pytest.fixture(scope="module")
def text_engine(text_folder: Path) -> AnsweringEngine:
    return OnnxEngine.load(text_folder)


@pytest.fixture(scope="module")
def vision_engine(vision_folder: Path) -> AnsweringEngine:
    return OnnxEngine.load(vision_folder)


@pytest.fixture
def broken(text_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(text_folder, tmp_path / "copy"))


def calls(**changes) -> list[Call]:
    given = {"schema": SCHEMA, "max_tokens": 200, **changes}
    return [Call("Extract what the text states.", text=text, **given) for text in TEXTS]


class TestTextOnOnnx(EngineContract):
    context_tokens = CONTEXT_TOKENS

    @pytest.fixture
    def engine(self, text_engine: AnsweringEngine) -> AnsweringEngine:
        return text_engine

    def test_it_is_onnxruntime_that_runs(self, engine: AnsweringEngine):
        assert isinstance(engine, OnnxEngine)

    def test_an_image_for_a_text_model_is_its_rows_error(self, engine: AnsweringEngine):
        fine, error = engine.generate([self.call(), self.call(images=PHOTOS)])
        assert isinstance(fine, Reply)
        assert isinstance(error, UsageError)


class TestVisionOnOnnx(EngineContract):
    context_tokens = CONTEXT_TOKENS

    @pytest.fixture
    def engine(self, vision_engine: AnsweringEngine) -> AnsweringEngine:
        return vision_engine

    def test_rows_with_and_without_photos_answer_as_transformers_does(
        self, engine: AnsweringEngine, vision_folder: Path
    ):
        photos = [PHOTOS[:1], (), PHOTOS, PHOTOS[1:], ()]
        asked = [self.call(t, images=i) for t, i in zip(TEXTS, photos, strict=True)]
        expected = replies(TransformersEngine.load(vision_folder).generate(asked))
        found = replies(engine.generate(asked))
        assert [r.text for r in found] == [r.text for r in expected]
        for one, other in zip(found, expected, strict=True):
            assert one.confidence == pytest.approx(other.confidence, rel=1e-3)


@pytest.mark.parametrize("changes", [{}, {"schema": None, "max_tokens": 40}])
def test_tokens_are_those_of_the_transformers_engine(
    text_folder: Path, text_engine: AnsweringEngine, changes: dict
):
    expected = replies(TransformersEngine.load(text_folder).generate(calls(**changes)))
    found = replies(text_engine.generate(calls(**changes)))
    assert [r.text for r in found] == [r.text for r in expected]
    assert [r.usage.output_tokens for r in found] == [r.usage.output_tokens for r in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.confidence == pytest.approx(other.confidence, rel=1e-3)


def test_a_graph_outlives_a_second_training(broken: Path):
    tiny_qwen2(broken, seed=1, heads=HEADS)
    expected = replies(TransformersEngine.load(broken).generate(calls()))
    engine = OnnxEngine.load(broken)
    assert isinstance(engine, OnnxEngine)
    assert [r.text for r in replies(engine.generate(calls()))] == [r.text for r in expected]


def test_weights_in_half_precision_answer_as_under_transformers(broken: Path):
    Qwen2ForCausalLM.from_pretrained(broken).half().save_pretrained(broken)
    expected = replies(TransformersEngine.load(broken).generate(calls()))
    found = replies(OnnxEngine.load(broken).generate(calls()))
    assert [r.text for r in found] == [r.text for r in expected]


def test_without_a_graph_transformers_runs_and_it_is_said(
    broken: Path, caplog: pytest.LogCaptureFixture
):
    (broken / "decoder.onnx").unlink()
    engine = OnnxEngine.load(broken)
    assert type(engine) is TransformersEngine
    assert "'decoder.onnx' is missing" in caplog.text
    assert "python -m workers.onnx.graph" in caplog.text
    assert replies(engine.generate(calls()))


def test_a_graph_of_another_shape_is_refused(broken: Path):
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 0.5}))
    with pytest.raises(CheckpointInvalid, match=r"was made for.*Make it with"):
        OnnxEngine.load(broken)


def test_a_damaged_graph_is_found(broken: Path):
    path = broken / "decoder.onnx"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(CheckpointInvalid, match="onnxruntime cannot load"):
        OnnxEngine.load(broken)


def test_a_file_that_changed_since_its_hash_was_written_is_found(broken: Path):
    (broken / "checksums.json").write_text(json.dumps({"decoder.onnx": "0" * 64}))
    with pytest.raises(CheckpointInvalid, match=r"decoder\.onnx.*sha256"):
        OnnxEngine.load(broken)


def test_weights_without_a_tensor_are_found(broken: Path):
    tensors = load_file(broken / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, broken / "model.safetensors", META)
    with pytest.raises(CheckpointInvalid, match=r"model\.norm\.weight"):
        OnnxEngine.load(broken)


def test_a_missing_tokenizer_is_named(broken: Path):
    (broken / "tokenizer.json").unlink()
    with pytest.raises(CheckpointInvalid, match=r"tokenizer\.json"):
        OnnxEngine.load(broken)


def test_a_family_without_a_graph_is_named(tmp_path: Path, broken: Path):
    folder = tiny_qwen3(tmp_path / "qwen3")
    with pytest.raises(CheckpointInvalid, match="model_type is 'qwen3'"):
        graph.write(folder)


@pytest.mark.parametrize("settings", [{"device": "cuda"}, {"dtype": "bfloat16"}])
def test_another_device_or_type_is_refused(broken: Path, settings: dict[str, str]):
    with pytest.raises(InvalidFleet, match="TransformersEngine"):
        OnnxEngine.load(broken, **settings)  # pyright: ignore[reportArgumentType]


def test_a_setting_that_the_graph_lacks_is_named():
    config = Qwen2Config(use_sliding_window=True, sliding_window=4).to_dict()
    with pytest.raises(CheckpointInvalid, match="use_sliding_window is True"):
        Layout.read(config)


def test_heads_that_onnxruntime_cannot_attend_over_are_named(tmp_path: Path):
    with pytest.raises(CheckpointInvalid, match="heads are 8 wide"):
        graph.write(tiny_qwen2(tmp_path))
