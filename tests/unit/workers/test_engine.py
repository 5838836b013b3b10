"""The transformers engine keeps the contract, as a text and as a vision model."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import LlamaTokenizerFast, PreTrainedTokenizerFast, Qwen2ForCausalLM

from orchestra.core.call import Call, Reply, Turn
from orchestra.core.errors import CheckpointInvalid, UsageError
from tests.contract.engine_contract import SCHEMA, TEXT, TEXTS, EngineContract, replies
from tests.public_tokenizers import write_tokenizer
from tests.tiny_models import CONTEXT_TOKENS, tiny_deepseek_vl, tiny_qwen2, tiny_qwen3
from workers.engine import TransformersEngine
from workers.loading.tokenizer import load_tokenizer

IMAGE_TOKENS = 4
META = {"format": "pt"}


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2(tmp_path_factory.mktemp("qwen2"))


@pytest.fixture(scope="module")
def vision_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_deepseek_vl(tmp_path_factory.mktemp("vl"))


@pytest.fixture(scope="module")
def text_engine(text_folder: Path) -> TransformersEngine:
    return TransformersEngine.load(text_folder)


@pytest.fixture(scope="module")
def unpacked_engine(tmp_path_factory: pytest.TempPathFactory) -> TransformersEngine:
    return TransformersEngine.load(tiny_qwen3(tmp_path_factory.mktemp("qwen3")))


@pytest.fixture(scope="module")
def vision_engine(vision_folder: Path) -> TransformersEngine:
    return TransformersEngine.load(vision_folder)


@pytest.fixture
def broken(text_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(text_folder, tmp_path / "copy"))


class TestTextEngine(EngineContract):
    context_tokens = CONTEXT_TOKENS

    @pytest.fixture
    def engine(self, text_engine: TransformersEngine) -> TransformersEngine:
        return text_engine

    def test_an_image_for_a_text_model_is_its_rows_error(self, engine: TransformersEngine):
        photo = Image.new("RGB", (8, 8))
        fine, error = engine.generate([self.call(), self.call(images=(photo,))])
        assert isinstance(fine, Reply)
        assert isinstance(error, UsageError)
        assert "text only" in str(error)


class TestUnpackedEngine(EngineContract):
    """A family that runs through transformers' own forward pass."""

    context_tokens = CONTEXT_TOKENS

    @pytest.fixture
    def engine(self, unpacked_engine: TransformersEngine) -> TransformersEngine:
        return unpacked_engine


class TestVisionEngine(EngineContract):
    context_tokens = CONTEXT_TOKENS

    @pytest.fixture
    def engine(self, vision_engine: TransformersEngine) -> TransformersEngine:
        return vision_engine

    def photo_calls(self) -> list[Call]:
        noise = Image.effect_noise((40, 20), 90).convert("RGB")
        tall, tiny = Image.new("RGB", (10, 300), "red"), Image.new("RGB", (1, 1), "white")
        images = [(noise,), (), (tall, noise), (tiny,), ()]
        return [self.call(t, images=i) for t, i in zip(TEXTS, images, strict=True)]

    def test_rows_with_and_without_photos_share_a_batch_unchanged(self, engine: TransformersEngine):
        calls = self.photo_calls()
        together = replies(engine.generate(calls))
        assert [r.text for r in together] == [
            replies(engine.generate([call]))[0].text for call in calls
        ]
        assert [r.usage.images for r in together] == [1, 0, 2, 1, 0]

    def test_the_photo_changes_the_probabilities(self, engine: TransformersEngine):
        calls = [self.call(images=(Image.new("RGB", (9, 9), c),)) for c in ("red", "blue")]
        red, blue = replies(engine.generate(calls))
        assert red.confidence != pytest.approx(blue.confidence, rel=1e-6)

    def test_photos_reach_the_row_they_belong_to(self, engine: TransformersEngine):
        red, blue = (Image.new("RGB", (9, 9), c) for c in ("red", "blue"))
        calls = [self.call(images=(image,)) for image in (red, blue)]
        swapped = replies(engine.generate(calls[::-1]))
        assert [r.text for r in replies(engine.generate(calls))] == [r.text for r in swapped[::-1]]

    def test_image_tokens_are_counted(self, engine: TransformersEngine):
        photo = Image.new("RGB", (9, 9))
        extra = engine.count_tokens(self.call(images=(photo,))) - engine.count_tokens(self.call())
        assert extra == IMAGE_TOKENS

    def test_an_image_mark_in_the_text_is_only_text(self, engine: TransformersEngine):
        call = self.call("<image_placeholder>", images=(Image.new("RGB", (9, 9)),))
        assert replies(engine.generate([call]))


