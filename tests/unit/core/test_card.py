"""Cards and fleets: what is refused, and with which words."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest

from orchestra.core.card import FleetFile, Price, Profile, parse_fleet
from orchestra.core.errors import InvalidFleet
from orchestra.core.pricing import Work, cost_micro
from orchestra.fleet.source import load_fleet

CARD: dict[str, Any] = {
    "name": "a",
    "role": "text",
    "capabilities": ["text"],
    "price": {"as_of": "2026-11-01", "usd_per_cpu_second": "0.01"},
    "profile": {"origin": "measured", "fixed_ms": 10},
    "hosting": {"memory_gib": 1},
    "limits": {"context_tokens": 100},
}
Change = Callable[[dict[str, Any]], Any]


def fleet(*changes: Change) -> FleetFile:
    card = deepcopy(CARD)
    for change in changes:
        change(card)
    return parse_fleet({"name": "test", "models": [card]}, origin="test.yaml")


def test_a_valid_card_is_read_as_it_stands() -> None:
    card = fleet().card("a")
    assert (card.price.usd_per_cpu_second, card.limits.context_tokens) == (Decimal("0.01"), 100)
    assert (card.data_goes_to, card.is_hosted, card.price.is_paid) == ("local", False, False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda card: card.update(flavour="sweet"), r"models\.0\.flavour.*'sweet'"),
        (lambda card: card["limits"].update(tokens=5), r"models\.0\.limits\.tokens"),
        (lambda card: card["price"].pop("as_of"), r"models\.0\.price\.as_of.*required"),
        (lambda card: card.update(capabilities=["vision"]), r"max_images is 0.*set it to 1"),
        (lambda card: card.update(capabilities=["Smell"]), r"capabilities\.0.*lower-case.*'Smell'"),
        (lambda card: card.update(capabilities=[]), r"models\.0\.capabilities"),
        (lambda card: card.update(name=""), r"models\.0\.name"),
        (lambda card: card["limits"].update(context_tokens=0), r"limits\.context_tokens"),
        (lambda card: card["limits"].update(thinking_tokens=100), r"thinking_tokens=100 leaves no"),
        (lambda card: card["hosting"].update(memory_gib=-1), r"hosting\.memory_gib.*-1"),
        (lambda card: card["price"].update(usd_per_image=-1), r"price\.usd_per_image.*-1"),
        (lambda card: card["price"].update(usd_per_hour=".nan"), r"price\.usd_per_hour"),
        (lambda card: card["profile"].update(fixed_ms=-5), r"profile\.fixed_ms.*-5"),
        (lambda card: card["profile"].update(fixed_ms=float("nan")), r"profile\.fixed_ms"),
        (lambda card: card.update(latency={"p99_ratio": 0.5}), r"latency\.p99_ratio.*0\.5"),
        (lambda card: card.update(latency={"fixed_ms": -1}), r"latency\.fixed_ms.*-1"),
        (lambda card: card.update(quality={"text": {"score": float("nan")}}), r"text\.score"),
        (lambda card: card.update(estimated=["price", "prise"]), r"marks 'prise' as estimated"),
    ],
)
def test_a_wrong_card_is_refused_by_the_place_and_the_value(change: Change, words: str) -> None:
    with pytest.raises(InvalidFleet, match=rf"test\.yaml is not a fleet: .*{words}"):
        fleet(change)


def test_two_cards_of_one_name_are_refused_by_name() -> None:
    with pytest.raises(InvalidFleet, match="two cards are called 'a'"):
        parse_fleet({"name": "test", "models": [CARD, CARD]}, origin="test.yaml")


@pytest.mark.parametrize("raw", [None, [], "mini", {"name": "test", "models": []}, {}])
def test_what_is_no_fleet_is_refused(raw: Any) -> None:
    with pytest.raises(InvalidFleet, match=r"test\.yaml is not a fleet"):
        parse_fleet(raw, origin="test.yaml")


def test_an_unknown_model_lists_the_models_there_are() -> None:
    with pytest.raises(InvalidFleet, match=r"no model 'b' \(it has: 'a'\)"):
        fleet().card("b")


@pytest.mark.parametrize(
    "paid", ["usd_per_million_input_tokens", "usd_per_million_output_tokens", "usd_per_image"]
)
def test_a_card_billed_by_somebody_else_is_paid(paid: str) -> None:
    assert Price.model_validate({"as_of": "2026-11-01", paid: "0.1"}).is_paid


def test_a_profile_adds_its_parts() -> None:
    profile = Profile(
        origin="measured",
        fixed_ms=5,
        ms_per_input_token=0.5,
        ms_per_output_token=2,
        ms_per_image=10,
    )
    assert profile.milliseconds(input_tokens=10, output_tokens=3, images=2) == 5 + 5 + 6 + 20


def test_a_measured_latency_changes_no_price() -> None:
    measured = fleet(lambda card: card.update(latency={"fixed_ms": 99, "p99_ratio": 2}))
    work = Work(10, 10)
    assert cost_micro(measured.card("a"), work) == cost_micro(fleet().card("a"), work)


@pytest.mark.parametrize("name", ["mini", "article"])
def test_what_a_shipped_fleet_calls_estimated_is_on_its_card(name: str) -> None:
    for card in load_fleet(name)[0].models:
        for path in card.estimated:
            found: Any = card
            for part in path.split("."):
                found = getattr(found, part)
            assert found is not None


def test_every_article_profile_that_is_not_the_articles_is_marked_estimated() -> None:
    for card in load_fleet("article")[0].models:
        marked = any(path.split(".")[0] == "profile" for path in card.estimated)
        assert marked == (card.profile.origin == "estimated"), card.name
        assert not card.is_hosted
