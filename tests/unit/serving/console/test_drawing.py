"""A graph drawn in layers."""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph

from graphs.listing import build as listing
from orchestra import Context, JobState, ask
from orchestra.serving.console.drawing import Drawing, drawing_of
from tests.asking_graphs import asking


def names(drawing: Drawing) -> list[list[str]]:
    return [[node.name for node in layer] for layer in drawing.layers]


def looping() -> StateGraph[JobState, Context]:
    """Writes until it is content: a way back leads from the check to the writer."""

    def check(state: JobState) -> dict[str, Any]:
        return {}

    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("write", ask("text", "Write.", derived=True, max_visits=3))
    graph.add_node("check", check)
    graph.add_edge(START, "write")
    graph.add_edge("write", "check")
    graph.add_conditional_edges("check", lambda state: END, ["write", END])
    return graph


def test_each_node_stands_after_those_that_lead_to_it() -> None:
    drawing = drawing_of(listing)
    assert names(drawing) == [["look", "read"], ["merge"], ["write"], ["check"]]
    kinds = {node.name: node.kind for layer in drawing.layers for node in layer}
    assert kinds["look"] == "ask" and kinds["merge"] == "join"
    assert drawing.layers[1][0].before == ("look", "read")
    assert drawing.size == (400, 200) and not drawing.is_long


def test_lines_lead_from_middle_to_middle_in_both_directions() -> None:
    drawing = drawing_of(listing)
    assert drawing.across.startswith("M50 50C100 50 100 100 150 100")
    assert drawing.down.startswith("M50 50C50 100 100 100 100 150")
    assert drawing.across.count("M") == drawing.down.count("M") == 4


def test_a_way_back_is_no_line_and_the_last_free_text_is_the_answer() -> None:
    drawing = drawing_of(looping)
    assert names(drawing) == [["write"], ["check"]]
    assert drawing.layers[0][0].before == () and drawing.across.count("M") == 1
    kinds = {
        node.name: (node.kind, node.is_answer) for n in drawing_of(asking).layers for node in n
    }
    assert kinds == {"read": ("ask", False), "person": ("own", False), "write": ("ask", True)}