def test_greedy_tokens_are_those_of_transformers_generate(text_folder: Path):
    model = Qwen2ForCausalLM.from_pretrained(text_folder)
    tokenizer = PreTrainedTokenizerFast.from_pretrained(text_folder)
    prompt = f"<|user|>Go on.\n<data>\n{TEXT}\n</data><|assistant|>"
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    ids.pop("token_type_ids", None)
    banned = [[i] for i in (0, 1, 2, 4)]
    made = model.generate(  # pyright: ignore[reportAttributeAccessIssue]
        **ids, max_new_tokens=12, do_sample=False, bad_words_ids=banned
    )
    expected = tokenizer.decode(made[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
    engine = TransformersEngine.load(text_folder)
    (reply,) = replies(engine.generate([Call("Go on.", text=TEXT, max_tokens=12)]))
    assert reply.text == expected


def test_a_missing_folder_says_so(tmp_path: Path):
    with pytest.raises(CheckpointInvalid, match="No checkpoint folder"):
        TransformersEngine.load(tmp_path / "none")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(broken: Path, name: str):
    (broken / name).unlink()
    with pytest.raises(CheckpointInvalid, match=name.rpartition(".")[2]):
        TransformersEngine.load(broken)


def test_pickled_weights_are_never_read(broken: Path):
    (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
    with pytest.raises(CheckpointInvalid, match=r"pytorch_model\.bin"):
        TransformersEngine.load(broken)


def test_truncated_weights_are_found(broken: Path):
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(CheckpointInvalid, match="cannot be read"):
        TransformersEngine.load(broken)


def test_weights_without_a_tensor_are_found(broken: Path):
    tensors = load_file(broken / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, broken / "model.safetensors", META)
    with pytest.raises(CheckpointInvalid, match=r"model\.norm\.weight"):
        TransformersEngine.load(broken)


def test_a_file_that_changed_since_its_hash_was_written_is_found(broken: Path):
    (broken / "checksums.json").write_text(json.dumps({"model.safetensors": "0" * 64}))
    with pytest.raises(CheckpointInvalid, match="sha256"):
        TransformersEngine.load(broken)


def test_an_unknown_architecture_is_named(broken: Path):
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "architectures": ["Nonesuch"]}))
    with pytest.raises(CheckpointInvalid, match="Nonesuch"):
        TransformersEngine.load(broken)


def test_a_tokenizer_that_loses_text_is_refused(broken: Path):
    stored = json.loads((broken / "tokenizer.json").read_text())
    stored["normalizer"] = {"type": "Lowercase"}
    (broken / "tokenizer.json").write_text(json.dumps(stored))
    with pytest.raises(CheckpointInvalid, match="turns"):
        TransformersEngine.load(broken)


def test_a_tokenizer_of_a_larger_model_is_refused(broken: Path):
    stored = json.loads((broken / "tokenizer.json").read_text())
    stored["added_tokens"] += [
        {**stored["added_tokens"][0], "id": 9000 + i, "content": f"<|extra{i}|>"} for i in range(9)
    ]
    (broken / "tokenizer.json").write_text(json.dumps(stored))
    with pytest.raises(CheckpointInvalid, match="embeds"):
        TransformersEngine.load(broken)


def test_weights_stored_in_half_precision_are_run_in_single(text_folder: Path, tmp_path: Path):
    folder = Path(shutil.copytree(text_folder, tmp_path / "half"))
    Qwen2ForCausalLM.from_pretrained(text_folder).half().save_pretrained(folder)
    call = Call("Extract.", text=TEXT, schema=SCHEMA, max_tokens=200)
    (half,) = replies(TransformersEngine.load(folder).generate([call]))
    rounded = load_file(folder / "model.safetensors")
    assert {tensor.dtype for tensor in rounded.values()} == {torch.float16}
    save_file({k: t.float() for k, t in rounded.items()}, folder / "model.safetensors", META)
    (single,) = replies(TransformersEngine.load(folder).generate([call]))
    assert half.text == single.text
    assert half.confidence == pytest.approx(single.confidence, rel=1e-4)


def test_a_tokenizer_that_was_loaded_with_other_tokens_is_refused(broken: Path):
    settings = json.loads((broken / "tokenizer_config.json").read_text())
    token = {"content": "null", "special": False, "normalized": False}
    settings["added_tokens_decoder"] = {"900": token}
    (broken / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(CheckpointInvalid, match=r"loaded wrongly.*tokenizer\.json alone gives"):
        TransformersEngine.load(broken)


def test_the_class_that_the_public_files_name_would_lose_text(tmp_path: Path):
    write_tokenizer(tmp_path, "qwen2")
    text = "two  words\n"
    llama = LlamaTokenizerFast.from_pretrained(tmp_path)
    assert llama.decode(llama.encode(text, add_special_tokens=False)) != text
    ours = load_tokenizer(tmp_path, 10_000)
    assert ours.decode(ours.encode(text, add_special_tokens=False)) == text


def test_a_template_in_the_older_file_is_found(broken: Path):
    template = (broken / "chat_template.jinja").read_text()
    (broken / "chat_template.jinja").unlink()
    with pytest.raises(CheckpointInvalid, match="no chat template"):
        TransformersEngine.load(broken)
    (broken / "chat_template.json").write_text(json.dumps({"chat_template": template}))
    assert TransformersEngine.load(broken).count_tokens(Call("Go on.")) > 0


def test_a_template_that_shows_no_user_is_refused(broken: Path):
    (broken / "chat_template.jinja").write_text("{{ 'always the same' }}")
    with pytest.raises(CheckpointInvalid, match="renders no user message"):
        TransformersEngine.load(broken)


def test_turns_that_a_template_refuses_are_their_rows_error(broken: Path):
    strict = "{% if messages | length > 2 %}{{ raise_exception('two at most') }}{% endif %}"
    template = (broken / "chat_template.jinja").read_text()
    (broken / "chat_template.jinja").write_text(strict + template)
    engine = TransformersEngine.load(broken)
    turns = (Turn("user", "a"), Turn("user", "b"))
    fine, error = engine.generate([Call("c", max_tokens=2), Call("c", turns=turns)])
    assert isinstance(fine, Reply)
    assert isinstance(error, UsageError) and "two at most" in str(error)
