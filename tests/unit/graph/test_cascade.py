"""A cascade in a graph: the second ask is made where the first was unsure, for that alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from PIL import Image
from pydantic import BaseModel

from orchestra import (
    Budget,
    Context,
    Job,
    JobState,
    Plan,
    Result,
    ask,
    cascade,
    each_photo,
    gather,
    merge,
    vote,
)
from orchestra.core.ask import CURRENT_RUN
from orchestra.core.call import Call, Reply, Usage
from orchestra.core.errors import AnswerInvalid, InvalidGraph
from orchestra.core.state import outcomes_of
from orchestra.fleet.source import load_fleet
from orchestra.graph.run import unprepared_run
from orchestra.quality.policy import Accuracy, Calibration, Policy
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.routing.introspect import view
from orchestra.routing.planner import plan
from orchestra.routing.routes import Route, plan_along, routes
from tests.scripted import scripted_fleet

MINI = load_fleet("mini")[0]
TEXT = "A red cup, or is it a blue mug?"


class Facts(BaseModel):
    kind: str | None
    colour: str | None


def build(least: float = 0.8, share: float | None = None, **more: Any) -> StateGraph[Any, Any]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Read quickly.", schema=Facts))
    again = ask("text", "Read with care.", schema=Facts, **more)
    graph.add_node("again", cascade(again, after="read", least=least, share=share))
    graph.add_edge(START, "read")
    graph.add_edge("read", "again")
    graph.add_edge("again", END)
    return graph


Said = dict[str, tuple[str | None, float | None]]


def says(quick: Said, careful: Said | Exception) -> Any:
    """Answers by wording: value and confidence of each field that is asked for."""

    def answer(call: Call) -> Any:
        found = quick if "quickly" in call.instruction else careful
        if isinstance(found, Exception):
            return found
        names = (call.schema or {})["properties"]
        values = {name: found[name][0] for name in names}
        sure = {name: s for name in names if (s := found[name][1]) is not None}
        return Reply(json.dumps(values), values, sure, Usage(50, 10))

    return answer


async def run(
    quick: Said, careful: Said | Exception, graph: Any = None, **job: Any
) -> tuple[Result, list[Call]]:
    """The result, and the careful calls."""
    fleet, engines = scripted_fleet(says(quick, careful))
    async with fleet:
        result = await fleet.run(graph or build(), Job(**{"text": TEXT, **job}))
    calls = [call for engine in engines.values() for call in engine.calls]
    return result, [call for call in calls if "care" in call.instruction]


async def test_what_was_unsure_is_asked_again_and_nothing_else() -> None:
    result, careful = await run(
        {"kind": ("cup", 0.9), "colour": ("red", 0.5)}, {"colour": ("blue", 0.95)}
    )
    assert [list((call.schema or {})["properties"]) for call in careful] == [["colour"]]
    kind, colour = result.fields["kind"], result.fields["colour"]
    assert (kind.value, kind.confidence, kind.alternatives) == ("cup", 0.9, ())
    assert (colour.value, colour.confidence) == ("blue", 0.95)
    assert [other.value for other in colour.alternatives] == ["red"]
    assert "had said 'red' (0.50)" in (colour.note or "")
    assert [call.node for call in result.calls] == ["read", "again"]
    assert result.status == "complete"


async def test_what_was_left_open_is_asked_again_at_any_bound() -> None:
    result, careful = await run(
        {"kind": ("cup", 0.1), "colour": (None, 0.9)}, {"colour": ("red", 0.9)}, build(0.0)
    )
    assert len(careful) == 1
    assert (result.fields["kind"].value, result.fields["colour"].value) == ("cup", "red")
    assert result.fields["colour"].alternatives == ()


async def test_a_sure_answer_spares_the_call_and_says_why() -> None:
    result, careful = await run({"kind": ("cup", 0.9), "colour": ("red", 0.85)}, {})
    assert not careful
    assert result.notes == (
        "again was not asked, as read said kind 'cup' (0.90), read said colour 'red' (0.85)",
    )
    assert [call.node for call in result.calls] == ["read"]
    assert result.status == "complete"


async def test_an_unknown_confidence_is_unsure() -> None:
    said: Said = {"kind": ("cup", None), "colour": ("red", 0.9)}
    _, careful = await run(said, {"kind": ("mug", 0.9)})
    assert [list((call.schema or {})["properties"]) for call in careful] == [["kind"]]
    _, careful = await run(said, {}, build(0.0))
    assert not careful


async def test_a_second_that_leaves_it_open_leaves_the_first_standing() -> None:
    result, _ = await run({"kind": ("cup", 0.9), "colour": ("red", 0.5)}, {"colour": (None, 0.9)})
    assert (result.fields["colour"].value, result.fields["colour"].confidence) == ("red", 0.5)


async def test_a_second_that_fails_leaves_the_first_and_an_error() -> None:
    result, _ = await run(
        {"kind": ("cup", 0.9), "colour": ("red", 0.5)}, AnswerInvalid("The answer is no JSON.")
    )
    assert (result.status, result.fields["colour"].value) == ("partial", "red")
    assert [error.stage for error in result.errors] == ["again"]


async def test_the_second_answers_alone_where_the_first_failed() -> None:
    def broken(call: Call) -> Any:
        if "quickly" in call.instruction:
            return AnswerInvalid("The answer is no JSON.")
        return {"kind": "cup", "colour": "red"}

    fleet, _ = scripted_fleet(broken)
    async with fleet:
        result = await fleet.run(build, Job(text=TEXT))
    assert result.fields["kind"].value == "cup"
    assert [error.stage for error in result.errors] == ["read"]


async def test_a_join_of_both_nodes_holds_the_second_answer_once() -> None:
    graph = build()
    graph.add_node("join", merge("read", "again"), defer=True)
    graph.add_edge("again", "join")
    result, _ = await run(
        {"kind": ("cup", 0.9), "colour": ("red", 0.5)}, {"colour": ("blue", 0.95)}, graph
    )
    colour = result.fields["colour"]
    assert (colour.value, [other.value for other in colour.alternatives]) == ("blue", ["red"])


async def test_a_key_of_the_users_own_state_holds_what_is_known_in_the_end() -> None:
    result, _ = await run(
        {"kind": ("cup", 0.9), "colour": ("red", 0.5)},
        {"colour": ("blue", 0.95)},
        build(key="facts"),
    )
    assert "facts" not in result.state  # JobState has no such key

    class Own(JobState, total=False):
        facts: dict[str, Any]

    graph: Any = StateGraph(Own)
    graph.add_node("read", ask("text", "Read quickly.", schema=Facts, key="facts"))
    second = ask("text", "Read with care.", schema=Facts, key="facts")
    graph.add_node("again", cascade(second, after="read", least=0.8))
    graph.add_edge(START, "read")
    graph.add_edge("read", "again")
    result, _ = await run(
        {"kind": ("cup", 0.9), "colour": ("red", 0.5)}, {"colour": ("blue", 0.95)}, graph
    )
    assert result.state["facts"] == {"kind": "cup", "colour": "blue"}


class Colour(BaseModel):
    colour: str | None


async def test_a_vote_that_ties_goes_on_to_the_second_ask(tmp_path: Path) -> None:
    shades = {"a.png": "red", "b.png": "blue"}
    for name, shade in shades.items():
        Image.new("RGB", (40, 40), shade).save(tmp_path / name)
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", "What colour is it?", schema=Colour))
    graph.add_node("vote", vote("look"), defer=True)
    graph.add_node("again", cascade(ask("text", "Read with care.", schema=Colour), after="vote"))
    graph.add_conditional_edges(START, each_photo("look"))
    graph.add_edge("look", "vote")
    graph.add_edge("vote", "again")
    graph.add_edge("again", END)

    def seen(call: Call) -> dict[str, Any]:
        red, *_ = call.images[0].getpixel((20, 20))  # type: ignore[misc]
        return {"colour": "red" if red else "blue"}

    fleet, engines = scripted_fleet(lambda call: {"colour": "blue"}, seen)
    photos = [str(tmp_path / name) for name in shades]
    async with fleet:
        result = await fleet.run(graph, Job(text=TEXT, images=photos))
        colour = result.fields["colour"]
        assert (colour.value, colour.source) == ("blue", "text")
        assert [other.value for other in colour.alternatives] == ["red", "blue"]
        asked = sum(len(engine.calls) for engine in engines.values())
        result = await fleet.run(graph, Job(text=TEXT, images=photos[:1]))
        assert result.fields["colour"].value == "red"
        assert any("again was not asked, as vote said colour 'red'" in n for n in result.notes)
        assert sum(len(engine.calls) for engine in engines.values()) == asked  # journalled


async def test_branches_before_a_cascade_spare_it_where_one_of_them_is_sure(
    tmp_path: Path,
) -> None:
    for name in ("red", "blue"):
        Image.new("RGB", (40, 40), name).save(tmp_path / f"{name}.png")
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", "What colour is it?", schema=Colour))
    second = ask("text", "Read with care.", schema=Colour)
    graph.add_node("again", cascade(second, after="look", least=0.8), defer=True)
    graph.add_conditional_edges(START, each_photo("look"))
    graph.add_edge("look", "again")

    def seeing(sure: float) -> Any:
        def seen(call: Call) -> Reply:
            red, *_ = call.images[0].getpixel((20, 20))  # type: ignore[misc]
            value = {"colour": "red" if red else None}
            return Reply(json.dumps(value), value, {"colour": sure}, Usage(50, 10, 1))

        return seen

    for sure, asked in ((0.9, 0), (0.5, 1)):
        fleet, engines = scripted_fleet(lambda call: {"colour": "blue"}, seeing(sure))
        async with fleet:
            photos = [str(tmp_path / f"{name}.png") for name in ("red", "blue")]
            result = await fleet.run(graph, Job(text=TEXT, images=photos))
        assert len(engines["r1"].calls) + len(engines["v2"].calls) == asked
        assert result.fields["colour"].value == ("blue" if asked else "red")


async def test_each_photos_cascade_in_a_subgraph_looks_at_its_own_first_answer(
    tmp_path: Path,
) -> None:
    shades = ("#fa0000", "#00fa00", "#0000fa")
    photos = [str(tmp_path / f"{number}.png") for number in range(3)]
    for path, shade in zip(photos, shades, strict=True):
        Image.new("RGB", (40, 40), shade).save(path)
    inner = StateGraph(JobState, context_schema=Context)
    inner.add_node("look", ask("vision", "Look quickly.", schema=Colour))
    second = ask("vision", "Look with care.", schema=Colour)
    inner.add_node("again", cascade(second, after="look", least=0.8))
    inner.add_edge(START, "look")
    inner.add_edge("look", "again")
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("inspect", inner.compile())
    graph.add_node("join", gather("look"), defer=True)
    graph.add_conditional_edges(START, each_photo("inspect"))
    graph.add_edge("inspect", "join")

    def seen(call: Call) -> Reply:
        pixel: Any = call.images[0].getpixel((20, 20))
        name = ("red", "green", "blue")[max(range(3), key=pixel.__getitem__)]
        if "quickly" in call.instruction and name == "green":
            name, sure = "yellow", 0.3
        else:
            sure = 0.9
        return Reply(
            json.dumps({"colour": name}), {"colour": name}, {"colour": sure}, Usage(9, 9, 1)
        )

    fleet, _ = scripted_fleet(vision=seen)
    async with fleet:
        result = await fleet.run(graph, Job(images=photos))
    assert sorted(call.node for call in result.calls) == ["again", "look", "look", "look"]
    assert sorted(result.fields["colour"].value) == ["blue", "green", "red"]
    assert result.status == "complete"


def planned(graph: Any, budget: Budget | None = None, policy: Policy | None = None) -> Plan:
    seen = view(compile_graph(graph))
    return plan(seen, JobShape(200, 0), budget or Budget(), MINI, policy=policy)


def test_the_plan_expects_a_cascade_by_its_share_and_holds_it_at_most() -> None:
    whole, some = planned(build()), planned(build(share=0.25))
    read, again = some.nodes
    made = whole.nodes[1]
    assert (made.share, again.share) == (1.0, 0.25)
    assert (again.cost_micro, again.tokens) == (made.cost_micro, made.tokens)
    assert again.expected_micro == round(made.expected_micro * 0.25)
    assert some.cost_micro == whole.cost_micro
    assert some.latency_ms == pytest.approx(read.latency_ms + made.latency_ms / 4, rel=0.2)
    assert some.p99_ms == pytest.approx(whole.p99_ms)


def test_the_plan_says_when_the_second_is_asked() -> None:
    text = str(planned(build(share=0.25)))
    assert "only      again=" in text
    assert "if read leaves kind or colour open, or is less than 0.8 sure of it; " in text
    assert "latency and expected cost count it in 25% of jobs; 'cost at most' holds it" in text
    only = planned(build(share=0.25)).public()["nodes"][1]["only"]
    assert only == {"after": ["read"], "fields": ["kind", "colour"], "least": 0.8, "share": 0.25}


def test_a_deadline_is_kept_with_the_call_made() -> None:
    seldom = planned(build(share=0.01), Budget(latency_ms=60_000))
    assert seldom.p99_ms >= sum(node.p99_ms for node in seldom.nodes)
    assert seldom.p99_ms >= planned(build(), Budget(latency_ms=60_000)).latency_ms


def curve(field: str, covered: float, spread: tuple[float, ...]) -> Calibration:
    right = Accuracy(share=0.9, low=0.8, high=1.0, rows=100)
    return Calibration(
        node="read",
        model="r1",
        field=field,
        prompt="p",
        method="platt",
        right=right,
        covered=covered,
        knots=((0.0, 0.0, 0.0, 1.0), (1.0, 1.0, 0.0, 1.0)),
        gain=(0.1, 0.2, 0.3),
        ece_before=0.2,
        ece_after=0.1,
        spread=spread,
    )


def test_a_policy_knows_the_share_better_than_who_wrote_the_graph() -> None:
    known = Policy(
        fleet="mini",
        calibration=(
            curve("kind", 1.0, (0.5, 0.9, 0.9, 0.9)),  # sure in three of four
            curve("colour", 0.8, (0.9, 0.9, 0.9, 0.9)),  # answered in four of five
        ),
    )
    assert planned(build(share=0.1), policy=known).nodes[1].share == pytest.approx(1 - 0.75 * 0.8)
    assert planned(build(0.0, share=0.1), policy=known).nodes[1].share == pytest.approx(0.2)
    old = known.model_copy(update={"calibration": (curve("kind", 1.0, ()),)})
    assert planned(build(share=0.1), policy=old).nodes[1].share == 0.1


def test_a_cascade_is_in_every_route_and_waits_for_none() -> None:
    seen, shape = view(compile_graph(build(share=0.25))), JobShape(200, 0)
    found = routes(seen, shape, MINI, Budget())
    assert all("?" not in route.name for route in found)
    along = plan_along(seen, shape, Budget(), MINI, dict(found[0].models))
    assert Route.of(along.nodes) == found[0]
    assert along.nodes[1].share == 0.25


def test_a_job_without_what_stands_before_it_is_planned_to_ask() -> None:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", "Look.", schema=Facts))
    graph.add_node("again", cascade(ask("text", "Read.", schema=Facts), after="look", share=0.1))
    graph.add_edge(START, "look")
    graph.add_edge("look", "again")
    (again,) = planned(graph).nodes
    assert (again.share, again.condition) == (None, None)


def test_a_cascade_after_no_node_before_it_is_named() -> None:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Read.", schema=Facts))
    graph.add_node("again", cascade(ask("text", "Read.", schema=Facts), after="raed"))
    graph.add_edge(START, "read")
    graph.add_edge("read", "again")
    with pytest.raises(
        InvalidGraph, match=r"after 'raed', which is no node before it. Did you mean 'read'"
    ):
        view(compile_graph(graph))


@pytest.mark.parametrize(
    ("schema", "options", "what"),
    [
        (None, {}, "without a schema"),
        (Facts, {"least": 1.5}, "least=1.5"),
        (Facts, {"share": 0.0}, "share=0.0"),
    ],
)
def test_a_cascade_that_cannot_be_is_refused(schema: Any, options: Any, what: str) -> None:
    with pytest.raises(InvalidGraph, match=what):
        cascade(ask("text", "Read.", schema=schema), after="read", **options)


async def test_a_graph_that_nobody_planned_asks_again_as_well() -> None:
    quick: Said = {"kind": ("cup", 0.9), "colour": ("red", 0.5)}
    fleet, _ = scripted_fleet(says(quick, {"colour": ("blue", 0.95)}))
    async with fleet:
        before = CURRENT_RUN.set(await unprepared_run(fleet))
        try:
            state = await build().compile().ainvoke({"job": Job(text=TEXT).model_dump(mode="json")})
        finally:
            CURRENT_RUN.reset(before)
    colour = outcomes_of(state)["read"].fields["colour"]
    assert (colour.value, [other.value for other in colour.alternatives]) == ("blue", ["red"])
