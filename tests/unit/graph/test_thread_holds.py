"""Of several who go on with one run, one does; what others left can be taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send, interrupt

from orchestra import Fleet, Job
from orchestra.core.errors import ThreadTaken, UnknownThread, UsageError
from tests.scripted import scripted_fleet

Graph = CompiledStateGraph[Any, Any, Any, Any]


class Talk(TypedDict):
    said: Annotated[list[Any], lambda left, right: left + right]


def asking(*questions: str, gate: asyncio.Event | None = None) -> Graph:
    """A node that asks each of these, then waits for the gate, if there is one."""

    async def person(state: Any) -> dict[str, Any]:
        said = [interrupt(question) for question in questions]
        if gate is not None:
            await gate.wait()
        return {"said": said}

    graph = StateGraph(Talk)
    graph.add_node("person", person)
    graph.add_edge(START, "person")
    return graph.compile()


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    fleet, _ = scripted_fleet()
    async with fleet:
        yield fleet


async def test_of_two_answers_at_once_one_is_heard(fleet: Fleet) -> None:
    graph = asking("Red?")
    first = await fleet.run(graph, Job(text="Hi."), thread_id="t", graph_name="shop")
    (thread,) = await fleet.threads()
    assert (thread.graph, thread.status, thread.questions[0].value) == ("shop", "waiting", "Red?")
    results = await asyncio.gather(
        *(fleet.resume(graph, "t", answer) for answer in ("yes", "no")), return_exceptions=True
    )
    done = [each for each in results if not isinstance(each, BaseException)]
    late = [each for each in results if isinstance(each, BaseException)]
    assert (len(done), [type(each) for each in late]) == (1, [ThreadTaken])
    assert first.questions and done[0].state["said"] in (["yes"], ["no"])
    with pytest.raises(UnknownThread, match="came to its end"):
        await fleet.resume(graph, "t", "later")


async def test_a_run_that_is_cancelled_while_it_goes_on_still_asks_its_question(
    fleet: Fleet,
) -> None:
    gate = asyncio.Event()
    graph = asking("Red?", gate=gate)
    await fleet.run(graph, Job(text="Hi."), thread_id="t")
    under_way = asyncio.create_task(fleet.resume(graph, "t", "yes"))
    while (await fleet.thread("t")).status != "running":
        await asyncio.sleep(0)
    with pytest.raises(ThreadTaken):
        await fleet.run(graph, Job(text="Another."), thread_id="t")
    assert await fleet.waiting() == {}
    under_way.cancel()
    with pytest.raises(asyncio.CancelledError):
        await under_way
    assert await fleet.waiting() == {"t": "waiting"}
    gate.set()
    assert (await fleet.resume(graph, "t", "yes")).state["said"] == ["yes"]


async def test_another_job_on_a_thread_under_way_is_refused_and_costs_that_one_nothing(
    fleet: Fleet,
) -> None:
    gate = asyncio.Event()
    graph = asking("Red?", gate=gate)
    under_way = asyncio.create_task(fleet.run(asking(gate=gate), Job(text="Hi."), thread_id="t"))
    while not await fleet.threads():
        await asyncio.sleep(0)
    with pytest.raises(ThreadTaken, match="thread_id of its own"):
        await fleet.run(graph, Job(text="Another."), thread_id="t")
    gate.set()
    assert (await under_way).state["said"] == []
    assert await fleet.threads() == []


async def test_an_answer_that_nothing_asks_for_is_refused(fleet: Fleet) -> None:
    def person(state: Any) -> dict[str, Any]:
        return {"said": [(state["who"], interrupt(state["who"]))]}

    graph = StateGraph(Talk)
    graph.add_node("person", person)
    graph.add_conditional_edges(
        START, lambda state: [Send("person", {"who": who}) for who in ("a", "b")], ["person"]
    )
    both = graph.compile()
    first = await fleet.run(both, Job(text="Hi."), thread_id="t")
    with pytest.raises(UsageError, match="asks 2 questions at once, and 'yes'"):
        await fleet.resume(both, "t", "yes")
    with pytest.raises(ThreadTaken, match="does not ask"):
        await fleet.resume(both, "t", {"0" * 32: "yes"})
    part = await fleet.resume(both, "t", {first.questions[0].id: "yes"})
    assert [each.value for each in part.questions] == ["b"]
    with pytest.raises(ThreadTaken, match="any longer"):  # it was answered
        await fleet.resume(both, "t", {first.questions[0].id: "no"})
    done = await fleet.resume(both, "t", {part.questions[0].id: "yes"})
    assert sorted(map(tuple, done.state["said"])) == [("a", "yes"), ("b", "yes")]
    stopping = asking().builder.compile(interrupt_before=["person"])
    await fleet.run(stopping, Job(text="Hi."), thread_id="s")
    with pytest.raises(UsageError, match="asks nothing"):
        await fleet.resume(stopping, "s", "yes")
