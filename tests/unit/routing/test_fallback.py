"""Fallbacks and endpoints in a plan: who may stand in, what it costs at most, and what is local."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph import END, START, StateGraph

from graphs.listing import build as listing
from graphs.listing import default_recipe
from orchestra.clients.endpoint_request import most_usage
from orchestra.core.ask import ask
from orchestra.core.call import Call
from orchestra.core.card import Card, Endpoint, FleetFile
from orchestra.core.errors import NoFeasiblePlan, NoModel
from orchestra.core.job import Budget
from orchestra.core.schema import narrow
from orchestra.core.state import Context, JobState
from orchestra.core.text import sanitise
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from orchestra.routing.plan import Plan
from orchestra.routing.planner import plan
from tests.servers.fake_server import endpoint_card

WORDS = JobShape(text_bytes=40, images=0)
NO_LIMITS = Budget()
URL = "http://127.0.0.1:9/v1"


def far(**changes: Any) -> Card:
    """The better model, behind a server, that falls back on `near`."""
    best = {"text": {"score": 90, "origin": "vendor"}}
    return endpoint_card(URL, **{"fallback": "near", "quality": best} | changes)


def near(**changes: Any) -> Card:
    """A model of this process."""
    parts: dict[str, Any] = {
        "name": "near",
        "role": "text",
        "capabilities": ["text"],
        "price": {"as_of": "2026-11-01", "usd_per_cpu_second": "0.01"},
        "profile": {"origin": "measured", "fixed_ms": 1000},
        "hosting": {"memory_gib": 2, "worker": "tests.stub_worker:StubWorker"},
        "limits": {"context_tokens": 1000},
    }
    return Card.model_validate(parts | changes)


def one_node() -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Read.", max_tokens=10))
    graph.add_edge(START, "read")
    graph.add_edge("read", END)
    return graph


def planned(*cards: Card, shape: JobShape = WORDS, budget: Budget = NO_LIMITS) -> Plan:
    return plan(view(compile_graph(one_node)), shape, budget, FleetFile(name="t", models=cards))


def alone(card: Card) -> Plan:
    return planned(card.model_copy(update={"fallback": None}))


def test_a_call_elsewhere_that_may_be_billed_is_counted_beside_its_fallback() -> None:
    both, first, second = planned(far(), near()), alone(far()), alone(near())
    (node,) = both.nodes
    assert (node.model, node.fallback and node.fallback.model) == ("far", "near")
    assert both.cost_micro == first.cost_micro + second.cost_micro > first.cost_micro
    assert both.tokens == first.tokens + second.tokens
    assert both.expected_micro == first.expected_micro
    assert both.latency_ms == first.latency_ms
    assert both.memory_gib == 2


def test_a_model_of_this_machine_is_paid_only_when_it_answers_so_the_dearer_one_counts() -> None:
    home = near(name="home", fallback="near", quality={"text": {"score": 80, "origin": "vendor"}})
    both = planned(home, near(price={"as_of": "2026-11-01", "usd_per_cpu_second": "0.05"}))
    assert both.nodes[0].model == "home" and both.nodes[0].fallback is not None
    assert both.cost_micro == 50_000


def test_a_budget_holds_the_fallback_too() -> None:
    enough = planned(far(), near()).cost_micro
    with pytest.raises(NoFeasiblePlan):
        planned(far(), near(quality={}), budget=Budget(cost_usd=0))
    tight = planned(far(), near(), budget=Budget(cost_usd=(enough - 1) / 1_000_000))
    assert tight.nodes[0].model == "near"


def free(**changes: Any) -> Card:
    """A model of this machine that costs nothing, and falls back on one that is billed."""
    nothing = {"as_of": "2026-11-01"}
    return near(**{"name": "free", "fallback": "far", "price": nothing} | changes)


def test_a_free_model_with_a_paid_fallback_is_chosen_before_the_paid_one() -> None:
    made = planned(far(fallback=None, quality={}), free())
    (node,) = made.nodes
    assert (node.model, node.fallback and node.fallback.model) == ("free", "far")
    assert made.expected_micro == 0 < made.cost_micro
    reasons = {entry.option: entry.reason for entry in made.rejected}
    assert reasons["read=far"].startswith("no better, and is expected to cost $0.0")


@pytest.mark.parametrize("fallback", [None, "far"])
def test_a_fallback_does_not_change_which_model_is_best(fallback: str | None) -> None:
    paid, cheap = far(fallback=None, quality={}), free(name="cheap", fallback=fallback)
    assert planned(paid, near(name="dear"), cheap).nodes[0].model == "cheap"


def test_the_guarantee_of_a_free_model_holds_its_paid_fallback() -> None:
    enough = planned(far(fallback=None, quality={}), free()).cost_micro
    with pytest.raises(NoFeasiblePlan) as told:
        tight = Budget(cost_usd=(enough - 1) / 1_000_000)
        planned(far(fallback=None, quality={}), free(), budget=tight)
    assert told.value.smallest["cost_usd"] == f"{enough / 1_000_000:f}"


@pytest.mark.parametrize(
    ("changes", "shape", "why"),
    [
        ({"capabilities": ["maths"]}, WORDS, "takes maths"),
        ({"limits": {"context_tokens": 10}}, WORDS, "context 10"),
        (
            {"data_goes_to": "eu"},
            JobShape(text_bytes=40, images=0, local_only=True),
            "sends data to 'eu'",
        ),
    ],
)
def test_a_fallback_that_may_not_do_the_work_is_left_out_with_its_reason(
    changes: dict[str, Any], shape: JobShape, why: str
) -> None:
    made = planned(far(), near(**changes), shape=shape)
    assert made.nodes[0].fallback is None
    reasons = {entry.option: entry.reason for entry in made.rejected}
    assert why in reasons["read=far, then near"]


def test_the_plan_shows_the_fallback() -> None:
    made = planned(far(), near())
    assert "fallback  read: near when far is unavailable" in str(made)
    shown = made.public()["nodes"][0]["fallback"]
    assert shown["model"] == "near" and shown["cost_usd"] == 0.01
    assert planned(near()).public()["nodes"][0]["fallback"] is None


def test_a_local_job_reaches_a_server_of_this_machine_and_none_elsewhere() -> None:
    local = JobShape(text_bytes=40, images=0, local_only=True)
    assert planned(far(fallback=None), shape=local).nodes[0].model == "far"
    away = far(fallback=None, data_goes_to="api.example.com")
    with pytest.raises(NoModel, match=r"sends data to 'api\.example\.com'"):
        planned(away, shape=local)
    assert planned(away, near(), shape=local).nodes[0].model == "near"


@given(
    text=st.text(min_size=1, max_size=120) | st.sampled_from(["苹果 500克。", "a, b 1 kg 2 kg."])
)
def test_a_plans_ceiling_holds_what_a_server_counts_of_a_narrowed_recipe(text: str) -> None:
    recipe_schema = json.dumps(default_recipe().text_schema())
    text = sanitise(text)
    graph = view(compile_graph(listing))
    card = endpoint_card(URL, limits={"context_tokens": 1_000_000})
    fleet = FleetFile(name="t", models=(card,))
    made = plan(graph, JobShape(len(text.encode()), 0), Budget(), fleet)
    read = next(node for node in made.nodes if node.node == "read")
    instruction = graph.asks["read"].instruction
    for structured in ("json_schema", "json_object", "prompt"):
        endpoint = Endpoint(url=URL, model="m", structured=structured)
        call = Call(instruction, text=text, schema=narrow(recipe_schema, text))
        assert most_usage(call, endpoint, 0).input_tokens <= read.prompt_tokens
