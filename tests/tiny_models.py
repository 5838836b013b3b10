"""Builds really tiny checkpoints with random weights, for tests only."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from transformers import (
    DeepseekVLConfig,
    DeepseekVLForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.models.deepseek_vl.image_processing_pil_deepseek_vl import (
    DeepseekVLImageProcessorPil,
)

from tests.public_tokenizers import BOS, EOS, write_tokenizer
from workers.training.text.tokenizer import IMAGE, train_tokenizer
from workers.vision.domain import Domain, fit_world
from workers.vision.lite import LiteTowerConfig

TEXTS = [
    "name: Golden Delicious\ndescription: A nice apple from Italy, 500 g.",
    '{"category":"Apple","colour":null,"name":"Golden Delicious"}',
    "Extract what the text states. red green blue shirt 红色纯棉衬衫",
] * 4
CONTEXT_TOKENS = 512
IMAGE_SIDE = 16
PATCH_SIDE = 8
LITE_SIDE = 16


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """The bundled tokenizer's kind, with a vocabulary of at most 340."""
    return train_tokenizer(TEXTS, vocab_size=340)


def tiny_qwen2(folder: Path, seed: int = 0, heads: int = 4, inner: int = 48) -> Path:
    """A two-layer Qwen2 with random weights, saved to `folder`."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=inner,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        max_position_embeddings=CONTEXT_TOKENS,
        initializer_range=0.4,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_qwen3(folder: Path, seed: int = 0) -> Path:
    """A two-layer Qwen3 with random weights: a family that is run without packing."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=CONTEXT_TOKENS,
        initializer_range=0.4,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_deepseek_vl(folder: Path, seed: int = 0, heads: int = 4) -> Path:
    """A two-layer DeepSeek-VL with random weights and four tokens an image."""
    siglip = {
        "model_type": "siglip_vision_model",
        "image_size": IMAGE_SIDE,
        "patch_size": PATCH_SIDE,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "vision_use_head": False,
    }
    return _tiny_vl(folder, seed, siglip, IMAGE_SIDE, heads)


def tiny_lite_vl(folder: Path, seed: int = 0) -> Path:
    """A two-layer DeepSeek-VL over a convolutional tower: four tokens, sixteen finer cells."""
    stages = ((3, 1, 1, 8, 1), (3, 2, 2, 8, 1), (3, 2, 2, 8, 1))
    tower = LiteTowerConfig(
        image_size=LITE_SIDE, stem=8, stages=stages, embedding_size=16, fine_stage=1, is_folded=True
    )
    return _tiny_vl(folder, seed, tower.to_dict(), LITE_SIDE, heads=4)


def write_domain(folder: Path, *, width: int, knows: bool) -> None:
    """A domain of random kinds, beside a checkpoint, to which every photo is known, or none is."""
    torch.manual_seed(0)
    kinds = torch.arange(40) // 10
    world = fit_world(torch.randn(40, width), kinds, torch.randn(20, width), 0.1)
    least = "0" if knows else "1.1"  # no photo is as likely as that
    settings = {"slope": "0", "turn": "0", "least": least, "reason": "unknown here"}
    Domain([world], settings).save(folder)


def _tiny_vl(folder: Path, seed: int, tower: dict[str, Any], side: int, heads: int) -> Path:
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    config = DeepseekVLConfig(
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": heads,
            "num_key_value_heads": heads,
            "max_position_embeddings": CONTEXT_TOKENS,
            "initializer_range": 0.4,
        },
        vision_config=tower,
        image_token_id=tokenizer.get_vocab()[IMAGE],
    )
    DeepseekVLForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = {"height": side, "width": side}
    DeepseekVLImageProcessorPil(size=size, min_size=2).save_pretrained(folder)
    return folder


def chain_model(folder: Path, chain: list[str]) -> Path:
    """A Qwen2 with R1's template and tokens whose next token depends on the last one alone.

    After a token of `chain` comes the one that follows it there; no token may stand in it twice.
    Its layers add nothing, so a state is the last token's embedding, and those are orthogonal.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocab = write_tokenizer(folder, "qwen2")
    even_head: dict[str, Any] = {"head_dim": 8}  # whatever the vocabulary's width
    config = Qwen2Config(
        vocab_size=len(vocab),
        hidden_size=len(vocab),
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        **even_head,
        max_position_embeddings=CONTEXT_TOKENS,
        bos_token_id=vocab[BOS],
        eos_token_id=vocab[EOS],
        tie_word_embeddings=False,
    )
    model: Any = Qwen2ForCausalLM(config)
    with torch.no_grad():
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(len(vocab)))
        model.lm_head.weight.zero_()
        for before, after in pairwise(chain):
            model.lm_head.weight[vocab[after], vocab[before]] = 1.0
    model.save_pretrained(folder)
    return folder
