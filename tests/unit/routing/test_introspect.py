"""Reading graphs: asks, edges, and the graphs that cannot be priced."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from langgraph.func import entrypoint
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command
from pydantic import BaseModel

from graphs.listing import build as listing
from orchestra.core.ask import ask
from orchestra.core.errors import InvalidGraph
from orchestra.core.state import Context, JobState
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import may_wait, view
from tests.meeting import Meeting, at_once


class Made(BaseModel):
    title: str | None


def decide(state: JobState) -> str:
    return "look" if state.get("job") else "read"


def graph_with(*nodes: str, **asks: Any) -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    for name in nodes:
        graph.add_node(name, ask("text", f"Do {name}.", **asks))
    return graph


def test_threads_that_run_a_graph_first_at_one_moment_build_it_once() -> None:
    meeting, built = Meeting(), list[StateGraph[JobState, Context]]()

    def build() -> StateGraph[JobState, Context]:
        meeting.pause()
        built.append(graph_with("read"))
        built[-1].add_edge(START, "read")
        return built[-1]

    first, second = at_once(lambda: compile_graph(build))
    assert first is second and len(built) == 1


def test_the_listing_graph_is_read_in_order_with_its_asks() -> None:
    graph = view(compile_graph(listing))
    assert graph.nodes.index("look") < graph.nodes.index("merge") < graph.nodes.index("write")
    assert set(graph.asks) == {"look", "read", "write"}
    assert graph.predecessors("merge") == ["look", "read"]
    assert graph.unpriced == ()


def test_a_conditional_edge_without_destinations_is_named() -> None:
    def build() -> StateGraph[JobState, Context]:
        graph = graph_with("look", "read")
        graph.add_conditional_edges(START, decide)
        return graph

    with pytest.raises(InvalidGraph, match=r"'decide' out of '__start__'.*path_map"):
        view(compile_graph(build))


def test_a_graph_without_asks_has_nothing_to_price_so_its_edges_may_lead_anywhere() -> None:
    graph = StateGraph(JobState)
    graph.add_node("a", lambda state: {})
    graph.add_conditional_edges(START, decide)
    assert (START, "a") in view(compile_graph(graph)).edges


def test_declared_destinations_become_edges() -> None:
    def build() -> StateGraph[JobState, Context]:
        graph = graph_with("ask", "look", "read")
        graph.add_edge(START, "ask")
        graph.add_conditional_edges("ask", decide, ["look", "read"])
        graph.add_edge("look", END)
        graph.add_edge("read", END)
        return graph

    assert {("ask", "look"), ("ask", "read")} <= view(compile_graph(build)).edges


def loop(max_visits: int | None) -> StateGraph[JobState, Context]:
    graph = graph_with("look", "read", max_visits=max_visits)
    graph.add_edge(START, "look")
    graph.add_edge("look", "read")
    graph.add_conditional_edges("read", decide, ["look", END])
    return graph


def test_a_loop_without_a_bound_names_the_node() -> None:
    with pytest.raises(InvalidGraph, match=r"'look'.*max_visits"):
        view(compile_graph(lambda: loop(None)))


def test_a_bounded_loop_is_priced_by_its_visits() -> None:
    assert view(compile_graph(lambda: loop(3))).visits == {"look": 3, "read": 3}


def test_a_build_function_that_returns_something_else_is_refused() -> None:
    with pytest.raises(InvalidGraph, match="returned str"):
        compile_graph(lambda: "graph")


def test_a_subgraph_is_priced_in_its_place() -> None:
    inner = graph_with("look", "check")
    inner.add_edge(START, "look")
    inner.add_edge("look", "check")
    inner.add_edge("check", END)

    def build() -> StateGraph[JobState, Context]:
        graph = graph_with("read", "sum")
        graph.add_node("branch", inner.compile())
        graph.add_edge(START, "branch")
        graph.add_edge(START, "read")
        graph.add_edge("branch", "sum")
        graph.add_edge("read", "sum")
        graph.add_edge("sum", END)
        return graph

    graph = view(compile_graph(build))
    assert set(graph.asks) == {"look", "check", "read", "sum"}
    assert graph.predecessors("check") == ["look"]
    assert graph.predecessors("sum") == ["check", "read"]


def test_one_name_in_a_graph_and_its_subgraph_is_refused() -> None:
    inner = graph_with("look")
    inner.add_edge(START, "look")
    inner.add_edge("look", END)

    def build() -> StateGraph[JobState, Context]:
        graph = graph_with("look")
        graph.add_node("branch", inner.compile())
        graph.add_edge(START, "look")
        graph.add_edge("look", "branch")
        graph.add_edge("branch", END)
        return graph

    with pytest.raises(InvalidGraph, match="Two nodes are called 'look'"):
        view(compile_graph(build))


def agents_of(*names: str, inner: Any) -> StateGraph[JobState, Context]:
    """Agents in a row, each a subgraph whose one node is called `model`, as prebuilt ones are."""
    graph = StateGraph(JobState, context_schema=Context)
    for name in names:
        agent = StateGraph(JobState, context_schema=Context)
        agent.add_node("model", inner)
        agent.add_edge(START, "model")
        graph.add_node(name, agent.compile())
    for a, b in zip((START, *names), (*names, END), strict=True):
        graph.add_edge(a, b)
    return graph


def test_nodes_of_the_users_own_may_have_one_name_in_several_subgraphs() -> None:
    seen = view(compile_graph(agents_of("ann", "bob", inner=lambda state: {})))
    assert seen.unpriced == ("ann:model", "bob:model")
    assert seen.edges == {
        (START, "ann:model"),
        ("ann:model", "bob:model"),
        ("bob:model", END),
    }
    with pytest.raises(InvalidGraph, match="Two nodes are called 'model'"):
        view(compile_graph(agents_of("ann", "bob", inner=ask("text", "Say."))))


def test_a_subgraph_whose_last_node_leads_nowhere_still_leads_on() -> None:
    graph = agents_of("inner", inner=ask("text", "Say."))
    graph.add_node("after", ask("text", "Say more."))
    graph.add_edge("inner", "after")
    assert ("model", "after") in view(compile_graph(graph)).edges


def test_where_a_command_may_go_is_an_edge_and_closes_a_loop() -> None:
    def judge(state: JobState) -> Command[Literal["write", "__end__"]]:
        return Command(goto="__end__")

    def graph(**asks: Any) -> StateGraph[JobState, Context]:
        graph = graph_with("write", **asks)
        graph.add_node("judge", judge)
        graph.add_edge(START, "write")
        graph.add_edge("write", "judge")
        return graph

    assert ("judge", "write") in view(compile_graph(graph(max_visits=3))).edges
    with pytest.raises(InvalidGraph, match="'write' stands in a loop without a bound"):
        view(compile_graph(graph()))


def test_a_workflow_of_the_functional_api_is_refused_with_where_to_call_it() -> None:
    @entrypoint()
    def workflow(text: str) -> str:
        return text

    for build in (workflow, lambda: workflow):
        with pytest.raises(InvalidGraph, match=r"'workflow' is a Pregel.*inside a node"):
            compile_graph(build)  # type: ignore[arg-type]


def test_a_graph_is_compiled_once_and_again_when_it_has_grown() -> None:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Read."))
    graph.add_edge(START, "read")
    first = compile_graph(graph)
    assert compile_graph(graph) is first
    graph.add_node("again", ask("text", "Again."))
    graph.add_edge("read", "again")
    assert set(view(compile_graph(graph)).asks) == {"read", "again"}


def test_the_shipped_graph_stops_for_nobody_and_a_function_of_the_users_may() -> None:
    assert not may_wait(compile_graph(listing()))
    for made in ("data", "shape"):
        graph = graph_with("read")
        given: dict[str, Any] = {made: dict}
        graph.add_node("write", ask("text", "Write.", schema=Made, derived=True, **given))
        graph.add_edge(START, "write")
        assert may_wait(compile_graph(graph))
