"""Advice: the article's own recommendations, limits that bind, and reasons for every option."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import NoFeasiblePlan, NoModel
from orchestra.fleet.source import load_fleet
from orchestra.routing.advice import Advice, Need, advise, render

ARTICLE = load_fleet("article")[0]


def card(name: str, *takes: str, **changes: Any) -> Card:
    parts: dict[str, Any] = {
        "name": name,
        "role": "test",
        "capabilities": takes,
        "price": {"as_of": date(2026, 1, 1), "usd_per_cpu_second": "0.01"},
        "profile": {"origin": "measured", "fixed_ms": 100},
        "hosting": {"memory_gib": 1},
        "limits": {"context_tokens": 1000, "max_images": 1},
    }
    return Card.model_validate(parts | changes)


def scored(**scores: float) -> dict[str, Any]:
    return {task: {"score": score, "origin": "measured"} for task, score in scores.items()}


def names(advice: Advice) -> list[str]:
    return [option.name for option in advice.ranked]


@pytest.mark.parametrize(
    ("need", "first"),
    [
        (Need("text", deployment="edge"), "v2"),  # scarce resources
        (Need("text", memory_gib=4), "v2"),
        (Need("text", aim="cost"), "v2"),
        (Need("text", latency_ms=100), "v2"),
        (Need("both"), "v3"),  # text and image balanced
        (Need("image", aim="accuracy"), "vl"),  # visual precision
        (Need("image"), "vl"),
        (Need("text", aim="research"), "r1-zero"),  # research
        (Need("both", aim="accuracy"), "r1 + vl"),  # R1 for the text, VL for the image
        (Need("text", aim="accuracy"), "r1"),
    ],
)
def test_the_article_fleet_gives_the_recommendations_of_the_article(need: Need, first: str) -> None:
    assert names(advise(need, ARTICLE))[0] == first


def test_a_pair_says_who_reads_what() -> None:
    best = advise(Need("both", aim="accuracy"), ARTICLE).ranked[0]
    assert best.public()["models"] == {"text": "r1", "vision": "vl"}
    assert any("r1 reads the text and vl reads the photo" in reason for reason in best.reasons)


def test_every_option_has_reasons_and_every_model_left_out_has_one() -> None:
    advice = advise(Need("text", memory_gib=20), ARTICLE)
    assert all(option.reasons for option in advice.ranked)
    assert {entry.option for entry in advice.left_out} == {"v3", "vl", "r1-zero"}
    assert "memory_gib 40 is over 20" in [entry.reason for entry in advice.left_out]


def test_a_cluster_counts_the_memory_of_each_node_and_a_server_that_of_all_models() -> None:
    on_nodes = advise(Need("both", deployment="cluster", memory_gib=24), ARTICLE)
    assert names(on_nodes)[0] == "v2 + vl"
    with pytest.raises(NoFeasiblePlan, match="memory_gib=28") as refusal:
        advise(Need("both", deployment="server", memory_gib=24), ARTICLE)
    assert refusal.value.smallest == {"memory_gib": "28"}


def test_an_edge_device_has_no_server_behind_it() -> None:
    far = {"memory_gib": 0, "endpoint": {"url": "http://there/v1", "model": "m"}}
    fleet = FleetFile(name="f", models=(card("near", "text"), card("far", "text", hosting=far)))
    advice = advise(Need(deployment="edge"), fleet)
    assert names(advice) == ["near"]
    assert "not on the device" in advice.left_out[0].reason


def test_no_model_for_a_part_of_the_need_names_what_can_be_done() -> None:
    with pytest.raises(NoModel, match=r"reads the photo.*the text alone: v2"):
        advise(Need("both", deployment="edge"), ARTICLE)


def test_a_fused_model_that_sees_badly_is_not_preferred_for_being_one() -> None:
    pair = (
        card("words", "text", quality=scored(text=90)),
        card("eyes", "vision", quality=scored(vision=80)),
    )
    good = card("fused", "text", "vision", quality=scored(text=85, vision=75))
    bad = card("fused", "text", "vision", quality=scored(text=85, vision=20))
    assert names(advise(Need("both"), FleetFile(name="f", models=(*pair, good))))[0] == "fused"
    assert names(advise(Need("both"), FleetFile(name="f", models=(*pair, bad))))[0] != "fused"


def test_unknown_quality_is_said_and_ranked_behind_known_quality() -> None:
    fleet = FleetFile(
        name="f", models=(card("new", "text"), card("old", "text", quality=scored(text=1)))
    )
    advice = advise(Need(aim="accuracy"), fleet)
    assert names(advice) == ["old", "new"]
    assert any("unknown" in reason for reason in advice.ranked[1].reasons)


def test_a_score_on_sums_is_not_compared_with_one_on_texts() -> None:
    first = advise(Need(aim="research"), ARTICLE).ranked[0]
    assert first.quality is None
    assert any(reason.startswith("r1-zero: 67 on sums (article") for reason in first.reasons)


def test_rendering_says_how_it_ordered_and_how_many_are_not_shown() -> None:
    shown = render(advise(Need("both"), ARTICLE), 2)
    assert "order     one model that reads everything" in shown
    assert "1. v3" in shown and "(4 more: --top 6)" in shown
