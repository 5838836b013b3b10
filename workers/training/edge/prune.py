"""Cut a trained Qwen2 decoder smaller: fewer layers, heads and neurons, a narrower residual.

The residual stream is turned to its principal directions and the last ones dropped, after
SliceGPT (Ashkboos et al., 2024); heads, neurons and layers go by how much they add on sample
batches. What is cut is a start for distillation, not a model to use.

Shapes: N tokens, W old width, D new width, H width of a head.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM

Batch = tuple[Tensor, Tensor]


@torch.no_grad()
def prune(
    teacher: Qwen2ForCausalLM,
    config: Qwen2Config,
    batches: Sequence[Batch],
    dropped: Collection[int],
) -> Qwen2ForCausalLM:
    """A model of `config` cut out of `teacher`, without its layers `dropped`.

    `batches` hold (ids_BT, targets_BT) as in training; tokens of padding are few and kept.
    """
    seen = observe(teacher, batches)
    turn_WD = _principal(seen["residual"])[:, : config.hidden_size]
    student = Qwen2ForCausalLM(config)
    # A shorter vector with most of the length: its root mean square grows by this much.
    gain = (config.hidden_size / teacher.config.hidden_size) ** 0.5
    layers: Any = teacher.model.layers
    kept = [layer for at, layer in enumerate(layers) if at not in dropped]
    neurons = [n for at, n in enumerate(seen["neurons"]) if at not in dropped]
    heads = [h for at, h in enumerate(seen["heads"]) if at not in dropped]
    for mine, theirs, use, worth in zip(student.model.layers, kept, neurons, heads, strict=True):
        _cut_layer(mine, theirs, turn_WD, gain, use, worth)
    student.model.embed_tokens.weight.copy_(teacher.model.embed_tokens.weight @ turn_WD)
    # The head shares its weights with the embedding, so its norm cannot be folded: its mean stays.
    student.model.norm.weight.fill_(float(teacher.model.norm.weight.mean()) / gain)
    return student


def observe(teacher: Qwen2ForCausalLM, batches: Sequence[Batch]) -> dict[str, Any]:
    """Second moments of the residual, and the use of each neuron and head, on `batches`."""
    layers: Any = teacher.model.layers
    width = teacher.config.hidden_size
    seen: dict[str, Any] = {
        "residual": torch.zeros(width, width),
        "neurons": [torch.zeros(layer.mlp.down_proj.in_features) for layer in layers],
        "heads": [torch.zeros(teacher.config.num_attention_heads) for _ in layers],
    }
    hooks = []

    def residual(_: Any, given: tuple[Tensor, ...]) -> None:
        x_NW = given[0].flatten(0, -2)
        unit = x_NW / x_NW.square().mean(-1, keepdim=True).sqrt()
        seen["residual"] += unit.T @ unit

    for at, layer in enumerate(layers):
        for norm in (layer.input_layernorm, layer.post_attention_layernorm):
            hooks.append(norm.register_forward_pre_hook(residual))

        def neurons(module: Any, given: tuple[Tensor, ...], at: int = at) -> None:
            size = given[0].flatten(0, -2).square().sum(0).sqrt()
            seen["neurons"][at] += size * module.weight.norm(dim=0)

        def heads(module: Any, given: tuple[Tensor, ...], at: int = at) -> None:
            count = len(seen["heads"][at])
            parts = given[0].flatten(0, -2).unflatten(-1, (count, -1))
            blocks = module.weight.unflatten(1, (count, -1))
            out = torch.einsum("nhk,whk->nhw", parts, blocks)
            seen["heads"][at] += out.square().sum((0, 2))

        hooks.append(layer.mlp.down_proj.register_forward_pre_hook(neurons))
        hooks.append(layer.self_attn.o_proj.register_forward_pre_hook(heads))
    hooks.append(teacher.model.norm.register_forward_pre_hook(residual))
    for ids_BT, _ in batches:
        teacher.model(input_ids=ids_BT, use_cache=False)
    for hook in hooks:
        hook.remove()
    return seen


def _principal(moments_WW: Tensor) -> Tensor:
    """Orthogonal directions of the residual as columns, the strongest first."""
    _, vectors = torch.linalg.eigh(moments_WW.double())
    return vectors.flip(1).float()


def _cut_layer(
    mine: Any, theirs: Any, turn_WD: Tensor, gain: float, use: Tensor, worth: Tensor
) -> None:
    attention, old = mine.self_attn, theirs.self_attn
    width = old.head_dim
    count = attention.q_proj.out_features // width
    best = worth.topk(count).indices.sort().values
    rows = (best[:, None] * width + torch.arange(width)).flatten()
    fold = theirs.input_layernorm.weight[:, None] * turn_WD / gain
    for name in ("q_proj", "k_proj", "v_proj"):
        new, source = getattr(attention, name), getattr(old, name)
        new.weight.copy_(source.weight[rows] @ fold)
        new.bias.copy_(source.bias[rows])
    attention.o_proj.weight.copy_(turn_WD.T @ old.o_proj.weight[:, rows])
    keep = use.topk(mine.mlp.down_proj.in_features).indices.sort().values
    fold = theirs.post_attention_layernorm.weight[:, None] * turn_WD / gain
    mine.mlp.gate_proj.weight.copy_(theirs.mlp.gate_proj.weight[keep] @ fold)
    mine.mlp.up_proj.weight.copy_(theirs.mlp.up_proj.weight[keep] @ fold)
    mine.mlp.down_proj.weight.copy_(turn_WD.T @ theirs.mlp.down_proj.weight[:, keep])
    mine.input_layernorm.weight.fill_(1.0)
    mine.post_attention_layernorm.weight.fill_(1.0)


@torch.no_grad()
def least_needed_layer(
    teacher: Qwen2ForCausalLM, batches: Sequence[Batch], loss: Any
) -> tuple[int, list[float]]:
    """The layer whose absence hurts `loss(model, ids_BT, targets_BT)` least, and all losses."""
    layers: Any = teacher.model.layers
    everything = list(layers)
    losses = []
    for at in range(len(everything)):
        teacher.model.layers = torch.nn.ModuleList(everything[:at] + everything[at + 1 :])
        losses.append(sum(loss(teacher, *batch).item() for batch in batches) / len(batches))
    teacher.model.layers = torch.nn.ModuleList(everything)
    return losses.index(min(losses)), losses
