"""Routes of a job through a graph, and the plan along one of them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from graphs.answer import build as answer
from graphs.listing import build as listing
from orchestra.core.errors import NoFeasiblePlan
from orchestra.core.job import Budget
from orchestra.fleet.source import load_fleet
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from orchestra.routing.planner import plan
from orchestra.routing.routes import Prices, Route, plan_along, routes

MINI = load_fleet("mini")[0]
BOTH, TEXT, PHOTO = JobShape(200, 1), JobShape(200, 0), JobShape(0, 1)
LISTING = view(compile_graph(listing))
ANY = Budget()


def names(shape: JobShape, budget: Budget = ANY) -> list[str]:
    return [route.name for route in routes(LISTING, shape, MINI, budget)]


def test_the_first_route_is_the_planners_own() -> None:
    for shape in (BOTH, TEXT, PHOTO):
        own = plan(LISTING, shape, ANY, MINI)
        assert names(shape)[0] == Route.of(own.nodes).name


def test_a_route_may_leave_out_an_input_or_take_cheaper_models() -> None:
    found = names(BOTH)
    assert "read=r1 write=r1" in found and "look=vl write=r1" in found
    assert any("read=v2" in name for name in found)
    assert len(found) == len(set(found))


def test_a_job_without_a_photo_has_no_route_that_looks() -> None:
    assert all("look=" not in name for name in names(TEXT))


def test_a_question_is_asked_of_all_that_there_is() -> None:
    seen = view(compile_graph(answer))
    found = routes(seen, BOTH, MINI, ANY)
    assert {node for node, _ in found[0].models} == {
        node for route in found for node, _ in route.models
    }


def test_a_budget_that_fits_no_route_is_refused_as_a_plan_is() -> None:
    with pytest.raises(NoFeasiblePlan):
        names(BOTH, Budget(latency_ms=0.1))


def test_a_plan_along_a_route_has_its_models_and_says_what_is_left_out() -> None:
    made = plan_along(LISTING, BOTH, ANY, MINI, {"read": "v2", "write": "r1"})
    assert [(node.node, node.model) for node in made.nodes] == [("read", "v2"), ("write", "r1")]
    assert [entry.option for entry in made.skipped] == ["look"]
    assert "helps more" in made.skipped[0].reason
    whole = plan(LISTING, BOTH, ANY, MINI)
    assert made.latency_ms < whole.latency_ms and made.route == "text"


def test_a_job_that_lost_the_input_of_its_route_is_planned_anew() -> None:
    made = plan_along(LISTING, TEXT, ANY, MINI, {"look": "vl", "write": "r1"})
    assert made == plan(LISTING, TEXT, ANY, MINI)


def test_a_route_reads_back_from_its_name() -> None:
    route = Route((("look", "vl"), ("write", "r1")))
    assert Route.named(route.name) == route


def test_prices_of_a_route_are_those_of_its_plan() -> None:
    prices = Prices(LISTING, MINI)
    for shape in (BOTH, TEXT, PHOTO):
        own = plan(LISTING, shape, ANY, MINI)
        priced = prices.of(Route.of(own.nodes), shape)
        assert sum(node.cost_micro for node in priced) == own.cost_micro
        assert sum(node.expected_micro for node in priced) == own.expected_micro
    assert Decimal(prices.of(Route.of(own.nodes), PHOTO)[0].cost_micro) > 0
