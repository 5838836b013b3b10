"""gather and vote in a graph: over the branches of a fan-out, and over several nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from PIL import Image
from pydantic import BaseModel

from orchestra import Context, Fleet, Job, JobState, Result, ask, each_photo, gather, vote
from orchestra.core.call import Call
from orchestra.core.errors import AnswerInvalid, InvalidGraph
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from tests.scripted import scripted_fleet


class Facts(BaseModel):
    kind: str | None
    colour: str | None


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Three photos: two of something red, one of something blue."""
    paths: list[str] = []
    for number, colour in enumerate(("#ff0000", "#0000ff", "#fe0000")):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.new("RGB", (40, 40), colour).save(paths[-1])
    return paths


def facts(call: Call) -> dict[str, Any]:
    red, _, blue = call.images[0].getpixel((20, 20))  # type: ignore[misc]
    return {"kind": "cup" if blue else None, "colour": "blue" if blue > red else "red"}


def over_photos(join: Any, **options: Any) -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", "What is shown?", **options))
    graph.add_node("join", join, defer=True)
    graph.add_conditional_edges(START, each_photo("look"))
    graph.add_edge("look", "join")
    graph.add_edge("join", END)
    return graph


async def run(fleet: Fleet, graph: Any, **job: Any) -> Result:
    async with fleet:
        return await fleet.run(graph, Job(**job))


async def test_branches_are_gathered_in_the_order_of_the_photos(photos: list[str]) -> None:
    fleet, _ = scripted_fleet(vision=facts)
    result = await run(fleet, over_photos(gather("look"), schema=Facts), images=photos)
    colour, kind = result.fields["colour"], result.fields["kind"]
    assert colour.value == ["red", "blue"]
    assert [proof.image for proof in colour.evidence] == list(result.images)
    assert kind.value == ["cup"]
    assert (kind.note or "").startswith("look[0]: ")
    assert result.status == "complete"


async def test_branches_vote_field_by_field(photos: list[str]) -> None:
    fleet, _ = scripted_fleet(vision=facts)
    result = await run(fleet, over_photos(vote("look"), schema=Facts), images=photos)
    assert result.fields["colour"].value == "red"
    assert result.fields["colour"].note == "2 of 3 said 'red', 1 'blue'"
    assert [other.value for other in result.fields["colour"].alternatives] == ["blue"]
    assert result.fields["kind"].note.startswith("1 of 1 said 'cup'")  # type: ignore[union-attr]


async def test_a_branch_that_fails_costs_its_own_vote(photos: list[str]) -> None:
    def one_fails(call: Call) -> Any:
        found = facts(call)
        return found if found["kind"] is None else AnswerInvalid("The answer is no JSON.")

    fleet, _ = scripted_fleet(vision=one_fails)
    result = await run(fleet, over_photos(vote("look"), schema=Facts), images=photos)
    assert result.status == "partial"
    assert result.fields["colour"].note == "2 of 2 said 'red'; look[1]: failed (AnswerInvalid)"


async def test_free_answers_are_gathered_a_line_each(photos: list[str]) -> None:
    fleet, _ = scripted_fleet(vision=lambda call: f"It is {facts(call)['colour']}.")
    result = await run(fleet, over_photos(gather("look")), images=photos)
    assert result.fields["answer"].value == ["It is red.", "It is blue."]
    assert result.answer == "It is red.\nIt is blue."


def panel(join: Any) -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    for number, node in enumerate(("a", "b", "c")):
        graph.add_node(node, ask("text", f"Read it, reader {number}.", schema=Facts))
        graph.add_edge(START, node)
        graph.add_edge(node, "join")
    graph.add_node("join", join, defer=True)
    graph.add_edge("join", END)
    return graph


def reading(call: Call) -> dict[str, Any]:
    colour = {"0": "red", "1": "blue", "2": "Red"}[call.instruction[-2]]
    return {"kind": "cup", "colour": colour}


async def test_several_nodes_vote_as_branches_do() -> None:
    fleet, _ = scripted_fleet(reading)
    result = await run(fleet, panel(vote("a", "b", "c")), text="A red cup, or a blue one.")
    assert result.fields["colour"].note == "2 of 3 said 'red', 1 'blue'"
    assert result.fields["kind"].value == "cup"


async def test_several_nodes_are_gathered_in_the_order_they_are_named() -> None:
    fleet, _ = scripted_fleet(reading)
    result = await run(fleet, panel(gather("b", "a", "c")), text="A red cup, or a blue one.")
    assert result.fields["colour"].value == ["blue", "red"]


def test_joins_cost_nothing() -> None:
    assert view(compile_graph(panel(vote("a", "b")))).unpriced == ()
    assert view(compile_graph(panel(gather("a", "b")))).unpriced == ()


@pytest.mark.parametrize("make", [gather, vote])
def test_a_join_names_its_nodes(make: Any) -> None:
    with pytest.raises(InvalidGraph, match="joins no nodes"):
        make()


def test_a_quorum_is_one_or_more() -> None:
    with pytest.raises(InvalidGraph, match="least=0"):
        vote("look", least=0)
