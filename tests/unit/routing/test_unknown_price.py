"""A price that nobody has said lets no budget in dollars pass, and is not taken for nothing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from orchestra import Budget, Context, Job, JobState, ask
from orchestra.app import Fleet
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import ConfirmationNeeded, PriceUnknown
from tests.servers.fake_server import chat, endpoint_card, serving

FAR = "https://models.example.com/v1"
HERE = "http://127.0.0.1:9/v1"
RED = '{"colour":"red"}'
DAY = {"as_of": "2026-11-01"}


class Facts(BaseModel):
    colour: str | None


def build() -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Extract what the text states.", schema=Facts))
    graph.add_edge(START, "read")
    graph.add_edge("read", END)
    return graph


def fleet_of(*cards: Card) -> Fleet:
    return Fleet(FleetFile(name="paid", models=cards), Path())


def without_price(url: str) -> Card:
    raw = endpoint_card(url).model_dump()
    del raw["price"]
    return Card.model_validate(raw)


@pytest.mark.parametrize(
    ("url", "price", "unknown"),
    [
        (FAR, "unknown", True),
        (HERE, "unknown", True),
        (FAR, DAY, True),
        (HERE, DAY, False),  # nobody bills a server of this machine
        (FAR, "free", False),
        (FAR, DAY | {"usd_per_million_input_tokens": 0}, False),
        (FAR, DAY | {"usd_per_hour": 2}, False),
    ],
)
def test_a_price_is_known_where_a_figure_or_a_word_says_it_or_nobody_else_can_bill(
    url: str, price: Any, unknown: bool
) -> None:
    card = endpoint_card(url, price=price)
    assert card.price.unknown == unknown
    assert Card.model_validate(card.model_dump()).price == card.price
    assert Card.model_validate_json(card.model_dump_json()).price == card.price


def test_a_card_without_a_price_is_unknown_elsewhere_and_free_here() -> None:
    assert without_price(FAR).price.unknown
    assert not without_price(HERE).price.unknown
    raw = without_price(HERE).model_dump(exclude={"price"})
    raw["hosting"] |= {"endpoint": None}
    assert Card.model_validate(raw).price.unknown  # and where nobody knows the place
    raw["hosting"] |= {"worker": "tests.stub_worker:StubWorker"}
    assert not Card.model_validate(raw).price.unknown


def test_a_figure_needs_the_day_on_which_it_was_read() -> None:
    with pytest.raises(ValueError, match="as_of is the day"):
        endpoint_card(FAR, price={"as_of": None, "usd_per_hour": 2})


def test_a_budget_in_dollars_refuses_a_model_of_unknown_price_and_says_what_to_write() -> None:
    fleet, dollars = fleet_of(endpoint_card(FAR, price="unknown")), Budget(cost_usd=3)
    with pytest.raises(PriceUnknown, match=r"price of 'far' is unknown.*price: free"):
        fleet.plan(build, Job(text="A red shirt.", budget=dollars))
    planned = fleet.plan(build, Job(text="A red shirt.", budget=Budget(tokens=9_000)))
    assert planned.unknown_prices == ("far",) and "far: unknown" in str(planned)


def test_a_model_of_known_price_is_taken_instead_also_as_a_fallback() -> None:
    known = endpoint_card(FAR, name="known", fallback="far")
    other = endpoint_card(FAR, price="unknown", quality={"text": {"score": 99}})
    planned = fleet_of(known, other).plan(
        build, Job(text="A red shirt.", budget=Budget(cost_usd=3))
    )
    assert [node.model for node in planned.nodes] == ["known"]
    assert planned.nodes[0].fallback is None and planned.unknown_prices == ()
    assert {"its price is unknown, and the budget is in dollars"} == {
        entry.reason for entry in planned.rejected
    }


async def test_a_call_of_unknown_price_says_so_in_the_result() -> None:
    with serving(chat(RED)) as server:
        async with fleet_of(endpoint_card(server.url, price="unknown")) as fleet:
            result = await fleet.run(build, Job(text="A red shirt."))
    assert result.cost_usd == 0
    assert "the price of far is unknown, so its call is booked at $0" in result.notes


async def test_a_batch_within_dollars_refuses_it_and_one_without_asks_first(
    tmp_path: Path,
) -> None:
    source = tmp_path / "products.csv"
    with source.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "name"], [1, "Red shirt"]])
    columns: dict[str, Any] = {"text_columns": ("name",), "image_column": "", "id_column": "id"}
    with serving(chat(RED)) as server:
        async with fleet_of(endpoint_card(server.url, price="unknown")) as fleet:
            with pytest.raises(PriceUnknown, match="'far'"):
                await fleet.batch(
                    build, source, out=tmp_path / "a", budget=Budget(cost_usd=3), **columns
                )
            with pytest.raises(ConfirmationNeeded, match="may bill"):
                await fleet.batch(build, source, out=tmp_path / "a", **columns)
            assert server.asked == []
            done = await fleet.batch(build, source, out=tmp_path / "a", yes=True, **columns)
    assert done.complete == 1
