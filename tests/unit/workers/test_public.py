"""The public checkpoints' configurations run through engine and processor, on random weights.

Widths are the public ones, depth is one or two layers (see `tests.public_configs`). The 7B
models run in bfloat16, as on a GPU; the others in float32, as on a CPU.
"""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from transformers import AutoTokenizer
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import (
    DeepseekVLImageProcessorPil,
)
from transformers.models.deepseek_vl.processing_deepseek_vl import DeepseekVLProcessor
from transformers.models.deepseek_vl_hybrid.image_processing_pil_deepseek_vl_hybrid import (
    DeepseekVLHybridImageProcessorPil,
)
from transformers.models.deepseek_vl_hybrid.processing_deepseek_vl_hybrid import (
    DeepseekVLHybridProcessor,
)
from transformers.models.janus.image_processing_pil_janus import JanusImageProcessorPil
from transformers.models.janus.processing_janus import JanusProcessor

from orchestra.core.call import Call, Turn
from orchestra.core.errors import AnswerTruncated, PromptTooLong
from tests.contract.engine_contract import replies
from tests.public_configs import CONFIGS, make, whole_model
from tests.public_tokenizers import ADDED_LETTERS, BOS, IMAGE, VL_SYSTEM
from workers.engine import TransformersEngine

IMAGE_TOKENS = 576
SCHEMA = {
    "type": "object",
    "properties": {
        "category": {"enum": ["Apple", "Avocado", "Red Beet", None]},
        "name": {"type": "string", "maxLength": 8, "x-span": True},
    },
}
TEXT = "name: Müsli Deluxe 红色\ndescription: 500 g."
# What safetensors of the public repositories hold, in parameters; those of DeepSeek-VL and Janus
# hold a pooling head besides, which transformers leaves out.
PARAMETERS = {
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": 1_777_088_000,
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": 7_615_616_512,
    "deepseek-ai/DeepSeek-V2-Lite-Chat": 15_706_484_224,
}
RENDERED = {
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": f"{BOS}<｜User｜>Look.<｜Assistant｜><think>\n",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": f"{BOS}<｜User｜>Look.<｜Assistant｜><think>\n",
    "deepseek-ai/DeepSeek-V2-Lite-Chat": f"{BOS}User: Look.\n\nAssistant:",
    "deepseek-community/deepseek-vl-1.3b-chat": f"{BOS}{VL_SYSTEM}User: Look.\n\nAssistant:",
    "deepseek-community/deepseek-vl-7b-chat": f"{BOS}{VL_SYSTEM}User: Look.\n\nAssistant:",
    "deepseek-community/Janus-Pro-1B": f"{BOS}{VL_SYSTEM}<|User|>: Look.\n\n<|Assistant|>:",
    "deepseek-community/Janus-Pro-7B": f"{BOS}{VL_SYSTEM}<|User|>: Look.\n\n<|Assistant|>:",
}
V2 = "deepseek-ai/DeepSeek-V2-Lite-Chat"
VISION = [name for name, config in CONFIGS.items() if "vision_config" in config]
SMALL_VISION = [name for name in VISION if "7" not in name]
PROCESSORS: dict[str, Any] = {
    "deepseek_vl": (DeepseekVLProcessor, DeepseekVLImageProcessorPil),
    "deepseek_vl_hybrid": (DeepseekVLHybridProcessor, DeepseekVLHybridImageProcessorPil),
    "janus": (JanusProcessor, JanusImageProcessorPil),
}


@dataclass
class Made:
    """A checkpoint folder and its engine."""

    name: str
    folder: Path
    engine: TransformersEngine

    @property
    def kind(self) -> str:
        """Its model type."""
        return CONFIGS[self.name]["model_type"]

    @property
    def tokenizer(self) -> Any:
        """The tokenizer that the engine uses."""
        return self.engine._model.tokenizer

    @property
    def model(self) -> Any:
        """The transformers model that the engine runs: a vision model's own, or a session's."""
        held: Any = self.engine._model
        return held.model if hasattr(held, "model") else held._open_session([1], None)._model

    def prompt(self, call: Call) -> str:
        """The prompt of `call` as text."""
        return str(self.tokenizer.decode(self.engine._model.prepare(call).ids))


