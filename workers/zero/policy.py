"""A small Qwen2 decoder in numpy, run once over a few tokens: the policy of R1-Zero.

A call takes three tokens through one layer, so that any runtime would cost more than the work. It
reads the same config and safetensors as transformers, and gives the same logits.

Shapes: B rows, T tokens of each, W width, H heads, K key heads, D width of a head, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from orchestra.core.errors import CheckpointInvalid
from workers.loading.checkpoint import RESTORE
from workers.loading.parts import open_tensors

Floats = NDArray[np.float32]


class PolicyNet:
    """One decoder in memory."""

    def __init__(self, weights: Mapping[str, Floats], config: Mapping[str, Any]) -> None:
        """`weights` by the names of Qwen2ForCausalLM. Raises KeyError for one that is missing."""
        self._weights = weights
        self._heads = int(config["num_attention_heads"])
        self._key_heads = int(config.get("num_key_value_heads") or self._heads)
        self._layers = int(config["num_hidden_layers"])
        self._epsilon = float(config["rms_norm_eps"])
        rope = config.get("rope_parameters") or config
        self._theta = float(rope.get("rope_theta", 10_000.0))
        tied = "model.embed_tokens.weight" if config.get("tie_word_embeddings") else ""
        self._head_VW = weights[tied or "lm_head.weight"]

    @classmethod
    def load(cls, folder: Path, config: Mapping[str, Any]) -> PolicyNet:
        """Load a checked folder. Raises CheckpointInvalid."""
        try:
            files = open_tensors(folder, "np")
            weights = {
                name: file.get_tensor(own).astype(np.float32) for name, (file, own) in files.items()
            }
            policy = cls(weights, config)
            policy.logits(np.zeros((1, 1), np.int64))  # every tensor is there and fits
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise CheckpointInvalid(
                f"The weights in {str(folder)!r} cannot be read: {error!r}. {RESTORE}"
            ) from error
        return policy

    def chances(self, seen_BT: NDArray[np.int64], actions: int) -> Floats:
        """The probability (B, actions) of each action after each row of observation tokens."""
        logits_BA = self.logits(seen_BT)[:, :actions]
        exponent_BA = np.exp(logits_BA - logits_BA.max(axis=-1, keepdims=True))
        return exponent_BA / exponent_BA.sum(axis=-1, keepdims=True)

    def logits(self, seen_BT: NDArray[np.int64]) -> Floats:
        """Logits (B, V) after each row."""
        x_BTW = self._weights["model.embed_tokens.weight"][seen_BT]
        for layer in range(self._layers):
            name = f"model.layers.{layer}."
            x_BTW = x_BTW + self._attend(f"{name}self_attn.", self._norm(
                f"{name}input_layernorm", x_BTW))  # fmt: skip
            x_BTW = x_BTW + self._mlp(f"{name}mlp.", self._norm(
                f"{name}post_attention_layernorm", x_BTW))  # fmt: skip
        return self._norm("model.norm", x_BTW[:, -1]) @ self._head_VW.T

    def _norm(self, name: str, x: Floats) -> Floats:
        square = np.mean(x * x, axis=-1, keepdims=True)
        return self._weights[f"{name}.weight"] * (x / np.sqrt(square + np.float32(self._epsilon)))

    def _linear(self, name: str, x: Floats) -> Floats:
        y = x @ self._weights[f"{name}.weight"].T
        bias = self._weights.get(f"{name}.bias")
        return y if bias is None else y + bias

    def _mlp(self, name: str, x: Floats) -> Floats:
        gate = self._linear(f"{name}gate_proj", x)
        gate = gate / (np.float32(1) + np.exp(-gate))
        return self._linear(f"{name}down_proj", gate * self._linear(f"{name}up_proj", x))

    def _attend(self, name: str, x_BTW: Floats) -> Floats:
        rows, length = x_BTW.shape[:2]
        parts = {}
        for part, heads in (("q", self._heads), ("k", self._key_heads), ("v", self._key_heads)):
            joined = self._linear(f"{name}{part}_proj", x_BTW)
            parts[part] = joined.reshape(rows, length, heads, -1).transpose(0, 2, 1, 3)
        q_BHTD, k_BKTD = (self._turned(parts[part]) for part in ("q", "k"))
        repeats = self._heads // self._key_heads
        k_BHTD, v_BHTD = (np.repeat(part, repeats, axis=1) for part in (k_BKTD, parts["v"]))
        scores = q_BHTD @ k_BHTD.swapaxes(2, 3) / np.sqrt(np.float32(q_BHTD.shape[-1]))
        later = np.triu(np.ones((length, length), bool), k=1)
        scores = np.where(later, np.float32(-np.inf), scores)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        attended = (weights @ v_BHTD).transpose(0, 2, 1, 3).reshape(rows, length, -1)
        return self._linear(f"{name}o_proj", attended)

    def _turned(self, x_BHTD: Floats) -> Floats:
        """Rotary positions, the halves of a head paired as Llama pairs them."""
        length, width = x_BHTD.shape[2:]
        powers = np.arange(0, width, 2, dtype=np.float32) / np.float32(width)
        turns = np.float32(1.0) / np.float32(self._theta) ** powers
        angle_TD = np.tile(np.arange(length, dtype=np.float32)[:, None] * turns, 2)
        first, second = np.split(x_BHTD, 2, axis=-1)
        return x_BHTD * np.cos(angle_TD) + np.concatenate([-second, first], -1) * np.sin(angle_TD)
