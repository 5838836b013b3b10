"""A graph's answer is heard as it is decoded only where it is sure to be the answer."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from orchestra import Context, Fleet, Job, JobState, ask
from orchestra.graph.drive import Listener
from tests.scripted import scripted_fleet

Graph = CompiledStateGraph[Any, Any, Any, Any]


async def heard(fleet: Fleet, graph: Any, text: str = "Hi.") -> tuple[list[str], str | None]:
    """The pieces of the answer that were told, and the answer."""
    pieces: list[str] = []
    listener = Listener(frozenset(), lambda mode, chunk: None, pieces.append)
    result = await fleet.run(graph, Job(text=text), listener=listener)
    return pieces, result.answer


def wired(*edges: tuple[str, str], **nodes: Any) -> Graph:
    graph = StateGraph(JobState, context_schema=Context)
    for name, node in nodes.items():
        graph.add_node(name, node)
    for edge in edges:
        graph.add_edge(*edge)
    return graph.compile()


FACTS = {"type": "object", "properties": {"answer": {"type": "string"}}}
COLOUR = {"type": "object", "properties": {"colour": {"type": "string"}}}


@pytest.mark.parametrize(
    ("graph", "is_told"),
    [
        (wired((START, "a"), a=ask("text", "Write.")), True),
        (
            wired((START, "a"), ("a", "b"), a=ask("text", "Note."), b=ask("text", "Write.")),
            True,
        ),
        (
            wired(
                (START, "a"), ("a", "b"), a=ask("text", "?", schema=COLOUR), b=ask("text", "Write.")
            ),
            True,
        ),
        # What stands in the field `answer` is the answer, and what a second node writes is later.
        (
            wired(
                (START, "a"), ("a", "b"), a=ask("text", "?", schema=FACTS), b=ask("text", "Note.")
            ),
            False,
        ),
        (wired((START, "a"), (START, "b"), a=ask("text", "One."), b=ask("text", "Two.")), False),
        (wired((START, "a"), ("a", "b"), a=ask("text", "Write."), b=lambda state: {}), False),
        (wired((START, "a"), a=ask("text", "?", schema=FACTS)), False),
    ],
    ids=["alone", "after another", "after fields", "after an answer", "beside", "before", "fields"],
)
async def test_pieces_are_told_where_they_are_sure_to_be_the_answer(
    graph: Graph, is_told: bool
) -> None:
    def said(call: Any) -> Any:
        words = f"{call.instruction} It is red."
        return words if call.schema is None else {name: "red" for name in call.schema["properties"]}

    fleet, _ = scripted_fleet(said, said)
    async with fleet:
        pieces, answer = await heard(fleet, graph, "It is red.")
    assert answer
    assert "".join(pieces) == (answer if is_told else "")
    assert not is_told or len(pieces) > 1
