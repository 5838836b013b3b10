"""LangChain's prebuilt agents give through a fleet what LangGraph alone gives, in every mode."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, SummarizationMiddleware
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm

from orchestra import Fleet, Job
from tests.contract.alike import MODES, TEXT, Graph, alike, bare, given, through
from tests.contract.scripted_chat import calls, says
from tests.scripted import scripted_fleet

# langgraph-supervisor makes its own agents as LangGraph no longer advises.
pytestmark = pytest.mark.filterwarnings("ignore:create_react_agent has been moved")
CONFIG: Any = {"configurable": {"thread_id": "t"}}


def price(fruit: str) -> str:
    """The price of a fruit."""
    return f"{fruit}: 0.40"


def origin(fruit: str) -> str:
    """The country of a fruit."""
    return f"{fruit}: Italy"


def summarising(saver: Any) -> Graph:
    """An agent whose talk is summed up once it is long."""
    model = says(calls("price", fruit="pear"), calls("origin", fruit="pear"), "0.40, from Italy.")
    summary = SummarizationMiddleware(
        says(*["A pear was asked for."] * 9), trigger=("messages", 4), keep=("messages", 2)
    )
    return create_agent(model, [price, origin], middleware=[summary], checkpointer=saver)


def supervised(saver: Any) -> Graph:
    """A supervisor over two agents, who sends one of them off."""
    fruit = create_agent(says(calls("price", fruit="pear"), "0.40."), [price], name="fruit")
    travel = create_agent(says("Nothing."), [origin], name="travel")
    chief = says(calls("transfer_to_fruit"), "It costs 0.40.")
    return create_supervisor([fruit, travel], model=chief).compile(checkpointer=saver)


def swarm(saver: Any) -> Graph:
    """Two agents that hand the talk over to each other."""
    fruit = create_agent(
        says(calls("transfer_to_travel")),
        [price, create_handoff_tool(agent_name="travel")],
        name="fruit",
    )
    travel = create_agent(
        says(calls("origin", fruit="pear"), "From Italy."),
        [origin, create_handoff_tool(agent_name="fruit")],
        name="travel",
    )
    return create_swarm([fruit, travel], default_active_agent="fruit").compile(checkpointer=saver)


def approved(saver: Any) -> Graph:
    """An agent whose tool a person has to approve."""
    model = says(calls("price", fruit="pear"), "A pear costs 0.40.")
    person = HumanInTheLoopMiddleware(interrupt_on={"price": True})
    return create_agent(model, [price], middleware=[person], checkpointer=saver)


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    opened, _ = scripted_fleet()
    async with opened:
        yield opened


@pytest.mark.parametrize("build", [summarising, supervised, swarm])
@pytest.mark.parametrize("subgraphs", [False, True])
async def test_every_mode_tells_what_langgraph_tells(
    fleet: Fleet, build: Callable[[Any], Graph], subgraphs: bool
) -> None:
    graph, again = build(InMemorySaver()), build(InMemorySaver())
    expected = await bare(graph, MODES, CONFIG, given(graph), subgraphs)
    modes: Any = MODES
    told = fleet.astream(
        again,
        Job(text=TEXT),
        stream_mode=modes,
        subgraphs=subgraphs,
        thread_id="t",
        state=given(again),
    )
    found = await through(told, subgraphs)
    assert sorted(map(str, found)) == sorted(map(str, expected))


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_a_tool_that_a_person_decides_on_waits_and_goes_on_alike(
    fleet: Fleet, decision: str
) -> None:
    answer = {"decisions": [{"type": decision}]}
    graph, again = approved(InMemorySaver()), approved(InMemorySaver())
    expected = await bare(graph, MODES, CONFIG, given(graph), False)
    expected += await bare(graph, MODES, CONFIG, Command(resume=answer), False)
    modes: Any = [*MODES, "result"]
    options: Any = {"stream_mode": modes, "state": given(again)}
    found = [pair async for pair in fleet.astream(again, Job(text=TEXT), thread_id="t", **options)]
    asked = found.pop()[1]
    assert asked.status == "waiting"
    assert asked.questions[0].value["action_requests"][0]["name"] == "price"
    told = fleet.astream_resumed(again, "t", answer, stream_mode=modes)
    found += [pair async for pair in told]
    done = found.pop()[1]
    assert (done.status, (done.answer or "").strip()) == ("complete", "A pear costs 0.40.")
    assert sorted(map(str, alike(found))) == sorted(map(str, expected))
