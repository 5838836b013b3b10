"""The second version of an application: its arguments, and which models are hosted for it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from orchestra.core.card import Card
from orchestra.core.errors import InvalidFleet, InvalidGraph
from orchestra.fleet.source import load_fleet
from orchestra.serving.args import AppArgs, checked_fleet, read_args
from orchestra.serving.canary.second import own_cards, second_args, second_graphs, with_second
from orchestra.serving.config import deploy_config
from orchestra.serving.deployment import model_options


@pytest.fixture
def other(tmp_path: Path) -> str:
    """The bundled fleet as another file, with one model that is of another revision."""
    file, folder = load_fleet("mini")
    cards = file.model_dump(mode="json", exclude_defaults=True)["models"]
    for card in cards:
        card["hosting"]["checkpoint"] = str((folder / card["hosting"]["checkpoint"]).resolve())
        if card["name"] == "r1":
            card["hosting"]["revision"] = "next"
    path = tmp_path / "next.yaml"
    path.write_text(yaml.safe_dump({"name": "next", "models": cards}), encoding="utf-8")
    return str(path)


def test_only_models_that_differ_are_hosted_twice(other: str) -> None:
    args = AppArgs(canary_percent=10, canary_fleet=other)
    stable = checked_fleet(args)
    (own,) = own_cards(args, stable)
    assert own.name == "r1-canary"
    names = [card.name for card in with_second(args, stable).models]
    assert names == [*(card.name for card in stable.models), "r1-canary"]
    assert own_cards(AppArgs(canary_percent=10, canary_graph="answer"), stable) == ()


def test_the_second_version_has_a_policy_of_its_own_fleet_alone(other: str) -> None:
    assert second_args(AppArgs()) is None
    same = second_args(AppArgs(policy="p.yaml", canary_percent=5, canary_graph="answer"))
    assert same is not None and (same.fleet, same.policy) == ("mini", "p.yaml")
    next_one = second_args(AppArgs(policy="p.yaml", canary_percent=5, canary_fleet=other))
    assert next_one is not None and (next_one.fleet, next_one.policy) == (other, "")


def test_a_graph_of_its_own_stands_under_the_name_of_the_first() -> None:
    args = AppArgs(canary_percent=5, canary_graph="shop.py:build")
    graphs = second_graphs(args, {"listing": "listing", "answer": "answer"})
    assert graphs == {"listing": "shop.py:build", "answer": "answer"}


@pytest.mark.parametrize(
    "given", [{"canary_percent": "5"}, {"canary_fleet": "edge"}, {"canary_percent": "101"}]
)
def test_a_canary_without_a_share_or_a_difference_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(InvalidFleet, match="canary"):
        read_args(given)


def test_what_a_canary_names_is_checked_before_anything_starts() -> None:
    with pytest.raises(InvalidFleet, match="no-fleet"):
        checked_fleet(read_args({"canary_percent": "5", "canary_fleet": "no-fleet"}))
    with pytest.raises(InvalidGraph, match="no-graph"):
        checked_fleet(read_args({"canary_percent": "5", "canary_graph": "no-graph"}))


def test_a_written_deploy_file_has_the_models_of_both_versions(other: str) -> None:
    args = {"fleet": "mini", "canary_percent": "5", "canary_fleet": other}
    (app,) = deploy_config("listing", args, 8000)["applications"]
    assert "r1-canary" in [entry["name"] for entry in app["deployments"]]
    assert app["args"] == args


def test_a_range_of_replicas_follows_calls_that_wait_with_the_cards_delays() -> None:
    card = load_fleet("mini")[0].card("r1").model_dump(mode="json")
    card["hosting"]["scaling"] = {"max_replicas": 4, "max_ongoing": 10, "downscale_delay_s": 60}
    config = model_options(Card.model_validate(card))["autoscaling_config"]
    assert config == {
        "min_replicas": 1,
        "max_replicas": 4,
        "target_ongoing_requests": 5,
        "upscale_delay_s": 5.0,
        "downscale_delay_s": 60.0,
    }
    card["hosting"]["scaling"] |= {"target_ongoing": 2.5}
    config = model_options(Card.model_validate(card))["autoscaling_config"]
    assert config["target_ongoing_requests"] == 2.5
