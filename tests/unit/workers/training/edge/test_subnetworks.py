"""The smaller selves of a text model: what they share, and which one a budget gets."""

import random
from typing import Any

import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from orchestra.core.errors import UsageError
from workers.training.edge.frontier_plot import draw_frontier
from workers.training.edge.subnetworks import Subnetwork, choose, frontier
from workers.training.edge.supernet import (
    SubnetShape,
    Supernet,
    cut,
    held_out_losses,
    ordered,
    shapes,
)

IDS = torch.arange(5, 29).reshape(2, 12)


@pytest.fixture
def teacher() -> Any:  # the parts of transformers' layers have no types
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=16,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=4,
        tie_word_embeddings=True,
    )
    return Qwen2ForCausalLM(config).eval()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    targets = torch.full_like(IDS, -100)
    targets[:, 6:] = IDS[:, 6:]
    return IDS, targets


def test_ordering_heads_and_neurons_by_use_keeps_the_function(teacher: Any):
    model: Any = ordered(teacher, [batch()])
    assert not torch.equal(
        model.model.layers[0].mlp.up_proj.weight, teacher.model.layers[0].mlp.up_proj.weight
    )
    with torch.no_grad():
        assert torch.allclose(model(IDS).logits, teacher(IDS).logits, atol=1e-5)


def test_the_largest_self_is_the_model_and_a_smaller_one_is_what_training_saw(
    teacher: Any,
):
    net = Supernet(teacher, ordered(teacher, [batch()]))
    space = shapes(teacher.config, order=[1, 0, 2])
    assert space[0] == SubnetShape((0, 1, 2), 4, 16)
    assert space[-1] == SubnetShape((0, 2), 2, 4)
    with torch.no_grad():
        assert torch.allclose(cut(net.model, space[0])(IDS).logits, teacher(IDS).logits, atol=1e-5)
    ids, targets = batch()
    for shape, loss in held_out_losses(net, [space[0], space[5], space[-1]], [batch()]):
        with torch.no_grad():
            logits = cut(net.model, shape)(ids).logits[targets != -100]
        alone = torch.nn.functional.cross_entropy(logits, targets[targets != -100])
        assert loss == pytest.approx(float(alone), rel=0.02)  # bfloat16


def test_a_step_teaches_the_shared_weights_and_never_the_teacher(teacher: Any):
    net = Supernet(teacher, ordered(teacher, [batch()]))
    space = shapes(teacher.config, order=[1, 0, 2])
    net.train_step(batch(), space, random.Random(0))
    layers: Any = net.model.model.layers
    assert layers[0].mlp.up_proj.weight.grad is not None
    # The smallest self has a quarter of the neurons, so the first ones learn from every self.
    first, last = layers[0].mlp.up_proj.weight.grad.norm(dim=1)[[0, -1]]
    assert first > 0
    assert last > 0
    assert all(part.grad is None for part in teacher.parameters())


def selves(*rows: tuple[float, float, float]) -> list[Subnetwork]:
    shape = SubnetShape((0, 1), 2, 8)
    return [Subnetwork(shape, ms, mb, {"extract": loss}) for ms, mb, loss in rows]


def test_the_frontier_holds_what_no_other_self_beats_in_both():
    found = selves((3.0, 3.0, 0.1), (2.0, 2.0, 0.3), (2.5, 2.0, 0.4), (1.0, 1.0, 0.5))
    assert [m.latency_ms for m in frontier(found, "extract")] == [1.0, 2.0, 3.0]


def test_a_budget_gets_the_self_of_least_loss_within_it_or_hears_what_the_least_is():
    found = selves((3.0, 3.0, 0.1), (2.0, 2.0, 0.3), (1.0, 1.0, 0.5))
    assert choose(found, "extract", 2.5, 9.0).losses["extract"] == 0.3
    assert choose(found, "extract", 9.0, 1.5).losses["extract"] == 0.5
    with pytest.raises(UsageError, match=r"latency_ms=0.5 .* fastest takes 1.00 ms"):
        choose(found, "extract", 0.5, 9.0)


def test_the_picture_joins_the_frontier_of_each_task():
    points = {"extract": [(1.0, 0.5), (2.0, 0.2), (2.0, 0.4)]}
    drawn = draw_frontier(points, {"extract": [(1.0, 0.5), (2.0, 0.2)]})
    assert drawn.count("<circle") == 3
    assert drawn.count("<polyline") == 1
