"""Threads in a real Postgres: a run waits there, everything is closed, and another goes on."""

from __future__ import annotations

import operator
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send, interrupt
from PIL import Image
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from orchestra import Budget, Context, Fleet, Job, ask
from tests.scripted import scripted_fleet
from tests.servers.postgres import Postgres, postgres

SHIRT = {"type": "object", "properties": {"colour": {"type": "string"}}}


class Talk(TypedDict):
    said: Annotated[list[Any], operator.add]


def asking(saver: Any) -> CompiledStateGraph[Any, Any, Any]:
    """Look, ask two people side by side, and look again."""

    def person(state: Any) -> dict[str, Any]:
        return {"said": [(state["who"], interrupt(f"{state['who']}: red?"))]}

    graph = StateGraph(Talk, context_schema=Context)
    graph.add_node("look", ask("vision", "Look.", schema=SHIRT))
    graph.add_node("person", person)
    graph.add_node("again", ask("vision", "Look again.", schema=SHIRT))
    graph.add_edge(START, "look")
    graph.add_conditional_edges(
        "look", lambda state: [Send("person", {"who": who}) for who in ("ann", "bob")], ["person"]
    )
    graph.add_edge("person", "again")
    return graph.compile(checkpointer=saver)


@pytest.fixture
def server() -> Iterator[Postgres]:
    with postgres() as prepared:
        yield prepared


@asynccontextmanager
async def opened(book: Path, address: str) -> AsyncIterator[tuple[Fleet, Any]]:
    """A fleet on this book, and the graph whose threads are kept at this address."""
    scripted, _ = scripted_fleet(
        lambda call: {"colour": "red"}, lambda call: {"colour": call.instruction}
    )
    options = {"autocommit": True, "row_factory": dict_row, "prepare_threshold": 0}
    pool: Any = AsyncConnectionPool(address, min_size=1, kwargs=options, open=False)
    fleet = Fleet.open("mini", book=book, clients=scripted._clients)
    async with pool, fleet:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        yield fleet, asking(saver)


async def test_a_run_that_waits_in_postgres_goes_on_with_another_fleet_pool_and_server(
    server: Postgres, tmp_path: Path
) -> None:
    photo, book = tmp_path / "shirt.png", tmp_path / "book.sqlite"
    Image.new("RGB", (64, 64), "red").save(photo)
    with server.running() as address:
        async with opened(book, address) as (fleet, graph):
            plan = fleet.plan(graph, Job(images=[photo]))
            job = Job(images=[photo], budget=Budget(tokens=plan.tokens, latency_ms=60_000))
            first = await fleet.run(graph, job, thread_id="shirt-7")
    photo.unlink()
    assert first.status == "waiting" and len(first.calls) == 1
    assert sorted(question.value for question in first.questions) == ["ann: red?", "bob: red?"]

    answers = {question.id: question.value.split(":")[0] for question in first.questions}
    with server.running() as address:
        async with opened(book, address) as (fleet, graph):
            assert await fleet.waiting() == {"shirt-7": "waiting"}
            done = await fleet.resume(graph, "shirt-7", answers)
            config: Any = {"configurable": {"thread_id": "shirt-7"}}
            kept = await graph.aget_state(config)
            history = [each async for each in graph.aget_state_history(config)]
    assert done.status == "complete"
    assert sorted(done.state["said"]) == [("ann", "ann"), ("bob", "bob")]
    assert [call.node for call in done.calls] == ["look", "again"]
    assert first.tokens < done.tokens <= plan.tokens
    assert kept.next == () and len(history) > 3
