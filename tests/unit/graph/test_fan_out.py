"""Fan-outs over the photos of a job: one branch and one call a photo, planned and paid so."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from PIL import Image
from pydantic import BaseModel

from orchestra import Context, Job, JobState, ask, each_photo
from orchestra.core.call import Call
from orchestra.core.errors import InvalidGraph, NoModel
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from tests.scripted import scripted_fleet

COLOURS = ("red", "green", "blue")


class Facts(BaseModel):
    colour: str | None


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """Three photos, each of one colour."""
    paths = [tmp_path / f"{colour}.png" for colour in COLOURS]
    for path in paths:
        Image.new("RGB", (40, 40), path.stem).save(path)
    return [str(path) for path in paths]


def colour_of(call: Call) -> dict[str, Any]:
    """What the first photo of a call shows."""
    red, green, blue = call.images[0].getpixel((20, 20))  # type: ignore[misc]
    return {"colour": COLOURS[max(range(3), key=(red, green, blue).__getitem__)]}


def fan_out(
    edge: Callable[..., Any] | None = None, ends: list[str] | None = None, **options: Any
) -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", "What is shown?", schema=Facts, **options))
    graph.add_conditional_edges(START, edge or each_photo("look"), ends)
    graph.add_edge("look", END)
    return graph


async def test_each_photo_is_looked_at_by_itself_within_the_plans_ceiling(
    photos: list[str],
) -> None:
    fleet, engines = scripted_fleet(vision=colour_of)
    async with fleet:
        result = await fleet.run(fan_out, Job(images=photos))
    assert {name: fields["colour"].value for name, fields in result.branches.items()} == {
        "look[0]": "red",
        "look[1]": "green",
        "look[2]": "blue",
    }
    assert [len(call.images) for call in engines["vl"].calls] == [1, 1, 1]
    assert result.plan["nodes"][0]["visits"] == 3
    assert result.status == "complete"
    assert 0 < result.cost_usd <= Decimal(str(result.plan["total"]["cost_usd"]))


async def test_the_plan_of_each_photo_is_that_of_one_photo_as_often(photos: list[str]) -> None:
    fleet, _ = scripted_fleet()
    async with fleet:
        one = fleet.plan(fan_out, Job(images=photos[:1])).nodes[0]
        three = fleet.plan(fan_out, Job(images=photos)).nodes[0]
    assert (one.visits, three.visits, three.photos) == (1, 3, 1)
    assert (three.cost_micro, three.tokens) == (3 * one.cost_micro, 3 * one.tokens)
    assert three.latency_ms == pytest.approx(3 * one.latency_ms)  # no slowdown was measured


async def test_a_job_without_photos_goes_on_behind_the_node_that_would_look() -> None:
    def build() -> StateGraph[JobState, Context]:
        graph = StateGraph(JobState, context_schema=Context)
        graph.add_node("look", ask("vision", "What is shown?", schema=Facts))
        graph.add_node("read", ask("text", "What does it say?", schema=Facts))
        graph.add_conditional_edges(START, each_photo("look"))
        graph.add_edge("look", "read")
        graph.add_edge("read", END)
        return graph

    fleet, engines = scripted_fleet(lambda call: {"colour": "red"})
    async with fleet:
        result = await fleet.run(build, Job(text="A red cup."))
    assert (result.status, result.fields["colour"].value) == ("complete", "red")
    assert not engines["vl"].calls


def test_the_destination_is_declared_for_pictures_and_plans() -> None:
    graph = compile_graph(fan_out())
    assert view(graph).each == {"look"}
    assert [(e.source, e.target) for e in graph.get_graph().edges] == [
        ("__start__", "look"),
        ("look", "__end__"),
    ]


def test_a_node_that_the_whole_job_reaches_too_is_not_planned_with_one_photo() -> None:
    graph = fan_out()
    graph.add_node("first", ask("text", "Read.", schema=Facts))
    graph.add_edge(START, "first")
    graph.add_edge("first", "look")
    assert view(compile_graph(graph)).each == set()


async def test_asks_of_a_subgraph_that_photos_are_sent_to_see_one_each(photos: list[str]) -> None:
    def build() -> StateGraph[JobState, Context]:
        inner = StateGraph(JobState, context_schema=Context)
        inner.add_node("look", ask("vision", "What is shown?", schema=Facts))
        inner.add_node("again", ask("vision", "What is shown, really?", schema=Facts))
        inner.add_edge(START, "look")
        inner.add_edge("look", "again")
        inner.add_edge("again", END)
        graph = StateGraph(JobState, context_schema=Context)
        graph.add_node("inspect", inner.compile())
        graph.add_conditional_edges(START, each_photo("inspect"))
        graph.add_edge("inspect", END)
        return graph

    fleet, engines = scripted_fleet(vision=colour_of)
    async with fleet:
        result = await fleet.run(build, Job(images=photos))
    assert [node["visits"] for node in result.plan["nodes"]] == [3, 3]
    assert [len(call.images) for call in engines["vl"].calls] == [1] * 6
    assert result.errors == ()
    # The first of each was left out.
    colours = [
        result.branches[f"{node}[{i}]"]["colour"].value
        for node in ("look", "again")
        for i in range(3)
    ]
    assert colours == [*COLOURS, *COLOURS] and len(result.branches) == 6


class Own(TypedDict, total=False):
    topic: str


class OwnModel(BaseModel):
    topic: str = ""


@pytest.mark.parametrize("own", [Own, OwnModel])
@pytest.mark.parametrize("first", [True, False])
async def test_photos_join_a_state_of_the_users_own(
    photos: list[str], own: type[Any], first: bool
) -> None:
    def build() -> StateGraph[Any, Any]:
        graph: Any = StateGraph(own)
        graph.add_node("begin", lambda state: {"topic": "cups"})
        graph.add_node("look", ask("vision", "What is shown?", schema=Facts))
        graph.add_edge(START, "begin")
        graph.add_conditional_edges(START if first else "begin", each_photo("look"))
        graph.add_edge("look", END)
        return graph

    fleet, _ = scripted_fleet(vision=colour_of)
    async with fleet:
        result = await fleet.run(build, Job(images=photos))
    assert [fields["colour"].value for fields in result.branches.values()] == list(COLOURS)
    assert result.state["topic"] == "cups"


def by_hand(width: int) -> Callable[[JobState], list[Send]]:
    """Sends to `look` as often as there are photos, with so many of them."""

    def spread(state: JobState) -> list[Send]:
        job = state["job"]
        keys = job["images"]
        parts = [keys[at : at + width] for at in range(0, len(keys), width)]
        return [Send("look", {"job": job | {"images": part}}) for part in parts]

    return spread


async def test_a_send_written_by_hand_is_planned_with_what_a_call_takes(
    photos: list[str],
) -> None:
    fleet, _ = scripted_fleet(vision=colour_of)
    async with fleet:
        graph = fan_out(by_hand(1), ["look"], max_visits=3)
        result = await fleet.run(graph, Job(images=photos))
        assert [fields["colour"].value for fields in result.branches.values()] == list(COLOURS)
        with pytest.raises(NoModel, match="takes 1 images a call, and the job has 3"):
            fleet.plan(fan_out(by_hand(1), ["look"]), Job(images=photos))


async def test_a_visit_of_more_photos_than_were_planned_is_refused_unpaid(
    photos: list[str],
) -> None:
    fleet, engines = scripted_fleet(vision=colour_of)
    async with fleet:
        graph = fan_out(by_hand(2), ["look"], max_visits=2)
        result = await fleet.run(graph, Job(images=photos))
    assert [(error.stage, error.type) for error in result.errors] == [("look", "InvalidGraph")]
    assert "has 2 photos, and its plan holds 1 a call of vl" in result.errors[0].message
    assert list(result.branches) == ["look[1]"]
    assert [len(call.images) for call in engines["vl"].calls] == [1]


def test_each_photo_names_a_node() -> None:
    with pytest.raises(InvalidGraph, match="names no node"):
        each_photo("")


def test_the_edge_travels_to_other_processes() -> None:
    edge = pickle.loads(pickle.dumps(each_photo("look")))
    assert edge == each_photo("look") and hash(edge) == hash(each_photo("look"))


def test_a_misspelt_node_is_named_with_the_one_that_was_perhaps_meant() -> None:
    with pytest.raises(InvalidGraph, match="Did you mean 'look'"):
        compile_graph(fan_out(each_photo("lok")))
