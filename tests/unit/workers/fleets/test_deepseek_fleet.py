"""The deepseek fleet plans without weights, and its cards agree with the public configurations."""

from __future__ import annotations

import pytest

from orchestra.app import Fleet
from orchestra.core.job import Job
from orchestra.fleet.source import load_fleet, load_graph
from tests.public_configs import CONFIGS, whole_model

FILE, _ = load_fleet("deepseek")
BFLOAT16_BYTES = 2
GIB = 2**30


def test_the_fleet_names_every_public_checkpoint_once():
    assert {card.hosting.checkpoint for card in FILE.models} == set(CONFIGS)
    assert {card.role for card in FILE.models} == {"R1", "V2", "VL", "V3"}


@pytest.mark.parametrize("card", FILE.models, ids=lambda card: card.name)
def test_memory_and_limits_fit_the_public_configuration(card):
    config = CONFIGS[card.hosting.checkpoint]
    text = config.get("text_config", config)
    weights = sum(p.numel() for p in whole_model(card.hosting.checkpoint).parameters())
    weights += text["vocab_size"] * text["hidden_size"] * ("text_config" in config)
    assert weights * BFLOAT16_BYTES / GIB < card.hosting.memory_gib
    assert card.limits.context_tokens <= text["max_position_embeddings"]
    if "vision_config" in config:
        assert card.limits.image_tokens * card.limits.max_images < card.limits.context_tokens
        assert card.limits.image_tokens >= 576
    assert (card.limits.thinking_tokens > 0) == (card.role == "R1")
    sampled = card.hosting.sampling.temperature, card.hosting.sampling.top_p
    assert sampled == ((0.6, 0.95) if card.role == "R1" else (0, 1))


@pytest.mark.parametrize("graph", ["listing", "answer"])
async def test_plans_are_made_without_weights(graph: str):
    async with Fleet.open("deepseek") as fleet:
        job = Job(text="red cotton shirt", images=("shirt.jpg",))
        planned = fleet.plan(load_graph(graph), job)
    assert planned.nodes
    assert {node.model for node in planned.nodes} <= {card.name for card in FILE.models}
