"""Which models an ask goes to by what their cards say that they answer and read."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph

from orchestra.core.ask import Ask, ask
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import NoModel
from orchestra.core.job import Budget
from orchestra.core.state import Context, JobState
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from orchestra.routing.planner import plan

WORDS = JobShape(text_bytes=40, images=0)


def card(name: str, score: float, **changes: Any) -> Card:
    parts: dict[str, Any] = {
        "name": name,
        "role": "test",
        "capabilities": ["text"],
        "price": "free",
        "profile": {"origin": "measured", "fixed_ms": 1},
        "hosting": {"memory_gib": 1, "worker": "nowhere:Nobody"},
        "limits": {"context_tokens": 4000},
        "quality": {"text": {"score": score, "origin": "measured"}},
    }
    return Card.model_validate(parts | changes)


READER = card("reader", 50, answers=["fields"])
WRITER = card("writer", 90, reads=["brand", "colour"])


def fields(*names: str, **settings: Any) -> Ask:
    shape = {name: {"type": ["string", "null"]} for name in names}
    return ask("text", "Do.", schema={"type": "object", "properties": shape}, **settings)


def planned(node: Ask, *cards: Card) -> tuple[str, dict[str, str]]:
    """The model of the one node, and why the others were refused."""
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("n", node)
    graph.add_edge(START, "n")
    graph.add_edge("n", END)
    fleet = FleetFile(name="test", models=cards)
    made = plan(view(compile_graph(lambda: graph)), WORDS, Budget(), fleet)
    return made.nodes[0].model, {entry.option: entry.reason for entry in made.rejected}


def test_fields_that_a_model_was_not_taught_go_to_one_that_reads_any() -> None:
    model, why = planned(fields("brand", "age"), READER, WRITER)
    assert model == "reader"
    assert why["n=writer"] == "was not taught to read 'age', and another model was"


def test_fields_that_a_model_was_taught_stay_with_the_better() -> None:
    assert planned(fields("brand"), READER, WRITER)[0] == "writer"


def test_where_no_model_was_taught_them_whoever_takes_the_capability_reads() -> None:
    assert planned(fields("age"), WRITER)[0] == "writer"


@pytest.mark.parametrize(
    ("node", "wants"),
    [
        (fields("title", derived=True), "writing"),
        (ask("text", "What is this?"), "questions"),
        (fields("answer", question=True), "questions"),
    ],
)
def test_a_reader_is_not_asked_to_write_or_to_talk(node: Ask, wants: str) -> None:
    model, why = planned(node, READER, WRITER)
    assert model == "writer"
    assert why["n=reader"] == f"answers only fields, and the node wants {wants}"


def test_a_fleet_of_readers_alone_says_that_nobody_writes() -> None:
    with pytest.raises(NoModel, match="answers only fields"):
        planned(fields("title", derived=True), READER)
