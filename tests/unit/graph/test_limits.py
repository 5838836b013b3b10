"""Whatever ends a run, it ends, and what was paid for is in its result."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from pydantic import BaseModel

from orchestra import Budget, Context, Job, JobState, ask, merge
from orchestra.core.call import Call
from orchestra.core.errors import BookError
from orchestra.core.state import outcomes_of
from tests.scripted import scripted_fleet

SHIRT = {"type": "object", "properties": {"colour": {"type": "string"}}}


def said(call: Call) -> dict[str, Any]:
    return {"colour": "red"}


def graph_of(state: type = JobState, **nodes: Any) -> StateGraph[Any, Any, Any, Any]:
    graph = StateGraph(state, context_schema=Context)
    for name, node in nodes.items():
        graph.add_node(name, node)
    return graph


async def test_a_loop_ends_at_its_visits_with_what_was_answered() -> None:
    graph = graph_of(read=ask("text", "Read.", schema=SHIRT, max_visits=3))
    graph.add_edge(START, "read")
    graph.add_conditional_edges("read", lambda state: "read", ["read", END])
    fleet, engines = scripted_fleet(said)
    async with fleet:
        result = await fleet.run(graph, Job(text="red shirt"))
    assert result.status == "partial"
    assert result.fields["colour"].value == "red"
    (error,) = result.errors
    assert (error.stage, error.type) == ("read", "VisitsExceeded")
    assert "reached 4 times" in error.message and "max_visits=3" in error.message
    # Identical calls are answered from the journal, and count as visits all the same.
    assert [call.reused for call in result.calls] == [False, True, True]
    assert sum(len(engine.calls) for engine in engines.values()) == 1


async def test_a_loop_without_calls_ends_at_the_deadline_with_what_was_paid_before() -> None:
    async def round_and_round(state: JobState) -> dict[str, Any]:
        await asyncio.sleep(0.01)
        return {}

    graph = graph_of(read=ask("text", "Read.", schema=SHIRT), spin=round_and_round)
    graph.add_edge(START, "read")
    graph.add_edge("read", "spin")
    graph.add_conditional_edges("spin", lambda state: "spin", ["spin", END])
    fleet, _ = scripted_fleet(said)
    async with fleet, asyncio.timeout(30):
        result = await fleet.run(graph, Job(text="red shirt", budget=Budget(latency_ms=1500)))
    assert (result.status, result.fields["colour"].value) == ("partial", "red")
    assert [error.type for error in result.errors] == ["DeadlineExceeded"]


async def test_a_node_that_outlasts_the_deadline_is_cut_off() -> None:
    async def sleep(state: JobState) -> dict[str, Any]:
        await asyncio.sleep(3600)
        return {}

    graph = graph_of(read=ask("text", "Read.", schema=SHIRT), sleep=sleep)
    graph.add_edge(START, "read")
    graph.add_edge("read", "sleep")
    fleet, _ = scripted_fleet(said)
    async with fleet, asyncio.timeout(60):
        result = await fleet.run(graph, Job(text="red shirt", budget=Budget(latency_ms=1500)))
    assert (result.status, result.fields["colour"].value) == ("partial", "red")
    assert "no ask" in result.errors[0].message


async def test_the_graphs_own_recursion_limit_is_an_end_as_well() -> None:
    graph = graph_of(read=ask("text", "Read.", schema=SHIRT), spin=lambda state: {})
    graph.add_edge(START, "read")
    graph.add_edge("read", "spin")
    graph.add_conditional_edges("spin", lambda state: "spin", ["spin", END])
    fleet, _ = scripted_fleet(said)
    async with fleet:
        result = await fleet.run(graph, Job(text="red shirt"), config={"recursion_limit": 5})
    assert (result.status, result.fields["colour"].value) == ("partial", "red")
    assert [error.type for error in result.errors] == ["StepsExceeded"]


async def test_a_loop_ends_when_the_budget_is_spent() -> None:
    words = iter(range(1000))
    graph = graph_of(
        read=ask("text", "Read.", schema=SHIRT, max_visits=500, data=lambda s: f"red {next(words)}")
    )
    graph.add_edge(START, "read")
    graph.add_conditional_edges("read", lambda state: "read", ["read", END])
    fleet, _ = scripted_fleet(said)
    async with fleet:
        ceiling = fleet.plan(graph, Job(text="red shirt")).tokens
        job = Job(text="red shirt", budget=Budget(tokens=ceiling))
        result = await fleet.run(graph, job)
    assert result.tokens <= ceiling
    assert result.status == "partial" and result.fields["colour"].value == "red"


async def test_a_node_that_raises_costs_its_own_branch_and_no_sibling() -> None:
    async def broken(state: JobState) -> dict[str, Any]:
        raise LookupError("no such row")

    graph = graph_of(
        look=ask("vision", "Look.", schema=SHIRT),
        read=ask("text", "Read.", schema=SHIRT),
        price=broken,
    )
    for node in ("read", "price"):
        graph.add_edge(START, node)
        graph.add_edge(node, "join")
    graph.add_node("join", merge("look", "read"), defer=True)
    graph.add_edge("look", "join")
    graph.add_edge(START, "look")
    fleet, _ = scripted_fleet(said, delay_s=0.05)
    async with fleet:
        result = await fleet.run(graph, Job(text="red shirt"))
    assert (result.status, result.fields["colour"].value) == ("partial", "red")
    (error,) = result.errors
    assert (error.stage, error.type) == ("price", "GraphFailed")
    assert "LookupError: no such row (at test_limits.py:" in error.message


async def test_what_a_node_raises_comes_as_it_is_where_nothing_else_came_of_the_run() -> None:
    async def broken(state: JobState) -> dict[str, Any]:
        raise LookupError("no such row")

    graph = graph_of(price=broken)
    graph.add_edge(START, "price")
    fleet, _ = scripted_fleet(said)
    async with fleet:
        with pytest.raises(LookupError, match="no such row"):
            await fleet.run(graph, Job(text="red shirt"))


async def test_a_book_that_fails_in_a_node_ends_the_run() -> None:
    async def broken(state: JobState) -> dict[str, Any]:
        raise BookError("The book is closed.")

    graph = graph_of(read=ask("text", "Read.", schema=SHIRT), price=broken)
    graph.add_edge(START, "read")
    graph.add_edge("read", "price")
    fleet, _ = scripted_fleet(said)
    async with fleet:
        with pytest.raises(BookError, match="closed"):
            await fleet.run(graph, Job(text="red shirt"))


async def test_every_branch_of_a_send_keeps_its_outcome() -> None:
    words = ("red shirt", "blue shirt", "green shirt")
    graph = graph_of(read=ask("text", "Read.", schema=SHIRT, max_visits=3))
    graph.add_conditional_edges(
        START,
        lambda state: [Send("read", {"job": {**state["job"], "text": text}}) for text in words],
        ["read"],
    )

    def first_word(call: Call) -> dict[str, Any]:
        return {"colour": (call.text or "").split()[0]}

    fleet, _ = scripted_fleet(first_word)
    async with fleet:
        result = await fleet.run(graph, Job(text="red shirt"))
    branches = {name: fields["colour"].value for name, fields in result.branches.items()}
    assert branches == {"read[0]": "red", "read[1]": "blue", "read[2]": "green"}
    colour = result.fields["colour"]
    known = {colour.value, *(other.value for other in colour.alternatives)}
    assert known == {"red", "blue", "green"}


async def test_more_branches_than_were_priced_are_refused_and_the_others_kept() -> None:
    graph = graph_of(read=ask("text", "Read.", schema=SHIRT, max_visits=2))
    graph.add_conditional_edges(
        START,
        lambda state: [
            Send("read", {"job": {**state["job"], "text": f"red {number}"}}) for number in range(3)
        ],
        ["read"],
    )
    fleet, _ = scripted_fleet(said)
    async with fleet:
        result = await fleet.run(graph, Job(text="red shirt"))
    assert result.status == "partial" and len(result.branches) == 2
    assert {error.type for error in result.errors} == {"VisitsExceeded"}


async def test_branches_of_a_subgraph_keep_their_outcomes_too() -> None:
    inner = graph_of(read=ask("text", "Read.", schema=SHIRT, max_visits=2), think=lambda state: {})
    inner.add_edge(START, "think")
    inner.add_edge("think", "read")
    graph = graph_of(branch=inner.compile())
    graph.add_conditional_edges(
        START,
        lambda state: [
            Send("branch", {"job": {**state["job"], "text": text}}) for text in ("red a", "blue b")
        ],
        ["branch"],
    )

    def first_word(call: Call) -> dict[str, Any]:
        return {"colour": (call.text or "").split()[0]}

    fleet, _ = scripted_fleet(first_word)
    async with fleet:
        result = await fleet.run(graph, Job(text="red a"))
    colour = result.fields["colour"]
    assert {colour.value, *(other.value for other in colour.alternatives)} == {"red", "blue"}


class Notes(TypedDict):
    topic: str
    notes: Annotated[list[str], operator.add]
    facts: dict[str, Any]


class NotesModel(BaseModel):
    topic: str = ""
    notes: Annotated[list[str], operator.add] = []
    facts: dict[str, Any] = {}


@pytest.mark.parametrize("state", [Notes, NotesModel])
async def test_a_state_of_the_users_own_needs_no_key_of_ours_and_comes_back(state: type) -> None:
    def note(state: Any) -> dict[str, Any]:
        facts = state["facts"] if isinstance(state, dict) else state.facts
        return {"notes": [f"it is {facts['colour']}"]}

    graph = graph_of(state, read=ask("text", "Read.", schema=SHIRT, key="facts"), note=note)
    graph.add_edge(START, "read")
    graph.add_edge("read", "note")
    fleet, _ = scripted_fleet(said)
    async with fleet:
        result = await fleet.run(graph, Job(text="red shirt"), state={"topic": "shirts"})
    assert result.status == "complete"
    assert result.state == {
        "topic": "shirts",
        "notes": ["it is red"],
        "facts": {"colour": "red"},
    }


@pytest.mark.parametrize("state", [Notes, NotesModel])
@pytest.mark.parametrize("is_inside", [False, True])
async def test_what_renders_an_ask_sees_the_users_own_keys_and_the_outcomes(
    state: type, is_inside: bool
) -> None:
    """It was given our keys alone, and `state["topic"]` was a KeyError."""

    def about(state: Any) -> str:
        return f"red {state['topic']}, {outcomes_of(state)['read'].plain['colour']}"

    graph = graph_of(
        state,
        read=ask("text", "Read.", schema=SHIRT),
        write=ask("text", "Write.", schema=SHIRT, data=about, key="facts"),
    )
    graph.add_edge(START, "read")
    graph.add_edge("read", "write")
    if is_inside:
        graph = graph_of(state, inner=graph.compile())
        graph.add_edge(START, "inner")
    fleet, _ = scripted_fleet(said)
    async with fleet:
        result = await fleet.run(graph, Job(text="red shirt"), state={"topic": "shirts"})
    assert result.status == "complete"
    assert [call.data for call in result.calls] == ["red shirt", "red shirts, red"]
    assert result.state["facts"] == {"colour": "red"}


async def test_an_option_that_a_run_does_not_have_is_named() -> None:
    graph = graph_of(read=ask("text", "Read.", schema=SHIRT))
    graph.add_edge(START, "read")
    fleet, _ = scripted_fleet(said)
    async with fleet:
        with pytest.raises(Exception, match="Did you mean 'thread_id'"):
            await fleet.run(graph, Job(text="red"), thred_id="a")  # type: ignore[call-arg]
