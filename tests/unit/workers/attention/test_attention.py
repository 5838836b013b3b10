"""Attention maps of tiny random models: of the answer that is given, for keys with a choice.

What a map is worth is measured on trained weights by `python -m benchmarks.attention`.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from orchestra.core.call import Call, Reply
from orchestra.core.errors import AnswerTruncated, UsageError
from orchestra.images.attention import AttentionMap
from tests.tiny_models import tiny_deepseek_vl, tiny_lite_vl, tiny_qwen2
from workers.attention import METHODS, VisualAttentionMapper
from workers.engine import TransformersEngine

COLOURS = {"enum": ["red", "green", "blue"]}
SCHEMA = {"type": "object", "properties": {"colour": COLOURS, "shirt": {"type": "boolean"}}}
PHOTO = Image.effect_noise((48, 24), 90).convert("RGB")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    return TransformersEngine.load(tiny_deepseek_vl(tmp_path_factory.mktemp("vl")))


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    return TransformersEngine.load(tiny_lite_vl(tmp_path_factory.mktemp("lite")))


def call(**given: object) -> Call:
    values = {"images": (PHOTO,), "schema": SCHEMA, **given}
    return Call("Describe it.", **values)  # type: ignore[arg-type]


def total(found: AttentionMap) -> float:
    return sum(map(sum, found.weights))


@pytest.mark.parametrize("method", METHODS)
def test_each_key_has_a_map_that_sums_to_one(engine: TransformersEngine, method: str) -> None:
    maps = engine.attend(call(), method)
    assert [found.name for found in maps] == ["colour", "shirt"]
    for found in maps:
        assert found.method == method
        assert total(found) == pytest.approx(1.0)
        assert min(map(min, found.weights)) >= 0
        assert found.rows == found.columns


@pytest.mark.parametrize("method", ["raw", "gradient"])
def test_maps_belong_to_the_answer_that_is_given(engine: TransformersEngine, method: str) -> None:
    (reply,) = engine.generate([call()])
    assert isinstance(reply, Reply)
    maps = engine.attend(call(), method)
    assert {found.name: found.value for found in maps} == reply.value
    for found in maps:
        assert found.confidence == pytest.approx(reply.confidence[found.name])
        assert any(token.text.strip('"') in found.text for token in found.tokens)


def test_the_answer_is_the_same_after_a_map_was_made(engine: TransformersEngine) -> None:
    before = engine.generate([call()])
    engine.attend(call(), "raw")
    after = engine.generate([call()])
    assert [(r.text, r.confidence) for r in before if isinstance(r, Reply)] == [
        (r.text, r.confidence) for r in after if isinstance(r, Reply)
    ]


def test_tokens_are_those_the_model_chose_with_their_probabilities(
    engine: TransformersEngine,
) -> None:
    colour = engine.attend(call())[0]
    product = math.prod(token.probability for token in colour.tokens)
    assert product == pytest.approx(colour.confidence)


def test_a_reply_carries_regions_only_where_they_were_asked_for(engine: TransformersEngine) -> None:
    answers = engine.generate([call(regions=True), call(), call(regions=True, images=())])
    marked, plain, blind = (reply for reply in answers if isinstance(reply, Reply))
    maps = engine.attend(call())
    assert marked.regions == {found.name: found.region for found in maps}
    assert marked.heat == {found.name: found.heat for found in maps}
    assert marked.value == plain.value
    assert plain.regions == blind.regions == plain.heat == {}


def test_a_key_with_one_value_has_no_map(engine: TransformersEngine) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["red"]}, "b": {"type": "boolean"}}}
    assert [found.name for found in engine.attend(call(schema=schema))] == ["b"]


def test_a_free_text_has_one_map_without_a_name(engine: TransformersEngine) -> None:
    (found,) = engine.attend(call(schema=None, max_tokens=4))
    assert found.name == ""
    assert len(found.tokens) == 4


def test_a_convolutional_tower_is_read_at_its_finer_cells(lite: TransformersEngine) -> None:
    by_method = {
        method: lite.attend(call(), method)[0] for method in ("refined", "gradient", "raw")
    }
    assert by_method["refined"].rows == by_method["gradient"].rows == 4
    assert by_method["raw"].rows == 2


def test_what_no_weight_lets_through_has_an_even_map(tmp_path: Path) -> None:
    folder = tiny_lite_vl(tmp_path)
    weights = load_file(folder / "model.safetensors")
    for name in weights:
        if "aligner.linear2.weight" in name:
            weights[name] = torch.zeros_like(weights[name])
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    blind = TransformersEngine.load(folder)
    for method in ("gradient", "occlusion"):
        for found in blind.attend(call(), method):
            cells = [weight for row in found.weights for weight in row]
            assert cells == pytest.approx([1 / len(cells)] * len(cells))


def test_an_unknown_method_names_those_there_are(engine: TransformersEngine) -> None:
    with pytest.raises(UsageError, match=r"'x-ray'.*refined, gradient, raw, relevancy, occlusion"):
        engine.attend(call(), "x-ray")


def test_a_map_needs_one_photo(engine: TransformersEngine) -> None:
    with pytest.raises(UsageError, match="has 2"):
        engine.attend(call(images=(PHOTO, PHOTO)))
    with pytest.raises(UsageError, match="has 0"):
        engine.attend(call(images=()))


def test_an_answer_that_fails_has_its_own_error(engine: TransformersEngine) -> None:
    with pytest.raises(AnswerTruncated):
        engine.attend(call(max_tokens=1))


def test_a_text_model_gives_no_maps(tmp_path: Path) -> None:
    text = TransformersEngine.load(tiny_qwen2(tmp_path))
    with pytest.raises(UsageError, match="no attention maps"):
        text.attend(Call("Is it red?"))


def test_a_mapper_loads_a_folder_and_answers_a_question(tmp_path: Path) -> None:
    mapper = VisualAttentionMapper.load(tiny_deepseek_vl(tmp_path / "vl"))
    photo = tmp_path / "photo.png"
    Image.new("RGB", (2048, 1024), "red").save(photo)
    found = mapper.generate_attention(photo, "Describe it.", schema=SCHEMA)
    assert found.name == "colour"
    assert found.size == (2048, 1024)
    assert found.box[2] <= 2048
    other = mapper.generate_attention(photo, "Describe it.", schema=SCHEMA, field="shirt")
    assert other.name == "shirt"
    with pytest.raises(UsageError, match=r"'size'.*colour, shirt"):
        mapper.generate_attention(photo, "Describe it.", schema=SCHEMA, field="size")


def test_a_question_that_leaves_no_choice_is_refused(tmp_path: Path) -> None:
    mapper = VisualAttentionMapper.load(tiny_deepseek_vl(tmp_path))
    schema = {"type": "object", "properties": {"answer": {"enum": ["red"]}}}
    with pytest.raises(UsageError, match="no choice"):
        mapper.generate_attention(PHOTO, "What colour is it?", schema=schema)


def test_the_padding_of_a_wide_photo_is_undone(engine: TransformersEngine) -> None:
    found = engine.attend(call())[0]
    assert found.covers == pytest.approx((0.0, -0.5, 1.0, 1.5))
