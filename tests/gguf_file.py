"""Writes a bundled text checkpoint (a qwen2 model) as the GGUF file that llama.cpp reads."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
from safetensors import safe_open

# Of the ways that llama.cpp can part a text, the one nearest to the bundled tokenizer's.
PARTED_AS = "deepseek-coder"


def write_gguf(checkpoint: Path, path: Path) -> None:
    """Write weights, tokenizer and chat template of `checkpoint` to `path`, in half precision."""
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[gguf.MODEL_ARCH.QWEN2])
    _write_shape(writer, config)
    _write_tokenizer(writer, checkpoint, config)
    writer.add_chat_template((checkpoint / "chat_template.jinja").read_text(encoding="utf-8"))
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, config["num_hidden_layers"])
    with safe_open(checkpoint / "model.safetensors", "np") as weights:
        for key in weights.keys():  # noqa: SIM118, it is no mapping
            name = names.get_name(key, try_suffixes=(".weight", ".bias")) or key
            tensor = weights.get_tensor(key)
            # Vectors in single precision, as llama.cpp adds and multiplies them.
            writer.add_tensor(name, tensor.astype(np.float32) if tensor.ndim == 1 else tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _write_shape(writer: gguf.GGUFWriter, config: dict) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def _write_tokenizer(writer: gguf.GGUFWriter, checkpoint: Path, config: dict) -> None:
    raw = json.loads((checkpoint / "tokenizer.json").read_text(encoding="utf-8"))
    ids = raw["model"]["vocab"] | {token["content"]: token["id"] for token in raw["added_tokens"]}
    marks = {token["content"] for token in raw["added_tokens"]}
    tokens = sorted(ids, key=lambda token: ids[token])
    kinds = (gguf.TokenType.NORMAL, gguf.TokenType.CONTROL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PARTED_AS)
    writer.add_token_list(tokens)
    writer.add_token_types([kinds[token in marks] for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in raw["model"]["merges"]])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_pad_token_id(config["pad_token_id"])
    writer.add_add_bos_token(False)
