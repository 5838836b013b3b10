"""What the planner reads of LangGraph's inside: fails first when a new version moves it."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

from orchestra.core.ask import Ask, ask
from orchestra.core.fan_out import each_photo
from orchestra.core.state import Context, JobState
from orchestra.routing.compiled import guarded


def test_asks_edges_joins_and_branches_stand_where_introspection_reads_them() -> None:
    graph = StateGraph(JobState, context_schema=Context)
    for name in ("a", "b", "c"):
        graph.add_node(name, ask("text", "Do."))
    graph.add_edge(START, "a")
    graph.add_edge(["a", "b"], "c")
    graph.add_conditional_edges("a", lambda state: "b", ["b", END])
    builder = graph.compile().builder
    assert isinstance(getattr(builder.nodes["a"].runnable, "afunc", None), Ask)
    assert (START, "a") in builder.edges
    assert builder.waiting_edges == {(("a", "b"), "c")}
    (branch,) = builder.branches["a"].values()
    assert branch.ends == {"b": "b", END: END}


def test_a_conditional_edge_declares_its_destination_and_stands_where_it_is_read() -> None:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", "Look."))
    graph.add_conditional_edges(START, each_photo("look"))
    graph.add_edge("look", END)
    (branch,) = graph.compile().builder.branches[START].values()
    assert branch.ends == {"look": "look"}
    assert getattr(branch.path, "func", None) == each_photo("look")


def test_an_ask_is_given_the_keys_of_its_schema_which_a_copy_may_widen() -> None:
    class Own(TypedDict, total=False):
        topic: str

    graph: StateGraph[Any, Any, Any, Any] = StateGraph(Own, context_schema=Context)
    graph.add_node("write", ask("text", "Write."))
    graph.add_edge(START, "write")
    builder = graph.compile().builder
    assert builder.nodes["write"].input_schema is JobState
    assert set(builder.schemas[JobState]) == {"job", "outcomes", "fields"}
    again = guarded(graph.compile(), lambda state: None)
    assert set(again.nodes["write"].channels) == {"topic", "job", "outcomes", "fields"}
    assert builder.nodes["write"].input_schema is JobState
