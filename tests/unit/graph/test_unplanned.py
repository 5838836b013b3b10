"""Graphs that a node calls itself: their asks are in no plan, and are held to the job's budget."""

from __future__ import annotations

import asyncio
import operator
from decimal import Decimal
from typing import Annotated, Any, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import interrupt

from orchestra import Budget, Context, Job, JobState, ask
from orchestra.core.call import Call
from tests.scripted import scripted_fleet

Graph = CompiledStateGraph[Any, Any, Any]


class Notes(TypedDict):
    notes: Annotated[list[Any], operator.add]


def inner(name: str = "read", prompt: str = "Read it.", **asks: Any) -> Graph:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node(name, ask("text", prompt, **asks))
    graph.add_edge(START, name)
    return graph.compile()


def around(*nodes: Any) -> Graph:
    """An ask called `first`, then these functions in a row."""
    graph = StateGraph(Notes, context_schema=Context)
    graph.add_node("first", ask("text", "Begin.", max_tokens=16))
    graph.add_edge(START, "first")
    for before, node in zip(("first", *(node.__name__ for node in nodes)), nodes, strict=False):
        graph.add_node(node.__name__, node)
        graph.add_edge(before, node.__name__)
    return graph.compile()


def job(text: str) -> dict[str, Any]:
    return {"job": {"text": text}}


def said(call: Call) -> str:
    return f"{call.instruction} {call.text}"


def calling(graph: Graph, times: int = 1) -> Any:
    """A node that calls this graph so many times, each with another text."""

    async def call(state: Notes) -> dict[str, Any]:
        asked = [graph.ainvoke(job(f"part {number}")) for number in range(times)]  # type: ignore[arg-type]
        found = await asyncio.gather(*asked)
        return {"notes": [next(iter(each["outcomes"].values())) for each in found]}

    return call


async def test_an_ask_of_a_graph_that_a_node_calls_is_asked_and_paid_by_the_job() -> None:
    fleet, engines = scripted_fleet(said)
    async with fleet:
        done = await fleet.run(around(calling(inner())), Job(text="Hi."))
    assert done.state["notes"][0]["answer"] == "Read it. part 0"
    assert [call.node for call in done.calls] == ["first", "read"]
    assert done.cost_usd == sum(call.cost_usd for call in done.calls) > 0
    assert done.plan["unpriced"] == ["call"]
    assert len(engines["r1"].calls) == 2


async def test_a_node_that_is_no_coroutine_may_call_it_on_a_loop_of_its_own() -> None:
    graph = inner()

    def call(state: Notes) -> dict[str, Any]:
        found = asyncio.run(graph.ainvoke(job("there")))  # type: ignore[arg-type]
        return {"notes": [found["outcomes"]["read"]["answer"]]}

    fleet, _ = scripted_fleet(said)
    async with fleet:
        done = await fleet.run(around(call), Job(text="Hi."))
    assert done.state["notes"] == ["Read it. there"]
    assert len(done.calls) == 2


async def test_its_asks_spend_only_what_the_plan_leaves_of_the_budget() -> None:
    fleet, _ = scripted_fleet(lambda call: "word " * 40, delay_s=0.01)
    async with fleet:
        graph = around(calling(inner(max_tokens=64), times=12))
        most = fleet.plan(graph, Job(text="Hi.")).tokens + 450
        done = await fleet.run(graph, Job(text="Hi.", budget=Budget(tokens=most)))
    kinds = [each["error"] and each["error"]["type"] for each in done.state["notes"]]
    assert 0 < kinds.count("BudgetExceeded") < len(kinds) and set(kinds) == {None, "BudgetExceeded"}
    assert done.status == "partial"
    assert done.tokens <= most
    assert done.cost_usd == sum((call.cost_usd for call in done.calls), Decimal(0))


async def test_an_ask_of_its_own_with_a_bound_keeps_it() -> None:
    fleet, engines = scripted_fleet(said)
    async with fleet:
        graph = around(calling(inner(max_visits=2), times=4))
        done = await fleet.run(graph, Job(text="Hi."))
    assert {error.type for error in done.errors} == {"VisitsExceeded"}
    assert len(engines["r1"].calls) == 1 + 2


async def test_two_asks_of_one_name_in_one_run_are_refused_by_name() -> None:
    fleet, engines = scripted_fleet(said)
    async with fleet:
        done = await fleet.run(around(calling(inner("first"))), Job(text="Hi."))
    assert done.status == "partial" and done.errors[0].type == "InvalidGraph"
    assert "'first'" in done.errors[0].message and "Rename" in done.errors[0].message
    assert len(engines["r1"].calls) == 1


async def test_a_person_asked_within_it_is_waited_for() -> None:
    def person(state: JobState) -> dict[str, Any]:
        return {"fields": {"who": {"value": interrupt("who?"), "source": "derived"}}}

    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Read it."))
    graph.add_node("person", person)
    graph.add_edge(START, "read")
    graph.add_edge("read", "person")
    asking = graph.compile()

    async def call(state: Notes) -> dict[str, Any]:
        return {"notes": [(await asking.ainvoke(job("x")))["fields"]["who"]["value"]]}  # type: ignore[arg-type]

    fleet, engines = scripted_fleet(said)
    async with fleet:
        outer = around(call)
        first = await fleet.run(outer, Job(text="Hi."), thread_id="t")
        assert (first.status, first.questions[0].value) == ("waiting", "who?")
        done = await fleet.resume(outer, "t", "ann")
    assert done.state["notes"] == ["ann"]
    assert len(engines["r1"].calls) == 2


async def test_called_without_asyncio_it_says_what_to_call_instead() -> None:
    graph = inner()

    def call(state: Notes) -> dict[str, Any]:
        return {"notes": [graph.invoke(job("x"))]}  # type: ignore[arg-type]

    fleet, _ = scripted_fleet(said)
    async with fleet:
        done = await fleet.run(around(call), Job(text="Hi."))
    assert done.status == "partial"
    assert "ainvoke" in done.errors[0].message
