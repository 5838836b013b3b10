"""Reading graphs: asks, edges, and the graphs that cannot be priced."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph

from graphs.listing import build as listing
from orchestra.core.ask import ask
from orchestra.core.errors import InvalidGraph
from orchestra.core.state import Context, JobState
from orchestra.routing.introspect import compile_graph, view
from tests.meeting import Meeting, at_once


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
