"""The fused model keeps the engine contract and answers from text, image, or both."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import nn
from transformers import Qwen2Config

from orchestra.core.call import Call
from orchestra.core.errors import OutsideDomain, UsageError
from tests.contract.engine_contract import TEXT, EngineContract, replies
from tests.tiny_models import CONTEXT_TOKENS, tiny_tokenizer, write_domain
from workers.decoding.answering import AnsweringEngine
from workers.engine import TransformersEngine
from workers.fused.model import FusedModel
from workers.fused.network import FusedConfig, FusedForConditionalGeneration, GatedCross, Vision
from workers.fused.prompt import pixels_of
from workers.onnx import graph
from workers.onnx.engine import OnnxEngine
from workers.training.gradients.coordinate import project, set_gradients
from workers.training.pictures.photos import normalise, square
from workers.vision.lite import LiteTowerConfig

SIDE = 64
FREE = {"type": "object", "properties": {"note": {"type": "string", "maxLength": 30}}}


def write_model(folder: Path, need: float, gate: float, heads: int = 4) -> Path:
    """A tiny fused checkpoint whose probe always says `need`, with gates at `gate`."""
    torch.manual_seed(0)
    tokenizer = tiny_tokenizer()
    text = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=heads, num_key_value_heads=2, max_position_embeddings=CONTEXT_TOKENS,
        initializer_range=0.4, tie_word_embeddings=True,
    )  # fmt: skip
    tower = LiteTowerConfig(
        image_size=SIDE, stem=8, stages=[(3, 2, 1, 8, 1)] * 4, embedding_size=8, fine_stage=2,
        is_folded=True,
    )  # fmt: skip
    config = FusedConfig(text, tower, cross_layers=(1,), cross_width=12, cross_heads=3)
    model = FusedForConditionalGeneration(config)
    with torch.no_grad():
        model.need.weight.zero_()
        model.need.bias.fill_(need)
        nn.init.normal_(model.aligner.places)
        for module in model.modules():
            if isinstance(module, GatedCross):
                module.gate.fill_(gate)
                for linear in (module.query, module.key_value, module.out):
                    nn.init.normal_(linear.weight)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def open_engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    folder = write_model(tmp_path_factory.mktemp("open"), need=5.0, gate=2.0)
    return TransformersEngine.load(folder)


@pytest.fixture
def photo() -> Image.Image:
    return Image.effect_mandelbrot((90, 60), (-2, -1.5, 1, 1.5), 30).convert("RGB")


class TestFusedEngine(EngineContract):
    context_tokens = CONTEXT_TOKENS

    @pytest.fixture
    def engine(self, open_engine: TransformersEngine) -> TransformersEngine:
        return open_engine


class TestFusedEngineWithImages(EngineContract):
    context_tokens = CONTEXT_TOKENS

    @pytest.fixture
    def engine(self, open_engine: TransformersEngine) -> TransformersEngine:
        return open_engine

    def call(self, text: str | None = TEXT, **changes) -> Call:
        picture = Image.radial_gradient("L").resize((90, 60)).convert("RGB")
        return super().call(text, **{"images": (picture,), **changes})


@pytest.fixture(scope="module")
def onnx_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # Two heads of 16: onnxruntime attends over no narrower ones.
    folder = write_model(tmp_path_factory.mktemp("onnx"), need=5.0, gate=2.0, heads=2)
    graph.write(folder)
    return folder


@pytest.fixture(scope="module")
def onnx_engine(onnx_folder: Path) -> AnsweringEngine:
    return OnnxEngine.load(onnx_folder)


class TestFusedOnOnnx(EngineContract):
    context_tokens = CONTEXT_TOKENS

    @pytest.fixture
    def engine(self, onnx_engine: AnsweringEngine) -> AnsweringEngine:
        return onnx_engine


def test_on_onnxruntime_it_answers_and_weighs_as_under_torch(onnx_folder, onnx_engine, photo):
    assert isinstance(onnx_engine, OnnxEngine)
    calls = [
        Call("Describe.", text=TEXT, schema=FREE),
        Call("Describe.", images=(photo,), schema=FREE),
        Call("Describe.", text=TEXT, images=(photo,), schema=FREE),
    ]
    expected = replies(TransformersEngine.load(onnx_folder).generate(calls))
    found = replies(onnx_engine.generate(calls))
    for one, other in zip(found, expected, strict=True):
        assert one.text == other.text
        assert one.modality_weights == pytest.approx(other.modality_weights, abs=1e-3)


def test_one_batch_answers_from_text_image_and_both(open_engine, photo):
    calls = [
        Call("Describe.", text=TEXT, schema=FREE),
        Call("Describe.", images=(photo,), schema=FREE),
        Call("Describe.", text=TEXT, images=(photo,), schema=FREE),
    ]
    together = replies(open_engine.generate(calls))
    alone = [replies(open_engine.generate([call]))[0] for call in calls]
    assert [r.text for r in together] == [r.text for r in alone]
    assert together[0].text != together[2].text
    for one, other in zip(together, alone, strict=True):
        assert one.modality_weights == pytest.approx(other.modality_weights, rel=1e-3)


def test_what_the_modalities_weighed_is_reported_and_is_one_together(open_engine, photo):
    read, seen = replies(
        open_engine.generate(
            [Call("Say.", text="x", schema=FREE), Call("Say.", images=(photo,), schema=FREE)]
        )
    )
    assert read.modality_weights == {"text": 1.0, "image": 0.0}
    assert 0 < seen.modality_weights["image"] < 1
    assert sum(seen.modality_weights.values()) == pytest.approx(1)


def test_closed_gates_leave_the_text_stream_as_it_is(tmp_path, photo):
    engine = TransformersEngine.load(write_model(tmp_path, need=5.0, gate=0.0))
    read, both = replies(
        engine.generate(
            [
                Call("Say.", text=TEXT, schema=FREE),
                Call("Say.", text=TEXT, images=(photo,), schema=FREE),
            ]
        )
    )
    assert read.text == both.text
    assert both.modality_weights["image"] == 0


@pytest.mark.parametrize(
    ("need", "text", "looked"), [(-5.0, TEXT, 0), (-5.0, None, 1), (5.0, TEXT, 1)]
)
def test_the_tower_is_skipped_only_where_a_text_is_enough(tmp_path, photo, need, text, looked):
    engine = TransformersEngine.load(write_model(tmp_path, need=need, gate=2.0))
    (reply,) = replies(engine.generate([Call("Say.", text=text, images=(photo,), schema=FREE)]))
    assert isinstance(engine._model, FusedModel)
    assert engine._model.looked == looked
    assert (reply.modality_weights["image"] > 0) == bool(looked)


def test_more_images_than_one_are_an_error_of_their_row(open_engine, photo):
    error, fine = open_engine.generate(
        [Call("Say.", images=(photo, photo)), Call("Say.", text="x", max_tokens=4)]
    )
    assert isinstance(error, UsageError)
    assert "has 2" in str(error)
    assert not isinstance(fine, Exception)


def test_a_photo_is_seen_as_in_training(photo):
    assert torch.equal(torch.from_numpy(pixels_of(photo, SIDE)), normalise(square(photo, SIDE)))


@pytest.mark.parametrize("size", [(1, 1), (800, 100)])
def test_odd_photos_are_padded_to_a_square(size):
    assert pixels_of(Image.new("RGB", size, "red"), SIDE).shape == (3, SIDE, SIDE)


def test_the_alignment_loss_is_lower_for_the_right_texts():
    torch.manual_seed(0)
    aligner = FusedForConditionalGeneration(
        FusedConfig({"hidden_size": 16, "num_attention_heads": 4, "num_hidden_layers": 1},
                    {"image_size": SIDE}, cross_layers=(), cross_width=12)
    ).aligner  # fmt: skip
    aligner.text_head.load_state_dict(aligner.image_head.state_dict())
    text_BW = torch.randn(6, 16)
    image_BTW = text_BW[:, None].expand(-1, 3, -1)
    assert aligner.loss(image_BTW, text_BW) < aligner.loss(image_BTW, text_BW.roll(1, 0))


def test_conflicting_gradients_lose_what_conflicts():
    right, left_up = torch.tensor([1.0, 0.0]), torch.tensor([-1.0, 1.0])
    first, second = project([right, left_up])
    assert first @ left_up == pytest.approx(0, abs=1e-6)
    assert second @ right == pytest.approx(0, abs=1e-6)
    kept = project([right, torch.tensor([1.0, 1.0])])
    assert torch.equal(kept[0], right)


@pytest.mark.parametrize(("coordinate", "expected"), [(False, [0.0, 1.0]), (True, [0.5, 1.5])])
def test_coordination_changes_only_conflicting_steps(coordinate, expected):
    weight = nn.Parameter(torch.zeros(2))
    losses = [weight[0], weight[1] - weight[0]]
    assert set_gradients(losses, [weight], coordinate)
    assert weight.grad is not None
    assert weight.grad.tolist() == expected


def test_rows_without_an_image_are_not_moved_by_those_with_one():
    torch.manual_seed(0)
    cross = GatedCross(16, 12, 3)
    nn.init.ones_(cross.gate)
    shown_B = torch.tensor([1.0, 0.0])
    added = cross(torch.randn(2, 3, 16), Vision(torch.randn(2, 5, 16), shown_B))
    assert added[0].abs().sum() > 0
    assert added[1].abs().sum() == 0


@pytest.fixture
def strange(tmp_path: Path) -> TransformersEngine:
    """A fused engine to which no photo is known."""
    folder = write_model(tmp_path, need=5.0, gate=2.0)
    write_domain(folder, width=8, knows=False)
    return TransformersEngine.load(folder)


def test_a_photo_outside_the_domain_leaves_the_answer_to_the_text(strange, photo):
    read, both = replies(
        strange.generate(
            [
                Call("Say.", text=TEXT, schema=FREE),
                Call("Say.", text=TEXT, images=(photo,), schema=FREE),
            ]
        )
    )
    assert both.value == read.value
    assert both.abstained == {}
    assert both.modality_weights == {"text": 1.0, "image": 0.0}


def test_a_photo_outside_the_domain_and_no_text_leave_the_reason_alone(strange, photo):
    said, asked = strange.generate(
        [Call("Say.", images=(photo,), schema=FREE), Call("Say.", images=(photo,), max_tokens=8)]
    )
    assert said.value == {"note": None}
    assert said.abstained == {"note": "unknown here"}
    assert isinstance(asked, OutsideDomain)


def test_a_known_photo_is_answered_as_without_a_domain(open_engine, tmp_path, photo):
    folder = write_model(tmp_path, need=5.0, gate=2.0)
    write_domain(folder, width=8, knows=True)
    call = Call("Say.", text=TEXT, images=(photo,), schema=FREE)
    known, plain = (
        replies(engine.generate([call]))[0]
        for engine in (TransformersEngine.load(folder), open_engine)
    )
    assert known.value == plain.value
    assert known.confidence["note"] == pytest.approx(plain.confidence["note"] / 2, rel=1e-3)