# One at a time, because each takes up to a gibibyte: pytest groups the tests by it.
@pytest.fixture(scope="module")
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    name = request.param
    folder = make(name, tmp_path_factory.mktemp(name.rpartition("/")[2]))
    dtype = "bfloat16" if "7" in name.rpartition("/")[2] else None
    yield Made(name, folder, TransformersEngine.load(folder, dtype=dtype))
    shutil.rmtree(folder)
    gc.collect()


def of(names: Iterable[str]) -> pytest.MarkDecorator:
    """Run a test on each of these checkpoints."""
    return pytest.mark.parametrize("made", list(names), indirect=True, scope="module")


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    """A photo of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def ask(**changes: Any) -> Call:
    """A constrained call."""
    given: dict[str, Any] = {"text": TEXT, "schema": SCHEMA, "max_tokens": 200, **changes}
    return Call("Extract what the text states.", **given)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_whole_configuration_has_the_public_size(name: str):
    model: Any = whole_model(name)
    found = sum(parameter.numel() for parameter in model.parameters())
    if name in PARAMETERS:
        assert found == PARAMETERS[name]
    else:
        billions = {"1.3b": 1.98, "vl-7b": 7.34, "1B": 2.09, "Pro-7B": 7.42}
        (size,) = [size for part, size in billions.items() if part in name]
        text = CONFIGS[name]["text_config"]
        head = text["vocab_size"] * text["hidden_size"]  # tied by default, stored in public
        assert (found + head) / 1e9 == pytest.approx(size, rel=0.01)


@of(CONFIGS)
def test_a_prompt_is_rendered_as_the_public_template_does(made: Made):
    assert made.prompt(Call("Look.")) == RENDERED[made.name]


@of(name for name in CONFIGS if "R1" in name)
def test_random_weights_of_r1_think_until_the_tokens_run_out(made: Made):
    (error, plain) = made.engine.generate([ask(max_tokens=12), Call("Hi.", max_tokens=12)])
    assert isinstance(error, AnswerTruncated) and isinstance(plain, AnswerTruncated)
    assert "</think>" in str(error)


@of([V2, *SMALL_VISION])
def test_constrained_rows_are_the_same_alone_and_in_a_batch(made: Made):
    engine = made.engine
    turns = (Turn("user", "Hello"), Turn("assistant", "Hi"))
    calls = [ask(turns=turns), ask(text="Müsli 红")]
    together = replies(engine.generate(calls))
    (alone,) = replies(engine.generate(calls[1:]))
    assert together[1].text == alone.text
    assert all(list(r.value) == list(SCHEMA["properties"]) for r in together)
    assert together[0].value["name"] in TEXT


@of(VISION)
def test_prompt_and_pixels_are_those_of_the_public_processor(made: Made):
    folder, kind = made.folder, made.kind
    processor_class, image_processor_class = PROCESSORS[kind]
    settings = {"use_default_system_prompt": True} if kind == "janus" else {}
    processor = processor_class(
        image_processor_class.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder, tokenizer_class="PreTrainedTokenizerFast"),
        chat_template=(folder / "chat_template.jinja").read_text(),
        **settings,
    )
    images = [noise(640, 360), noise(100, 400, seed=1)]
    content = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "What is it?"}]
    message = [{"role": "user", "content": content}]
    text = processor.apply_chat_template(message, add_generation_prompt=True, tokenize=False)
    expected = processor(text=text, images=images, return_tensors="pt")
    prompt = made.engine._model.prepare(Call("What is it?", images=tuple(images)))
    assert prompt.ids == expected["input_ids"][0].tolist()
    assert prompt.ids.count(made.tokenizer.get_vocab()[IMAGE]) == 2 * IMAGE_TOKENS
    assert prompt.pixels is not None
    for key, tensor in prompt.pixels.items():
        torch.testing.assert_close(tensor, expected[key])
    sides = {key: tuple(tensor.shape) for key, tensor in prompt.pixels.items()}
    high = {"high_res_pixel_values": (2, 3, 1024, 1024)} if "hybrid" in kind else {}
    assert sides == {"pixel_values": (2, 3, 384, 384), **high}


@of(VISION)
def test_rows_with_images_and_without_share_a_batch(made: Made):
    engine, is_small = made.engine, made.name in SMALL_VISION
    several = (noise(300, 200), noise(50, 90, seed=2)) if is_small else (noise(64, 48),)
    calls = [ask(images=several), ask()]
    if is_small:
        calls.append(ask(images=several[:1], text=None, schema=SCHEMA_BARE))
    told = replies(engine.generate(calls))
    assert [r.usage.images for r in told] == [len(call.images) for call in calls]
    plain = engine.count_tokens(ask())
    around = 2 if made.kind == "janus" else 0
    lines = told[0].usage.input_tokens - plain - len(several) * (IMAGE_TOKENS + around)
    assert 0 <= lines <= 2 * len(several)  # Janus puts line ends between images and text
    if is_small:
        alone = [replies(engine.generate([call]))[0].text for call in calls[1:]]
        assert [r.text for r in told[1:]] == alone


SCHEMA_BARE = {"type": "object", "properties": {"kind": {"enum": ["shirt", "shoe"]}}}


@of(SMALL_VISION)
def test_a_context_of_4096_holds_six_images(made: Made):
    engine = made.engine
    image = noise(20, 20)
    six = engine.count_tokens(Call("Look.", images=(image,) * 6))
    assert six + 128 < 4096 < engine.count_tokens(Call("Look.", images=(image,) * 7)) + 128


@of(SMALL_VISION)
def test_a_prompt_over_the_public_context_names_the_numbers(made: Made):
    (error,) = made.engine.generate([Call("Look.", images=(noise(8, 8),) * 29)])
    assert isinstance(error, PromptTooLong)
    assert "16384" in str(error)


@of(SMALL_VISION)
def test_an_output_matrix_that_is_stored_is_used_though_the_default_ties_it(made: Made):
    assert "tie_word_embeddings" not in json.loads((made.folder / "config.json").read_text())
    with safe_open(made.folder / "model.safetensors", "pt") as stored:
        head, table = (
            stored.get_tensor(key).float()
            for key in ("lm_head.weight", "model.language_model.embed_tokens.weight")
        )
    torch.testing.assert_close(made.model.get_output_embeddings().weight, head)
    torch.testing.assert_close(made.model.get_input_embeddings().weight, table)
    assert not torch.equal(head, table)


@of([V2, *SMALL_VISION])
def test_letters_that_are_tokens_of_their_own_stay_in_the_text(made: Made):
    engine = made.engine
    assert set(ADDED_LETTERS) <= set(made.tokenizer.get_added_vocab())
    schema = {"type": "object", "properties": {"name": {"const": "Müsli"}}}
    (reply,) = replies(engine.generate([ask(schema=schema)]))
    assert reply.value == {"name": "Müsli"}
    assert engine._model.writer.data(TEXT).startswith("name: Müsli Deluxe")


@of([V2])
def test_remote_code_that_a_configuration_names_is_not_run(made: Made):
    stored = json.loads((made.folder / "config.json").read_text())
    assert stored["auto_map"]["AutoModelForCausalLM"].startswith("modeling_deepseek.")
    assert type(made.model).__module__ == "transformers.models.deepseek_v2.modeling_deepseek_v2"


@of([V2, *SMALL_VISION])
def test_a_system_turn_stands_where_the_public_template_has_a_place_for_it(made: Made):
    told = made.prompt(Call("Look.", turns=(Turn("system", "Be brief."),)))
    if made.name == V2:
        assert told == f"{BOS}Be brief.\n\nUser: Look.\n\nAssistant:"
    else:  # these templates know no system role: it joins the user's words
        assert told == RENDERED[made.name].replace("Look.", "Be brief.\n\nLook.")
