"""A graph run through a fleet gives what LangGraph alone gives: streams, savers, interrupts.

The graphs have scripted models of LangChain, so that both sides can run them; each is run by both,
in every mode, and what they tell is compared with its ids made alike.
"""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AnyMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.store.memory import InMemoryStore
from langgraph.types import Command, Send, interrupt
from pydantic import BaseModel

from orchestra import Fleet, Job
from tests.contract.alike import MODES, TEXT, Graph, alike, bare, given, through
from tests.contract.scripted_chat import calls, says
from tests.scripted import scripted_fleet


class Talk(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    notes: Annotated[list[Any], operator.add]


def model() -> GenericFakeChatModel:
    said = (AIMessage(f"Answer number {number}.") for number in range(99))
    return GenericFakeChatModel(messages=said)


def chain(saver: Any) -> Graph:
    """Two models in a row, with custom events between them."""
    talking = model()

    async def think(state: Talk) -> dict[str, Any]:
        get_stream_writer()({"thinking": len(state["messages"])})
        return {"messages": [await talking.ainvoke(state["messages"])], "notes": ["thought"]}

    def check(state: Talk) -> dict[str, Any]:
        return {"notes": [len(state["messages"])]}

    graph = StateGraph(Talk)
    graph.add_node("think", think)
    graph.add_node("check", check)
    graph.add_edge(START, "think")
    graph.add_edge("think", "check")
    graph.add_edge("check", END)
    return graph.compile(checkpointer=saver)


def loop(saver: Any) -> Graph:
    """A critic that sends the writer round until it is content."""

    async def write(state: Talk) -> dict[str, Any]:
        return {"notes": [f"draft {len(state['notes'])}"]}

    def content(state: Talk) -> str:
        return END if len(state["notes"]) > 3 else "write"

    graph = StateGraph(Talk)
    graph.add_node("write", write)
    graph.add_edge(START, "write")
    graph.add_conditional_edges("write", content, ["write", END])
    return graph.compile(checkpointer=saver)


def fan(saver: Any) -> Graph:
    """A `Send` to three branches, and a deferred join."""

    async def look(state: Any) -> dict[str, Any]:
        return {"notes": [state["part"]]}

    async def join(state: Talk) -> dict[str, Any]:
        return {"notes": [sum(state["notes"])]}

    graph = StateGraph(Talk)
    graph.add_node("look", look)
    graph.add_node("join", join, defer=True)
    graph.add_conditional_edges(
        START, lambda state: [Send("look", {"part": part}) for part in (1, 2, 3)], ["look"]
    )
    graph.add_edge("look", "join")
    return graph.compile(checkpointer=saver)


def nested(saver: Any) -> Graph:
    """A subgraph with a state of its own."""
    inner = StateGraph(Talk)
    inner.add_node("deep", lambda state: {"notes": ["deep"]})
    inner.add_edge(START, "deep")
    graph = StateGraph(Talk)
    graph.add_node("inner", inner.compile())
    graph.add_node("after", lambda state: {"notes": ["after"]})
    graph.add_edge(START, "inner")
    graph.add_edge("inner", "after")
    return graph.compile(checkpointer=saver, store=InMemoryStore())


def routed(saver: Any) -> Graph:
    """Nodes that say themselves where to go, in a state of pydantic."""

    class Order(BaseModel):
        notes: Annotated[list[Any], operator.add] = []

    def triage(state: Order) -> Command[Any]:
        return Command(goto="pay", update={"notes": ["urgent"]})

    def pay(state: Order) -> dict[str, Any]:
        return {"notes": [f"paid after {len(state.notes)}"]}

    graph = StateGraph(Order)
    graph.add_node("triage", triage, destinations=("pay",))
    graph.add_node("pay", pay)
    graph.add_edge(START, "triage")
    return graph.compile(checkpointer=saver)


def agent(saver: Any) -> Graph:
    """LangChain's prebuilt agent, with a tool."""

    def price(fruit: str) -> str:
        """The price of a fruit."""
        return f"{fruit}: 0.40"

    model = says(calls("price", fruit="pear"), "A pear costs 0.40.")
    return create_agent(model, [price], checkpointer=saver)


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    opened, _ = scripted_fleet()
    async with opened:
        yield opened


@pytest.mark.parametrize("build", [chain, loop, fan, nested, routed, agent])
@pytest.mark.parametrize("is_saved", [False, True])
@pytest.mark.parametrize("subgraphs", [False, True])
async def test_every_mode_tells_what_langgraph_tells(
    fleet: Fleet, build: Callable[[Any], Graph], is_saved: bool, subgraphs: bool
) -> None:
    modes: Any = [mode for mode in MODES if is_saved or mode not in ("checkpoints", "debug")]
    config = {"configurable": {"thread_id": "t"}}
    graph = build(InMemorySaver() if is_saved else None)
    expected = await bare(graph, modes, config, given(graph), subgraphs)
    again = build(InMemorySaver() if is_saved else None)
    told = fleet.astream(
        again,
        Job(text=TEXT),
        stream_mode=modes,
        subgraphs=subgraphs,
        thread_id="t",
        state=given(again),
    )
    found = await through(told, subgraphs)
    for mode in modes:
        place = 1 if subgraphs else 0
        assert [c for c in found if c[place] == mode] == [c for c in expected if c[place] == mode]
    # What comes side by side comes in any order; the steps do not.
    assert sorted(map(str, found)) == sorted(map(str, expected))


@pytest.mark.parametrize("build", [chain, loop, fan, nested, routed, agent])
async def test_a_saver_holds_the_same_history(fleet: Fleet, build: Callable[[Any], Graph]) -> None:
    config: Any = {"configurable": {"thread_id": "t"}}
    graph, again = build(InMemorySaver()), build(InMemorySaver())
    await graph.ainvoke(given(graph), config)
    await fleet.run(again, Job(text=TEXT), thread_id="t", state=given(again))
    expected = [each async for each in graph.aget_state_history(config)]
    found = [each async for each in again.aget_state_history(config)]
    assert [alike(each.values) for each in found] == [alike(each.values) for each in expected]
    assert [each.next for each in found] == [each.next for each in expected]


def asking(saver: Any) -> Graph:
    """Two people are asked side by side, then one more."""

    def person(state: Any) -> dict[str, Any]:
        return {"notes": [f"{state['who']}: {interrupt({'ask': state['who']})}"]}

    def last(state: Talk) -> dict[str, Any]:
        return {"notes": [interrupt("sure?")]}

    graph = StateGraph(Talk)
    graph.add_node("person", person)
    graph.add_node("last", last, defer=True)
    graph.add_conditional_edges(
        START, lambda state: [Send("person", {"who": who}) for who in ("ann", "bob")], ["person"]
    )
    graph.add_edge("person", "last")
    return graph.compile(checkpointer=saver)


@pytest.mark.parametrize("kind", ["memory", "sqlite", "none"])
async def test_interrupts_and_answers_are_langgraphs(
    fleet: Fleet, kind: str, tmp_path: Any
) -> None:
    config: Any = {"configurable": {"thread_id": "t"}}
    modes = ["values", "updates"]
    graph = asking(InMemorySaver())
    expected = await bare(graph, modes, config, given(graph), False)
    asked = (await graph.aget_state(config)).interrupts
    answers = {each.id: each.value["ask"].upper() for each in asked}
    expected += await bare(graph, modes, config, Command(resume=answers), False)
    expected += await bare(graph, modes, config, Command(resume="yes"), False)

    async with AsyncSqliteSaver.from_conn_string(str(tmp_path / "t.sqlite")) as sqlite:
        savers = {"memory": InMemorySaver(), "sqlite": sqlite, "none": None}
        again = asking(savers[kind])
        wanted: Any = [*modes, "result"]
        found: list[Any] = []
        told = fleet.astream(again, Job(text=TEXT), stream_mode=wanted, thread_id="t")
        found += [pair async for pair in told]
        first = found.pop()[1]
        assert first.status == "waiting"
        replies = {each.id: each.value["ask"].upper() for each in first.questions}
        told = fleet.astream_resumed(again, "t", replies, stream_mode=wanted)
        found += [pair async for pair in told]
        second = found.pop()[1]
        assert (second.status, second.questions[0].value) == ("waiting", "sure?")
        told = fleet.astream_resumed(again, "t", "yes", stream_mode=wanted)
        found += [pair async for pair in told]
        done = found.pop()[1]
    assert sorted(map(str, alike(found))) == sorted(map(str, expected))
    assert sorted(done.state["notes"]) == ["ann: ANN", "bob: BOB", "yes"]


async def test_the_graph_of_a_user_is_left_as_it_was(fleet: Fleet) -> None:
    graph = chain(None)
    before = graph.get_graph().draw_mermaid(), list(graph.nodes), graph.checkpointer
    await fleet.run(graph, Job(text=TEXT))
    assert (graph.get_graph().draw_mermaid(), list(graph.nodes), graph.checkpointer) == before
