"""The policy: a tiny Qwen2 decoder with random weights, and its checkpoint; it knows no reward."""

from __future__ import annotations

import hashlib
import inspect
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from orchestra.core.errors import UsageError
from workers.training.zero.token_environment import TokenEnvironment
from workers.zero.environment import SumsModulo
from workers.zero.task import TASK_FILE, SumsTask, Task, WorldTask

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


def action_logits(policy: Qwen2ForCausalLM, seen_BT: Tensor, actions: int) -> Tensor:
    """Logits (B, actions) of the actions after each row of observation tokens."""
    last_BD = policy.model(input_ids=seen_BT, use_cache=False).last_hidden_state[:, -1]
    return policy.lm_head(last_BD)[:, :actions]


def save_policy(policy: Qwen2ForCausalLM, world: TokenEnvironment, name: str, out: Path) -> None:
    """Write weights, configuration, tokenizer, task and `checksums.json` to `out`.

    With the task `workers.zero.engine` serves them.
    """
    policy.save_pretrained(out)
    _tokenizer(world).save_pretrained(out)
    task = task_of(world, name)
    (out / TASK_FILE).write_text(task.model_dump_json(indent=2) + "\n", encoding="utf-8")
    names = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    names.append(TASK_FILE)
    sums = {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in names}
    (out / "checksums.json").write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def task_of(world: TokenEnvironment, name: str) -> Task:
    """What a policy of `world` is asked, and what it answers.

    Raises `UsageError` for a `read` that needs an environment to read with.
    """
    env = world.env.unwrapped
    if isinstance(env, SumsModulo):
        return SumsTask(environment=name, modulus=env.modulus, numbers=world.query)
    kind = type(env)
    named = getattr(env, "get_action_meanings", lambda: [""] * world.actions)
    if hasattr(kind, "read") and not isinstance(
        inspect.getattr_static(kind, "read"), staticmethod | classmethod
    ):
        raise UsageError(
            f"{kind.__name__}.read of {name!r} is a method of an environment, and a served policy "
            "plays none. Make it a @staticmethod that takes the question."
        )
    return WorldTask(
        environment=name,
        sizes=world.sizes,
        lows=world.lows,
        first_action=world.first_action,
        meanings=tuple(named()),
        reader=f"{kind.__module__}:{kind.__qualname__}" if hasattr(kind, "read") else None,
    )


def _tokenizer(world: TokenEnvironment) -> PreTrainedTokenizerFast:
    """One token for each number, and the query; "5 6 =" is a prompt."""
    vocabulary = {str(number): number for number in range(world.query)}
    vocabulary[QUERY] = world.query
    words = Tokenizer(models.WordLevel(vocabulary, unk_token=QUERY))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=words)
