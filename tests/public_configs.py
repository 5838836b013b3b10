"""The public checkpoints' configurations, for tests without their weights.

`CONFIGS` holds what of each checkpoint's configuration decides the model. `make` writes a
checkpoint folder with the same widths, random weights, and fewer layers, a small vocabulary,
fewer experts (V2) and fewer heads in SAM (the hybrid), so that it fits a test. Sources:

- R1-Distill-Qwen: the files were not at hand. The 7B's sizes, context, rope and norm stand in the
  metadata of its conversions (ggml-org/llama.cpp issue 11702, likelovewant/ollama-for-amd issue
  54, read 2026-11-24). The 1.5B has the sizes of its base, Qwen2.5-Math-1.5B, with an output
  matrix of its own; its context is 131,072 (docs of xorbitsai/inference), its rope is taken to be
  the 7B's, which nothing found confirms. Both sizes come out exactly (test_public.py). Keys
  without effect here (token ids, the window, which is off) are left out.
- DeepSeek-V2-Lite-Chat: config.json of that repository, as public analyses transcribe it; its
  size comes out exactly, too.
- deepseek-vl as `deepseek-community` converted it: convert_deepseek_vl_weights_to_hf.py and
  convert_deepseek_vl_hybrid_weights_to_hf.py of huggingface/transformers.
- Janus-Pro: the defaults of JanusConfig, convert_janus_weights_to_hf.py, and the text models'
  sizes as public ports of Janus-Pro-1B and -7B list them.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import torch
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    DeepseekVLForConditionalGeneration,
    DeepseekVLHybridForConditionalGeneration,
    JanusForConditionalGeneration,
    PreTrainedModel,
)

from tests.public_tokenizers import BOS, EOS, IMAGE, write_tokenizer

QWEN: dict[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "attention_dropout": 0.0,
    "hidden_act": "silu",
    "initializer_range": 0.02,
    "max_position_embeddings": 131072,
    "num_hidden_layers": 28,
    "rms_norm_eps": 1e-06,
    "rope_theta": 10000,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_sliding_window": False,
}
V2_LITE: dict[str, Any] = {
    "architectures": ["DeepseekV2ForCausalLM"],
    "model_type": "deepseek_v2",
    "auto_map": {
        "AutoConfig": "configuration_deepseek.DeepseekV2Config",
        "AutoModel": "modeling_deepseek.DeepseekV2Model",
        "AutoModelForCausalLM": "modeling_deepseek.DeepseekV2ForCausalLM",
    },
    "attention_bias": False,
    "attention_dropout": 0.0,
    "aux_loss_alpha": 0.001,
    "bos_token_id": 100000,
    "eos_token_id": 100001,
    "first_k_dense_replace": 1,
    "hidden_act": "silu",
    "hidden_size": 2048,
    "initializer_range": 0.02,
    "intermediate_size": 10944,
    "kv_lora_rank": 512,
    "max_position_embeddings": 163840,
    "moe_intermediate_size": 1408,
    "moe_layer_freq": 1,
    "n_group": 1,
    "n_routed_experts": 64,
    "n_shared_experts": 2,
    "norm_topk_prob": False,
    "num_attention_heads": 16,
    "num_experts_per_tok": 6,
    "num_hidden_layers": 27,
    "num_key_value_heads": 16,
    "pretraining_tp": 1,
    "q_lora_rank": None,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "rms_norm_eps": 1e-06,
    "rope_scaling": {
        "beta_fast": 32,
        "beta_slow": 1,
        "factor": 40,
        "mscale": 0.707,
        "mscale_all_dim": 0.707,
        "original_max_position_embeddings": 4096,
        "type": "yarn",
    },
    "rope_theta": 10000,
    "routed_scaling_factor": 1.0,
    "scoring_func": "softmax",
    "seq_aux": True,
    "tie_word_embeddings": False,
    "topk_group": 1,
    "topk_method": "greedy",
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "v_head_dim": 128,
    "vocab_size": 102400,
}
SMALL_TEXT: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 2048,
    "intermediate_size": 5632,
    "max_position_embeddings": 16384,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
    "vocab_size": 102400,
}
LARGE_TEXT: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "max_position_embeddings": 16384,
    "num_attention_heads": 32,
    "num_hidden_layers": 30,
    "vocab_size": 102400,
}
SIGLIP: dict[str, Any] = {
    "model_type": "siglip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "image_size": 384,
    "patch_size": 16,
    "hidden_act": "gelu",
    "vision_use_head": False,
    "num_attention_heads": 16,
    "num_hidden_layers": 24,
}
SAM: dict[str, Any] = {
    "model_type": "sam_vision_model",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "image_size": 1024,
    "patch_size": 16,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
}


def _janus(text: dict[str, Any], image_token_id: int) -> dict[str, Any]:
    width = text["hidden_size"]
    return {
        "architectures": ["JanusForConditionalGeneration"],
        "model_type": "janus",
        "image_token_id": image_token_id,
        "text_config": text,
        "vision_config": {
            "model_type": "janus_vision_model",
            "image_size": 384,
            "projection_dim": width,
            "depth": 2,
        },
        "vq_config": {
            "model_type": "janus_vqgan",
            "embed_dim": 8,
            "num_embeddings": 16384,
            "projection_dim": width,
            "image_token_embed_dim": width,
        },
    }


CONFIGS: dict[str, dict[str, Any]] = {
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": {
        **QWEN,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "vocab_size": 151936,
    },
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-7B": {
        **QWEN,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
    },
    "deepseek-ai/DeepSeek-V2-Lite-Chat": V2_LITE,
    "deepseek-community/deepseek-vl-1.3b-chat": {
        "architectures": ["DeepseekVLForConditionalGeneration"],
        "model_type": "deepseek_vl",
        "image_token_id": 100015,
        "text_config": SMALL_TEXT,
        "vision_config": SIGLIP,
    },
    "deepseek-community/deepseek-vl-7b-chat": {
        "architectures": ["DeepseekVLHybridForConditionalGeneration"],
        "model_type": "deepseek_vl_hybrid",
        "image_token_id": 100015,
        "text_config": LARGE_TEXT,
        "vision_config": SIGLIP,
        "high_res_vision_config": SAM,
    },
    "deepseek-community/Janus-Pro-1B": _janus(SMALL_TEXT, 100581),
    "deepseek-community/Janus-Pro-7B": _janus(LARGE_TEXT, 100594),
}
CLASSES: dict[str, Any] = {
    "deepseek_vl": DeepseekVLForConditionalGeneration,
    "deepseek_vl_hybrid": DeepseekVLHybridForConditionalGeneration,
    "janus": JanusForConditionalGeneration,
}
STANDARD, CLIP_MEAN = [0.5, 0.5, 0.5], [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]
PROCESSORS: dict[str, dict[str, Any]] = {
    "deepseek_vl": {"image_processor_type": "DeepseekVLImageProcessor"},
    "deepseek_vl_hybrid": {
        "image_processor_type": "DeepseekVLHybridImageProcessor",
        "high_res_image_mean": CLIP_MEAN,
        "high_res_image_std": CLIP_STD,
        "high_res_size": {"height": 1024, "width": 1024},
        "resample": 2,
    },
    "janus": {"image_processor_type": "JanusImageProcessor", "do_normalize": True},
}


def whole_model(name: str) -> PreTrainedModel:
    """The public model at its full size, without any storage (device meta)."""
    with torch.device("meta"):
        return _model(CONFIGS[name])


def make(name: str, folder: Path, *, seed: int = 0, **changes: Any) -> Path:
    """A checkpoint folder of public checkpoint `name`, scaled, with random weights in bfloat16.

    `changes` replace keys of the configuration.
    """
    torch.manual_seed(seed)
    config = {**_scaled(CONFIGS[name]), **changes}
    folder.mkdir(parents=True, exist_ok=True)
    vocab = write_tokenizer(folder, config["model_type"])
    text = config.get("text_config", config)
    text.update(vocab_size=len(vocab), bos_token_id=vocab[BOS], eos_token_id=vocab[EOS])
    if "image_token_id" in config:
        config["image_token_id"] = vocab[IMAGE]
        _write_processor(folder, config["model_type"])
    untied = {"tie_word_embeddings": False} if "text_config" in config else {}
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        _model({**config, **untied}).save_pretrained(folder)
    finally:
        torch.set_default_dtype(usual)
    stored = json.loads((folder / "config.json").read_text())
    # The public vision models store an output matrix and leave the key out; V2's file names
    # remote code, which is never run.
    stored = {key: value for key, value in stored.items() if key not in untied}
    stored |= {key: config[key] for key in ("auto_map",) if key in config}
    (folder / "config.json").write_text(json.dumps(stored))
    return folder


def _write_processor(folder: Path, kind: str) -> None:
    size = {"height": 384, "width": 384}
    common = {"image_mean": STANDARD, "image_std": STANDARD, "min_size": 14, "size": size}
    settings = {**common, **PROCESSORS[kind]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    if kind == "janus":
        processor = {"num_image_tokens": 576, "use_default_system_prompt": True}
        (folder / "processor_config.json").write_text(json.dumps(processor))


def _scaled(config: dict[str, Any]) -> dict[str, Any]:
    """The same widths with one or two layers; the hybrid's SAM keeps its first global layer."""
    scaled = copy.deepcopy(config)
    layers = 2 if config["model_type"] == "deepseek_v2" else 1
    scaled.get("text_config", scaled)["num_hidden_layers"] = layers
    if "vision_config" in scaled:
        scaled["vision_config"]["num_hidden_layers"] = 1
    if "high_res_vision_config" in scaled:
        # Twelve attention maps of 4,096 x 4,096 places would take gibibytes.
        scaled["high_res_vision_config"] |= {"num_hidden_layers": 3, "num_attention_heads": 3}
    if "n_routed_experts" in scaled:  # of 64, with 6 for each token as in the public one
        scaled["n_routed_experts"] = 8
    if "vq_config" in scaled:  # draws images, which is not used
        scaled["vq_config"] |= {"num_embeddings": 64, "base_channels": 32, "num_res_blocks": 1}
    return scaled


def _model(config: dict[str, Any]) -> PreTrainedModel:
    settings = {key: value for key, value in config.items() if key != "auto_map"}
    built = CONFIG_MAPPING[config["model_type"]](**copy.deepcopy(settings))
    family = CLASSES.get(config["model_type"])
    return family(built) if family else AutoModelForCausalLM.from_config(built)
