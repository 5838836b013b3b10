"""A text model whose smaller selves share its weights: fewer layers, heads and neurons.

After "once for all" (Cai et al., 2020) with slimmable networks' sandwich rule (Yu and Huang, 2019):
heads and neurons stand in the order of their use, a smaller self takes the first ones, and every
step trains the largest, the smallest and some self in between to say what the teacher says.
Knows no latency and no budget; `subnetworks` searches.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import Qwen2Config, Qwen2ForCausalLM

from workers.training.edge.prune import observe

Batch = tuple[Tensor, Tensor]
SOFT_SHARE = 0.7  # of the loss: the teacher's probabilities, the rest the answers


@dataclass(frozen=True, slots=True, order=True)
class SubnetShape:
    """One self: the layers it keeps, and how many heads and neurons in each."""

    layers: tuple[int, ...]
    heads: int
    neurons: int


def shapes(teacher: Qwen2Config, order: Sequence[int]) -> list[SubnetShape]:
    """Every self, the largest first; `order` are the layers, the least needed first."""
    depths = [tuple(sorted(order[dropped:])) for dropped in range(len(order) - 1)]
    heads = range(teacher.num_attention_heads, 1, -1)
    eighths = (8, 6, 4, 2)
    neurons = [teacher.intermediate_size * eighth // 8 for eighth in eighths]
    return [SubnetShape(*parts) for parts in product(depths, heads, neurons)]


@torch.no_grad()
def ordered(teacher: Qwen2ForCausalLM, batches: Sequence[Batch]) -> Qwen2ForCausalLM:
    """The same function as `teacher`, its heads and neurons in the order of their use."""
    seen = observe(teacher, batches)
    model = copy.deepcopy(teacher)
    for at, layer in enumerate(cast(Any, model.model.layers)):
        width = layer.self_attn.head_dim
        best = seen["heads"][at].argsort(descending=True)
        rows = (best[:, None] * width + torch.arange(width)).flatten()
        for name in ("q_proj", "k_proj", "v_proj"):
            part = getattr(layer.self_attn, name)
            part.weight.copy_(part.weight[rows])
            part.bias.copy_(part.bias[rows])
        layer.self_attn.o_proj.weight.copy_(layer.self_attn.o_proj.weight[:, rows])
        used = seen["neurons"][at].argsort(descending=True)
        for name in ("gate_proj", "up_proj"):
            part = getattr(layer.mlp, name)
            part.weight.copy_(part.weight[used])
        layer.mlp.down_proj.weight.copy_(layer.mlp.down_proj.weight[:, used])
    return model


def weights_of(model: Qwen2ForCausalLM, shape: SubnetShape) -> dict[str, Tensor]:
    """The weights of one self, named as a model of its own names them: slices of `model`'s."""
    parameters: dict[str, Tensor] = dict(model.named_parameters())
    wide = shape.heads * int(cast(Any, model.model.layers)[0].self_attn.head_dim)
    cuts = {"q_proj": wide, "k_proj": wide, "v_proj": wide, "gate_proj": shape.neurons,
            "up_proj": shape.neurons}  # fmt: skip
    across = {"o_proj": wide, "down_proj": shape.neurons}
    found = {name: part for name, part in parameters.items() if ".layers." not in name}
    for mine, theirs in enumerate(shape.layers):
        start = f"model.layers.{theirs}."
        for name, part in parameters.items():
            if not name.startswith(start):
                continue
            matrix = name.split(".")[-2]
            if matrix in cuts:
                part = part[: cuts[matrix]]
            elif matrix in across:
                part = part[:, : across[matrix]]
            found[f"model.layers.{mine}." + name.removeprefix(start)] = part
    return found


def config_of(teacher: Qwen2Config, shape: SubnetShape) -> Qwen2Config:
    """The configuration of one self."""
    settings = teacher.to_dict()
    head_dim = teacher.hidden_size // teacher.num_attention_heads
    settings |= {
        "num_hidden_layers": len(shape.layers),
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.heads,
        "intermediate_size": shape.neurons,
        "head_dim": head_dim,
        "layer_types": None,
    }
    return Qwen2Config(**settings)


def cut(model: Qwen2ForCausalLM, shape: SubnetShape) -> Qwen2ForCausalLM:
    """One self as a model of its own, with copies of its weights."""
    alone = Qwen2ForCausalLM(config_of(model.config, shape))
    alone.load_state_dict(weights_of(model, shape), strict=False)
    return alone.eval()


class Supernet:
    """`model` and its smaller selves, trained together."""

    def __init__(self, teacher: Qwen2ForCausalLM, model: Qwen2ForCausalLM) -> None:
        self.teacher = teacher.eval().requires_grad_(False)
        self.model = model
        self._frames: dict[tuple[int, int, int], Any] = {}

    def loss(self, shape: SubnetShape, batch: Batch, soft: bool = True) -> Tensor:
        """Mean loss of one self on the answers' tokens; `soft`: mostly to the teacher's words."""
        ids_BT, targets_BT = batch
        keep_BT = targets_BT != -100
        parts = weights_of(self.model, shape)
        inner = {name.removeprefix("model."): part for name, part in parts.items()
                 if name.startswith("model.")}  # fmt: skip
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = functional_call(
                self._frame(shape), inner, kwargs={"input_ids": ids_BT, "use_cache": False}
            )
            logits_NV = out.last_hidden_state[keep_BT] @ parts["model.embed_tokens.weight"].T
        hard = nn.functional.cross_entropy(logits_NV.float(), targets_BT[keep_BT])
        if not soft:
            return hard
        own_NV = logits_NV.float().log_softmax(-1)
        divergence = nn.functional.kl_div(
            own_NV, self._said(batch), reduction="batchmean", log_target=True
        )
        return (1 - SOFT_SHARE) * hard + SOFT_SHARE * divergence

    def _said(self, batch: Batch) -> Tensor:
        ids_BT, targets_BT = batch
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = self.teacher.model(input_ids=ids_BT, use_cache=False).last_hidden_state
            logits_NV = self.teacher.lm_head(hidden[targets_BT != -100])
        return logits_NV.float().log_softmax(-1)

    def _frame(self, shape: SubnetShape) -> Any:
        size = (len(shape.layers), shape.heads, shape.neurons)
        if size not in self._frames:
            with torch.device("meta"):
                whole = Qwen2ForCausalLM(config_of(self.model.config, shape))
            # Rotary angles are no parameters, so the frame needs real ones.
            whole.model.rotary_emb = copy.deepcopy(self.model.model.rotary_emb)
            self._frames[size] = whole.model
        return self._frames[size]

    def train_step(self, batch: Batch, space: Sequence[SubnetShape], rng: random.Random) -> float:
        """Add the gradients of the largest, the smallest and one self between; the first's loss."""
        largest = self.loss(space[0], batch)
        largest.backward()
        for shape in (space[-1], rng.choice(space)):
            self.loss(shape, batch).backward()
        return float(largest.detach())


@torch.no_grad()
def held_out_losses(
    net: Supernet, space: Sequence[SubnetShape], batches: Sequence[Batch]
) -> Iterator[tuple[SubnetShape, float]]:
    """Each self's mean loss on the answers of `batches`."""
    for shape in space:
        losses = [float(net.loss(shape, batch, soft=False)) for batch in batches]
        yield shape, sum(losses) / len(losses)
