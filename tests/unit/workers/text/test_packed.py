"""The packed decoder scores tokens as transformers does, however rows are extended."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    DeepseekVLForConditionalGeneration,
    LlamaConfig,
    LlamaModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Model,
)

from tests.tiny_models import tiny_deepseek_vl, tiny_qwen2
from workers.text.packed import PackedDecoder, PackedSession, is_packable
from workers.text.session import PaddedSession

PROMPTS = [[7, 8, 9, 10, 11], [20], [30, 31, 32]]
STEPS = [
    [[40], [41, 42, 43], [44]],
    [[45, 46], [], [47]],
    [[48], [49, 50], [51, 52, 53, 54, 55]],
]


def models(folder: Path):
    yield Qwen2ForCausalLM.from_pretrained(tiny_qwen2(folder / "qwen2"))
    yield DeepseekVLForConditionalGeneration.from_pretrained(tiny_deepseek_vl(folder / "vl"))


@torch.inference_mode()
def test_logits_are_those_of_transformers_for_ragged_blocks(tmp_path: Path):
    for model in models(tmp_path):
        reference = PaddedSession(model, len(PROMPTS))
        packed = PackedSession(PackedDecoder(model, model.get_decoder()), [20] * len(PROMPTS))
        for blocks in [PROMPTS, *STEPS]:
            expected, found = reference.extend(blocks), packed.extend(blocks)
            fed = [row for row, block in enumerate(blocks) if block]
            torch.testing.assert_close(found[fed], expected[fed], rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_dropped_rows_leave_the_others_unchanged(tmp_path: Path):
    for model in models(tmp_path):
        decoder = PackedDecoder(model, model.get_decoder())
        for whole, part in [
            (PackedSession(decoder, [20] * 3), PackedSession(decoder, [20] * 3)),
            (PaddedSession(model, 3), PaddedSession(model, 3)),
        ]:
            whole.extend(PROMPTS)
            part.extend(PROMPTS)
            part.keep([2, 0])
            expected = whole.extend([[40], [41], [42]])[[2, 0]]
            torch.testing.assert_close(part.extend([[42], [40]]), expected, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_joining_leaves_the_model_itself_unchanged(tmp_path: Path):
    model = Qwen2ForCausalLM.from_pretrained(tiny_qwen2(tmp_path / "qwen2"))
    ids = torch.tensor([PROMPTS[0]])
    before = model(ids).logits
    PackedDecoder(model, model.get_decoder())
    torch.testing.assert_close(model(ids).logits, before)


SMALL: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 9,
}


@pytest.mark.parametrize(
    ("decoder", "packable"),
    [
        (LlamaModel(LlamaConfig(**SMALL)), True),
        (Qwen2Model(Qwen2Config(**SMALL)), True),
        (LlamaModel(LlamaConfig(**SMALL, hidden_act="gelu")), False),
        (
            Qwen2Model(
                Qwen2Config(**SMALL, use_sliding_window=True, sliding_window=4, max_window_layers=0)
            ),
            False,
        ),
        (torch.nn.Linear(2, 2), False),
    ],
)
def test_only_plain_llama_and_qwen2_decoders_are_packed(decoder: torch.nn.Module, packable: bool):
    assert is_packable(decoder) is packable


@torch.inference_mode()
def test_a_session_makes_its_tensors_where_the_model_is():
    """Device "meta" computes nothing, and like a GPU refuses tensors of the CPU."""
    with torch.device("meta"):
        model: Any = Qwen2ForCausalLM(Qwen2Config(**SMALL, num_key_value_heads=2))
        model.to(torch.bfloat16)
    session = PackedSession(PackedDecoder(model, model.get_decoder()), [20] * 3)
    for blocks in ([[1, 2, 3], [4], [5, 6]], [[1], [], [2, 3]]):
        scores = session.extend(blocks)
        assert (scores.device.type, scores.dtype) == ("meta", torch.float32)
    session.keep([2, 0])
    assert session.extend([[1], [2]]).shape == (2, SMALL["vocab_size"])
