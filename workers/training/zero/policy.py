"""The policy: a tiny Qwen2 decoder with random weights, and its checkpoint; it knows no reward."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from workers.training.zero.token_environment import TokenEnvironment
from workers.zero.engine import TASK_FILE, Task
from workers.zero.environment import SumsModulo

CONTEXT = 512
QUERY = "="


def build_policy(world: TokenEnvironment, seed: int) -> Qwen2ForCausalLM:
    """Random weights for this world: nothing was trained before, on anything.

    A number is the same token wherever it stands, and an action is the token of its number.
    """
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=max(world.query + 1, world.actions),
        hidden_size=64,
        num_hidden_layers=1,
        intermediate_size=256,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=None,
    )
    return Qwen2ForCausalLM(config)


def save_policy(policy: Qwen2ForCausalLM, world: TokenEnvironment, name: str, out: Path) -> None:
    """Write weights, configuration, tokenizer and `checksums.json` to `out`.

    Sums modulo a number also get the `task.json` with which `workers.zero.engine` serves them.
    """
    policy.save_pretrained(out)
    _tokenizer(world).save_pretrained(out)
    env = world.env.unwrapped
    if isinstance(env, SumsModulo):
        task = Task(environment=name, modulus=env.modulus, numbers=world.query)
        (out / TASK_FILE).write_text(task.model_dump_json(indent=2) + "\n", encoding="utf-8")
    names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    names += [TASK_FILE] * (out / TASK_FILE).is_file()
    sums = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in names}
    (out / "checksums.json").write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def _tokenizer(world: TokenEnvironment) -> PreTrainedTokenizerFast:
    """One token for each number, and the query; "5 6 =" is a prompt."""
    vocabulary = {str(number): number for number in range(world.query)}
    vocabulary[QUERY] = world.query
    words = Tokenizer(models.WordLevel(vocabulary, unk_token=QUERY))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words)
