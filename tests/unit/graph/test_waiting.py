"""A call that another node's answer may spare: made where something is open, else not paid."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from PIL import Image
from pydantic import BaseModel

from orchestra import Context, Fleet, Job, JobState, Result, ask, merge
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Reply, Usage
from orchestra.core.errors import AnswerInvalid, InvalidPlan
from orchestra.core.job import Budget, Field
from orchestra.core.state import Outcome
from orchestra.fleet.source import load_fleet
from orchestra.graph.intake import take_in
from orchestra.graph.run import run_job
from orchestra.graph.waiting import Waiting, reason_to_spare
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.routing.condition import Condition, Unless
from orchestra.routing.introspect import view
from orchestra.routing.planner import plan
from orchestra.routing.routes import Prices, Route, condition_of, plan_along, routes
from orchestra.testing import ScriptedEngine

MINI = load_fleet("mini")[0]
BOTH = JobShape(200, 1)


class Seen(BaseModel):
    kind: str | None
    shape: str | None


class Told(BaseModel):
    kind: str | None
    origin: str | None


def build(*, branched: bool = False) -> StateGraph[JobState, Context]:
    """Two asks that share `kind`; `branched`, only the photo is ever reached."""
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("photo", ask("vision", "What is shown?", schema=Seen))
    graph.add_node("words", ask("text", "What is told?", schema=Told))
    graph.add_node("join", merge("photo", "words"), defer=True)
    if branched:
        graph.add_conditional_edges(START, lambda _: "photo", path_map=["photo", "words"])
    else:
        graph.add_edge(START, "photo")
        graph.add_edge(START, "words")
    for node in ("photo", "words"):
        graph.add_edge(node, "join")
    graph.add_edge("join", END)
    return graph


def answering(value: str | None, sure: float | None) -> ScriptedEngine:
    def answer(call: Call) -> Any:
        values = {name: value for name in (call.schema or {})["properties"]}
        confidence = {} if sure is None else dict.fromkeys(values, sure)
        return Reply("{}", values, confidence, Usage(50, 10, len(call.images)))

    return ScriptedEngine(answer)


async def run(tmp_path: Path, words: ScriptedEngine, least: str) -> tuple[Result, ScriptedEngine]:
    """One job along `photo=vl?least words=r1`; its result, and who looks at photos."""
    photo = tmp_path / "photo.png"
    Image.new("RGB", (8, 8), "red").save(photo)
    looks = answering("pear", 0.9)
    engines = {
        card.name: words if "vision" not in card.capabilities else looks for card in MINI.models
    }
    clients: Any = {
        name: InProcessClient(name, lambda engine=engine: engine)
        for name, engine in engines.items()
    }
    async with Fleet.open("mini", clients=clients) as fleet:
        intake = await take_in(fleet, Job(text="An apple.", images=(str(photo),)))
        graph = compile_graph(build)
        models = {"photo": f"vl?{least}", "words": "r1"}
        planned = plan_along(view(graph), intake.shape, Budget(), fleet.file, models)
        assert planned.nodes[0].condition is not None
        return await run_job(fleet, graph, intake, account="a", planned=planned), looks


@pytest.mark.parametrize(
    ("value", "sure", "least", "looked"),
    [
        ("apple", 0.9, "kind@0.5", False),
        ("apple", 0.9, "0.5", False),
        ("apple", 0.3, "kind@0.5", True),
        ("apple", 0.3, "kind@0", False),
        (None, 0.9, "kind@0", True),
        ("apple", None, "kind@0", False),
        ("apple", None, "kind@0.5", True),
    ],
)
async def test_the_photo_is_looked_at_only_where_the_text_left_the_field_open(
    tmp_path: Path, value: str | None, sure: float | None, least: str, looked: bool
) -> None:
    result, looks = await run(tmp_path, answering(value, sure), least)
    assert bool(looks.calls) is looked
    assert [call.node for call in result.calls] == (["photo"] if looked else []) + ["words"]
    assert any("photo was not asked, as words said kind 'apple'" in n for n in result.notes) is (
        not looked
    )


async def test_a_text_model_that_fails_spares_nothing(tmp_path: Path) -> None:
    fails = ScriptedEngine(lambda call: AnswerInvalid("The answer is no JSON."))
    result, looks = await run(tmp_path, fails, "kind@0")
    assert len(looks.calls) == 1 and result.fields["kind"].value == "pear"


def condition(*beside: str) -> Condition:
    return Condition(("words",), ("kind",), 0.5, beside, Unless(0.5))


async def test_a_node_that_never_begins_holds_nobody_up() -> None:
    async with asyncio.timeout(30):
        assert await Waiting().spared(condition("words")) is None


async def test_a_node_that_is_cancelled_lets_the_others_go_on() -> None:
    waiting = Waiting()

    async def never_ends() -> None:
        with waiting.visit("words"):
            await asyncio.Event().wait()

    task = asyncio.create_task(never_ends())
    await asyncio.sleep(0)
    spared = asyncio.create_task(waiting.spared(condition("words")))
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(30):
        assert await spared is None


def test_a_calibrated_probability_counts_before_a_models_own_confidence() -> None:
    answer = Field(value="apple", source="text", confidence=0.9, probability=0.4)
    assert reason_to_spare(condition(), {"words": Outcome(fields={"kind": answer})}) is None


def test_only_nodes_that_are_sure_to_be_reached_are_waited_for() -> None:
    both, unless = ["photo", "words"], Unless(0.5)
    made = condition_of(view(compile_graph(build)), "photo", both, unless)
    assert made is not None and (made.on, made.fields) == (("words",), ("kind",))
    branched = view(compile_graph(build(branched=True)))
    assert condition_of(branched, "photo", both, unless) is None
    assert condition_of(view(compile_graph(build)), "photo", both, Unless(0.5, ("shape",))) is None


def test_a_plan_counts_both_calls_in_turn_and_says_when_the_photo_is_looked_at() -> None:
    seen = view(compile_graph(build))
    whole = plan_along(seen, BOTH, Budget(), MINI, {"photo": "vl", "words": "encoder"})
    made = plan_along(seen, BOTH, Budget(), MINI, {"photo": "vl?kind@0.5", "words": "encoder"})
    assert made.cost_micro == whole.cost_micro
    assert made.p99_ms > whole.p99_ms
    assert made.mix == "photo=vl?kind@0.5 words=encoder"
    assert "if words leaves kind open, or is less than 0.5 sure" in str(made)
    assert made.public()["nodes"][0]["only"]["fields"] == ["kind"]


def test_two_nodes_never_wait_for_each_other() -> None:
    seen = view(compile_graph(build))
    made = plan_along(seen, BOTH, Budget(), MINI, {"photo": "vl?0.5", "words": "r1?0.5"})
    assert all(node.condition is None for node in made.nodes)


def test_routes_that_spare_a_call_are_offered_where_there_is_time_for_both() -> None:
    seen = view(compile_graph(build))
    found = [route.name for route in routes(seen, BOTH, MINI, Budget(), fields=("kind",))]
    assert "?" not in found[0] and any("?kind@0.5" in name for name in found)
    own = plan(seen, BOTH, Budget(), MINI)
    tight = Budget(latency_ms=own.p99_ms * 1.01)
    assert all("?" not in route.name for route in routes(seen, BOTH, MINI, tight))


def test_a_conditional_route_reads_back_from_its_name_and_is_priced() -> None:
    route = Route((("photo", "vl?" + str(Unless(0.5, ("my, kind",)))), ("words", "r1")))
    assert Route.named(route.name) == route and route.asked == ("vl", "r1")
    assert route.parts[0] == ("photo", "vl", Unless(0.5, ("my, kind",)))
    priced = Prices(view(compile_graph(build)), MINI).of(
        Route.named("photo=vl?kind@0.5 words=encoder"), BOTH
    )
    assert priced[0].condition is not None and priced[1].condition is None


@pytest.mark.parametrize("text", ["much", "2", "kind@", "-1"])
def test_a_condition_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidPlan, match="names no confidence"):
        Route.named(f"photo=vl?{text} words=r1").parts  # noqa: B018
