"""A fleet without asyncio, and as a LangChain `Runnable`: the same runs by other doors."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda
from langgraph.graph import START, StateGraph
from langgraph.types import interrupt

from orchestra import Context, Job, JobState, Result, ask
from orchestra.core.call import Call
from orchestra.core.errors import Cancelled, NoModel, UsageError
from tests.scripted import scripted_fleet

SHIRT = {"type": "object", "properties": {"colour": {"type": "string"}}}


def build() -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Read.", schema=SHIRT))
    graph.add_edge(START, "read")
    return graph


def asking() -> StateGraph[JobState, Context]:
    graph = build()
    graph.add_node("person", lambda state: {"fields": {}} if interrupt("sure?") else {})
    graph.add_edge("read", "person")
    return graph


def first_word(call: Call) -> dict[str, Any]:
    return {"colour": (call.text or "").split()[0]}


def colour(result: Result) -> Any:
    return result.fields["colour"].value


def test_a_run_needs_no_loop_and_the_fleet_closes_with_its_block() -> None:
    fleet, _ = scripted_fleet(first_word)
    with fleet:
        assert colour(fleet.run_sync(build, Job(text="red shirt"))) == "red"
        waiting = fleet.run_sync(asking, Job(text="red shirt"), thread_id="a")
        assert waiting.status == "waiting"
        assert fleet.resume_sync(asking, "a", "yes").status == "complete"
        with pytest.raises(NoModel):
            fleet.run_sync(lambda: asking_for("speech"), Job(text="red"))
    closed = fleet.run_sync(build, Job(text="blue shirt"))
    assert closed.errors[0].type == Cancelled.__name__


def asking_for(capability: str) -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("hear", ask(capability, "Hear."))
    graph.add_edge(START, "hear")
    return graph


async def test_a_synchronous_run_works_inside_a_loop_as_a_notebook_has_one() -> None:
    fleet, _ = scripted_fleet(first_word)
    with fleet:
        assert colour(fleet.run_sync(build, Job(text="red shirt"))) == "red"


def test_a_stream_is_told_without_a_loop_and_may_be_left() -> None:
    fleet, _ = scripted_fleet(first_word)
    with fleet:
        told = list(fleet.stream(build, Job(text="red shirt"), stream_mode=["plan", "result"]))
        assert [mode for mode, _ in told] == ["plan", "result"]
        (result,) = fleet.stream(build, Job(text="red shirt"), stream_mode="result")
        assert colour(result) == "red"
        for mode, _ in fleet.stream(build, Job(text="blue shirt")):
            assert mode == "plan"
            break


async def test_a_bound_graph_stands_where_langchain_takes_a_runnable() -> None:
    fleet, _ = scripted_fleet(first_word)
    async with fleet:
        chain = RunnableLambda(lambda text: Job(text=text)) | fleet.bind(build) | colour
        assert await chain.ainvoke("red shirt") == "red"
        assert await chain.abatch(["red shirt", "blue shirt"]) == ["red", "blue"]
        bound = fleet.bind(build)
        modes = [mode async for mode, _ in bound.astream(Job(text="green shirt"))]
        assert modes[0] == "plan" and modes[-1] == "result"


def test_a_bound_graph_needs_no_loop_either() -> None:
    fleet, _ = scripted_fleet(first_word)
    with fleet:
        bound = fleet.bind(build)
        assert colour(bound.invoke(Job(text="red shirt"), {"tags": ["a"]})) == "red"
        assert [mode for mode, _ in bound.stream(Job(text="red shirt"))][-1] == "result"


async def test_a_stream_mode_that_there_is_not_is_told_with_what_it_may_mean() -> None:
    """It gave an empty stream, after the run was paid for."""
    fleet, engines = scripted_fleet(first_word)
    async with fleet:
        with pytest.raises(UsageError, match=r"no mode 'update'\. Did you mean 'updates'"):
            async for _ in fleet.astream(build, Job(text="red"), stream_mode=["update"]):  # pyright: ignore[reportArgumentType]
                pytest.fail("it told something")
    assert not any(engine.calls for engine in engines.values())
