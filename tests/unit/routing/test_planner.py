"""The planner: what it chooses, what it refuses, and that it says why."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph import END, START, StateGraph

from graphs.answer import build as answer
from graphs.listing import build as listing
from orchestra.core.ask import ask, prompt_hash
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import EmptyJob, NoFeasiblePlan, NoModel
from orchestra.core.identity import snapshot
from orchestra.core.job import Budget
from orchestra.core.state import Context, JobState
from orchestra.fleet.source import load_fleet
from orchestra.quality.learned.expected import Expected
from orchestra.quality.policy import Policy
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from orchestra.routing.planner import plan
from orchestra.routing.prompt_size import RULES_BYTES

WORDS = JobShape(text_bytes=40, images=0)
WORDS_AND_PHOTO = JobShape(text_bytes=40, images=1)
KNOWN = Policy.model_construct()  # one that says nothing else
ARTICLE = load_fleet("article")[0]
MINI = load_fleet("mini")[0]


def card(name: str, **changes: Any) -> Card:
    """A text card that costs a cent a call; `changes` replace its parts."""
    parts: dict[str, Any] = {
        "name": name,
        "role": "test",
        "capabilities": ["text"],
        "price": {"as_of": date(2026, 1, 1), "usd_per_cpu_second": "0.01"},
        "profile": {"origin": "measured", "fixed_ms": 1000},
        "hosting": {"memory_gib": 1},
        "limits": {"context_tokens": 1000},
        "quality": {"text": {"score": 50, "origin": "measured"}},
    }
    return Card.model_validate(parts | changes)


def fleet(*cards: Card) -> FleetFile:
    return FleetFile(name="test", models=cards)


def one_node() -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Read.", max_tokens=10))
    graph.add_edge(START, "read")
    graph.add_edge("read", END)
    return graph


def chain_beside_branch() -> StateGraph[JobState, Context]:
    """first -> second, beside: critical path is two calls, the cost three."""
    graph = StateGraph(JobState, context_schema=Context)
    for name in ("first", "second", "beside"):
        graph.add_node(name, ask("text", f"{name}.", max_tokens=10))
    graph.add_edge(START, "first")
    graph.add_edge("first", "second")
    graph.add_edge(START, "beside")
    graph.add_edge("second", END)
    graph.add_edge("beside", END)
    return graph


def models(planned: Any) -> dict[str, str]:
    return {node.node: node.model for node in planned.nodes}


def test_words_alone_go_to_the_best_text_model() -> None:
    planned = plan(view(compile_graph(answer)), WORDS, Budget(), ARTICLE)
    assert models(planned) == {"read": "r1"}


@pytest.mark.parametrize("limit", [{"memory_gib": 4}, {"latency_ms": 100}])
def test_a_small_budget_takes_the_light_model(limit: dict[str, float]) -> None:
    planned = plan(view(compile_graph(answer)), WORDS, Budget(**limit), ARTICLE)
    assert models(planned) == {"read": "v2"}


def test_a_photo_goes_to_the_vision_model_and_the_words_to_the_text_model() -> None:
    planned = plan(view(compile_graph(answer)), WORDS_AND_PHOTO, Budget(), ARTICLE)
    assert models(planned) == {"look": "vl", "read": "r1"}
    assert planned.route == "text+vision"


def test_no_assignment_gives_a_photo_to_a_model_without_vision() -> None:
    blind = {c.name for c in ARTICLE.models if "vision" not in c.capabilities}
    planned = plan(view(compile_graph(answer)), WORDS_AND_PHOTO, Budget(), ARTICLE)
    for name in blind:
        reasons = [e.reason for e in planned.rejected if e.option == f"look={name}"]
        assert reasons and "vision" in reasons[0]


def test_every_option_not_taken_has_a_reason() -> None:
    planned = plan(view(compile_graph(answer)), WORDS_AND_PHOTO, Budget(memory_gib=60), ARTICLE)
    assert len(planned.rejected) >= 8
    assert all(entry.option and entry.reason for entry in planned.rejected)


def test_cost_is_the_sum_and_latency_the_critical_path() -> None:
    planned = plan(view(compile_graph(chain_beside_branch)), WORDS, Budget(), fleet(card("a")))
    assert planned.cost_micro == 3 * 10_000
    assert planned.latency_ms == 2000


def test_memory_counts_each_model_once() -> None:
    planned = plan(view(compile_graph(chain_beside_branch)), WORDS, Budget(), fleet(card("a")))
    assert planned.memory_gib == 1


def test_equal_quality_takes_the_cheaper_model() -> None:
    cheap = card("cheap", price={"as_of": date(2026, 1, 1), "usd_per_cpu_second": "0.001"})
    planned = plan(view(compile_graph(one_node)), WORDS, Budget(), fleet(card("dear"), cheap))
    assert models(planned) == {"read": "cheap"}


def test_the_same_inputs_give_the_same_plan() -> None:
    graph = view(compile_graph(listing))
    first = plan(graph, WORDS_AND_PHOTO, Budget(cost_usd="0.01"), MINI)
    assert plan(graph, WORDS_AND_PHOTO, Budget(cost_usd="0.01"), MINI) == first


def test_a_zero_budget_names_the_smallest_that_is_guaranteed_and_that_one_fits() -> None:
    graph = view(compile_graph(listing))
    with pytest.raises(NoFeasiblePlan) as caught:
        plan(graph, WORDS_AND_PHOTO, Budget(cost_usd=0), MINI)
    smallest = caught.value.smallest["cost_usd"]
    assert caught.value.tightest == "cost_usd"
    assert smallest in str(caught.value)
    assert plan(graph, WORDS_AND_PHOTO, Budget(cost_usd=smallest), MINI).cost_micro > 0
    just_under = Decimal(smallest) - Decimal("0.000001")
    with pytest.raises(NoFeasiblePlan):
        plan(graph, WORDS_AND_PHOTO, Budget(cost_usd=just_under), MINI)


@given(
    cost=st.none() | st.integers(0, 400).map(lambda micro: Decimal(micro).scaleb(-6)),
    latency=st.none() | st.integers(0, 600),
    memory=st.none() | st.integers(0, 90),
    tokens=st.none() | st.integers(0, 20_000),
)
def test_a_plan_keeps_every_limit_or_names_a_budget_that_does(
    cost: Decimal | None, latency: int | None, memory: int | None, tokens: int | None
) -> None:
    graph = view(compile_graph(answer))
    budget = Budget(cost_usd=cost, latency_ms=latency, memory_gib=memory, tokens=tokens)
    try:
        planned = plan(graph, WORDS_AND_PHOTO, budget, ARTICLE)
    except NoFeasiblePlan as refusal:
        enough = {name: value for name, value in budget if value is not None} | refusal.smallest
        planned = plan(graph, WORDS_AND_PHOTO, Budget(**enough), ARTICLE)
        budget = Budget(**enough)
    assert budget.cost_usd is None or planned.cost_micro <= budget.cost_usd * 1_000_000
    assert budget.latency_ms is None or planned.latency_ms <= budget.latency_ms
    assert budget.memory_gib is None or planned.memory_gib <= budget.memory_gib
    assert budget.tokens is None or planned.tokens <= budget.tokens


def test_a_job_that_stays_local_refuses_a_model_elsewhere() -> None:
    away = card("away", data_goes_to="eu", quality={"text": {"score": 99, "origin": "vendor"}})
    shape = JobShape(text_bytes=10, images=0, local_only=True)
    planned = plan(view(compile_graph(one_node)), shape, Budget(), fleet(away, card("home")))
    assert models(planned) == {"read": "home"}
    assert any("eu" in entry.reason for entry in planned.rejected)


def test_a_modality_without_a_model_names_what_the_fleet_has() -> None:
    with pytest.raises(NoModel, match=r"'vision'.*'text'.*Add a card"):
        plan(view(compile_graph(answer)), WORDS_AND_PHOTO, Budget(), fleet(card("a")))


def test_a_job_with_nothing_in_it_is_refused() -> None:
    with pytest.raises(EmptyJob, match="neither text nor an image"):
        plan(view(compile_graph(answer)), JobShape(0, 0), Budget(), ARTICLE)


def test_the_snapshot_changes_with_a_price() -> None:
    dearer = card("a", price={"as_of": date(2026, 1, 1), "usd_per_cpu_second": "0.02"})
    assert snapshot(fleet(card("a"))) != snapshot(fleet(dearer))


def prompt_of(card: Card) -> int:
    schema = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}}
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("write", ask("text", "Write.", schema=schema, max_tokens=10, derived=True))
    graph.add_edge(START, "write")
    graph.add_edge("write", END)
    planned = plan(view(compile_graph(lambda: graph)), WORDS, Budget(), fleet(card))
    return planned.nodes[0].prompt_tokens


def test_a_schema_is_counted_once_for_each_place_it_stands_in() -> None:
    limits = {"context_tokens": 10_000}

    def near(**hosting: Any) -> int:
        return prompt_of(card("a", limits=limits, hosting={"memory_gib": 1} | hosting))

    def far(structured: str, **hosting: Any) -> int:
        place = {"url": "http://127.0.0.1:9/v1", "model": "m", "structured": structured}
        return near(endpoint=place, **hosting)

    assert near(schema_in_prompt=False) < near()
    once, twice = far("json_schema", schema_in_prompt=False), far("json_schema")
    assert once == far("prompt") == far("json_object", schema_in_prompt=False)
    assert twice - once == near() - near(schema_in_prompt=False) - RULES_BYTES > 0


def test_thoughts_are_priced_beside_the_answer_and_take_their_part_of_the_context() -> None:
    price = {"as_of": date(2026, 1, 1), "usd_per_million_output_tokens": "1000000"}
    thinking = {"context_tokens": 1000, "thinking_tokens": 300}
    seen, profile = view(compile_graph(one_node)), {"origin": "measured", "ms_per_output_token": 10}
    (plain,), (thinker,) = (
        plan(
            seen, WORDS, Budget(), fleet(card("a", price=price, profile=profile, limits=limits))
        ).nodes
        for limits in ({"context_tokens": 1000}, thinking)
    )
    assert thinker.cost_micro - plain.cost_micro == 300 * 1_000_000
    assert thinker.tokens - plain.tokens == 300
    assert thinker.latency_ms > plain.latency_ms
    with pytest.raises(NoModel, match="under the answer's 10 and the thoughts' 995 tokens"):
        plan(seen, WORDS, Budget(), fleet(card("a", limits=thinking | {"thinking_tokens": 995})))
    with pytest.raises(NoFeasiblePlan, match="cost_usd"):
        plan(seen, WORDS, Budget(cost_usd="100"), fleet(card("a", price=price, limits=thinking)))


def test_a_plan_is_told_in_one_line_and_as_a_table_that_escapes_its_names() -> None:
    made = plan(view(compile_graph(listing)), WORDS, Budget(cost_usd="1"), MINI)
    assert repr(made).startswith("Plan(mini: read=r1 ")
    assert repr(made).endswith(" tokens, skips look)") and "\n" not in repr(made)
    html = replace(made, fleet="<b>mini</b>")._repr_html_()
    assert "&lt;b&gt;mini" in html and "<b>mini" not in html
    for words in ("budget: cost_usd=1", "<td>r1</td>", "cost at most", "skipped", "rejected ("):
        assert words in html


def expecting(small: float, big: float, prompt: str) -> JobShape:
    """A text of which a policy expects so much of the two models."""
    expected = tuple(
        Expected("read", prompt, name, share, share - 0.05, share + 0.05, 200)
        for name, share in (("small", small), ("big", big))
    )
    return replace(WORDS, expected=expected)


def test_what_is_expected_of_the_own_text_goes_before_what_the_cards_say() -> None:
    two = fleet(
        card("small", quality={"text": {"score": 40, "origin": "measured"}}),
        card("big", quality={"text": {"score": 90, "origin": "measured"}}),
    )
    seen = view(compile_graph(one_node))
    prompt = prompt_hash(seen.asks["read"])
    plans = {
        name: plan(seen, shape, Budget(), two, policy=KNOWN)
        for name, shape in {
            "easy": expecting(0.9, 0.7, prompt),
            "hard": expecting(0.2, 0.7, prompt),
            "other": WORDS,
            "reworded": expecting(0.9, 0.7, "another"),
        }.items()
    }
    chosen = {name: one.nodes[0].model for name, one in plans.items()}
    assert chosen == {"easy": "small", "hard": "big", "other": "big", "reworded": "big"}
    easy = plans["easy"].nodes[0]
    assert (easy.quality, easy.quality_range) == (90.0, (85.0, 95.0))
    assert "90 [85, 95] (learned from 200 texts, for this one)" in str(plans["easy"])
    assert "policy is of another prompt" in plans["reworded"].nodes[0].quality_origin


def test_of_models_that_are_expected_to_do_as_well_the_cheaper_is_taken() -> None:
    two = fleet(
        card("big", price={"as_of": date(2026, 1, 1), "usd_per_cpu_second": "0.05"}), card("small")
    )
    seen = view(compile_graph(one_node))
    shape = expecting(0.8, 0.8, prompt_hash(seen.asks["read"]))
    assert plan(seen, shape, Budget(), two, policy=KNOWN).nodes[0].model == "small"
