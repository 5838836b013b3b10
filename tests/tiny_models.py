"""Builds really tiny checkpoints with random weights, for tests only."""

from __future__ import annotations

from pathlib import Path

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

from workers.training.tokenizer import IMAGE, train_tokenizer

TEXTS = [
    "name: Golden Delicious\ndescription: A nice apple from Italy, 500 g.",
    '{"category":"Apple","colour":null,"name":"Golden Delicious"}',
    "Extract what the text states. red green blue shirt 红色纯棉衬衫",
] * 4
CONTEXT_TOKENS = 512
IMAGE_SIDE = 16
PATCH_SIDE = 8


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """The bundled tokenizer's kind, with a vocabulary of at most 340."""
    return train_tokenizer(TEXTS, vocab_size=340)


def tiny_qwen2(folder: Path, seed: int = 0) -> Path:
    """A two-layer Qwen2 with random weights, saved to `folder`."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
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


def tiny_deepseek_vl(folder: Path, seed: int = 0) -> Path:
    """A two-layer DeepSeek-VL with random weights and four tokens an image."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    config = DeepseekVLConfig(
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": CONTEXT_TOKENS,
            "initializer_range": 0.4,
        },
        vision_config={
            "model_type": "siglip_vision_model",
            "image_size": IMAGE_SIDE,
            "patch_size": PATCH_SIDE,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "vision_use_head": False,
        },
        image_token_id=tokenizer.get_vocab()[IMAGE],
    )
    DeepseekVLForConditionalGeneration(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    size = {"height": IMAGE_SIDE, "width": IMAGE_SIDE}
    DeepseekVLImageProcessorPil(size=size, min_size=2).save_pretrained(folder)
    return folder
