"""Prebuilt agents with a `ChatModel`, run as jobs: streamed, bounded, billed, waiting, resumed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware, SummarizationMiddleware
from langchain_core.messages import AIMessageChunk
from langgraph.graph.state import CompiledStateGraph
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm

from orchestra import Budget, ChatModel, Fleet, Job
from orchestra.book.book import Book
from orchestra.core.call import Call
from tests.scripted import scripted_fleet

Graph = CompiledStateGraph[Any, Any, Any]
EVERY: Any = ["values", "updates", "messages", "custom", "tasks", "plan", "call", "spend", "result"]
QUESTION = "What does a pear cost?"

# langgraph-supervisor makes its own agents as LangGraph no longer advises.
pytestmark = pytest.mark.filterwarnings("ignore:create_react_agent has been moved")


def price(fruit: str) -> str:
    """The price of a fruit."""
    return f"{fruit}: 0.40"


def calling(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"calls": [{"tool": tool, "arguments": arguments}], "answer": None}


def saying(answer: str) -> dict[str, Any]:
    return {"calls": [], "answer": answer}


def said_before(call: Call) -> str:
    return " ".join([*(turn.text for turn in call.turns), call.instruction])


def clerk(call: Call) -> Any:
    """Hands the talk over where that is offered, asks for the price once, and tells it."""
    before = said_before(call)
    if not call.schema:
        return "A pear was asked for."
    if "Result of price" in before:
        return saying("A pear costs 0.40.")
    if "- price:" in call.instruction:
        return calling("price", fruit="pear")
    if "Successfully transferred back" in before:
        return saying("A pear costs 0.40.")
    return calling("transfer_to_fruit")


def restless(call: Call) -> Any:
    """Asks for one price more each time, for ever."""
    offered = "price" if "- price:" in call.instruction else "transfer_to_fruit"
    arguments = {"fruit": f"pear {len(call.turns)}"} if offered == "price" else {}
    return calling(offered, **arguments) if call.schema else "Prices were asked for."


def agent() -> Graph:
    return create_agent(ChatModel(), [price])


def summarising() -> Graph:
    middleware = SummarizationMiddleware(ChatModel(), trigger=("messages", 2), keep=("messages", 1))
    return create_agent(ChatModel(), [price], middleware=[middleware])


def supervised() -> Graph:
    fruit = create_agent(ChatModel(), [price], name="fruit")
    return create_supervisor([fruit], model=ChatModel()).compile()


def swarm() -> Graph:
    fruit = create_agent(ChatModel(), [price], name="fruit")
    host = create_agent(ChatModel(), [create_handoff_tool(agent_name="fruit")], name="host")
    return create_swarm([fruit, host], default_active_agent="host").compile()


def approved() -> Graph:
    person = HumanInTheLoopMiddleware(interrupt_on={"price": True})
    return create_agent(ChatModel(), [price], middleware=[person])


@pytest.mark.parametrize("build", [agent, summarising, supervised, swarm])
async def test_it_runs_unchanged_and_its_bill_is_the_sum_of_its_calls(
    build: Callable[[], Graph],
) -> None:
    fleet, engines = scripted_fleet(clerk)
    async with fleet:
        told = [
            pair async for pair in fleet.astream(build(), Job(text=QUESTION), stream_mode=EVERY)
        ]
    done = told[-1][1]
    assert (done.status, done.answer) == ("complete", "A pear costs 0.40.")
    assert done.cost_usd == sum(call.cost_usd for call in done.calls) > 0
    assert len(done.calls) == len(engines["r1"].calls) >= 2
    modes = Counter(mode for mode, _ in told)
    assert modes["values"] > 1 and modes["updates"] and modes["messages"] and modes["tasks"]
    assert (modes["plan"], modes["result"]) == (1, 1)
    assert modes["call"] == modes["spend"] == len(done.calls)


@pytest.mark.parametrize("build", [agent, summarising, supervised, swarm])
async def test_it_stops_at_its_budget_with_what_it_had_found(build: Callable[[], Graph]) -> None:
    fleet, engines = scripted_fleet(restless)
    async with fleet:
        job = Job(text=QUESTION, budget=Budget(tokens=1_600))
        done = await fleet.run(build(), job, config={"recursion_limit": 200})
    assert done.status == "partial"
    assert {error.type for error in done.errors} == {"BudgetExceeded"}
    assert (done.answer or "").startswith("Stopped at the budget")
    assert 0 < done.tokens <= 1_600
    assert done.cost_usd == sum(call.cost_usd for call in done.calls)
    assert len(done.calls) == len(engines["r1"].calls)
    assert done.state["messages"]


async def test_what_a_model_says_is_told_word_by_word() -> None:
    fleet, _ = scripted_fleet(lambda call: "A pear costs 0.40.")
    async with fleet:
        graph = create_agent(ChatModel(), [])
        told = fleet.astream(graph, Job(text=QUESTION), stream_mode="messages")
        pieces = [message async for message, _ in told if isinstance(message, AIMessageChunk)]
    assert [piece.text for piece in pieces if piece.text] == ["A", " pear", " costs", " 0.40."]


def fleet_on(book: Path, answers: Any) -> Fleet:
    """A scripted fleet that spends into the book at this path."""
    scripted, _ = scripted_fleet(answers)
    return Fleet.open("mini", book=book, clients=scripted._clients)


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_a_tool_waits_for_a_person_and_goes_on_in_another_process(
    tmp_path: Path, decision: str
) -> None:
    book = tmp_path / "book.sqlite"
    job = Job(text=QUESTION, budget=Budget(tokens=3_000))

    def answers(call: Call) -> Any:
        rejected = "rejected" in said_before(call)
        return saying("I may not look.") if rejected else clerk(call)

    async with fleet_on(book, answers) as fleet:
        first = await fleet.run(approved(), job, thread_id="t")
    assert first.status == "waiting"
    assert first.questions[0].value["action_requests"][0]["args"] == {"fruit": "pear"}
    async with fleet_on(book, answers) as fleet:
        answer = {"decisions": [{"type": decision}]}
        done = await fleet.resume(approved(), "t", answer)
    said = {"approve": "A pear costs 0.40.", "reject": "I may not look."}
    assert (done.status, done.answer) == ("complete", said[decision])
    assert first.tokens < done.tokens <= 3_000
    assert done.cost_usd == sum(call.cost_usd for call in done.calls)
    with Book.open(book) as kept:
        spent = [kept.spent(place.id) for place in kept.places().values()]
    assert max(each.tokens for each in spent) == done.tokens


async def test_a_resumed_agent_has_only_what_its_first_part_left(tmp_path: Path) -> None:
    book = tmp_path / "book.sqlite"
    job = Job(text=QUESTION, budget=Budget(tokens=1_600))
    async with fleet_on(book, restless) as fleet:
        done = await fleet.run(approved(), job, thread_id="t")
    answer = {"decisions": [{"type": "approve"}]}
    while done.status == "waiting":
        async with fleet_on(book, restless) as fleet:
            done = await fleet.resume(approved(), "t", answer)
    assert done.status == "partial" and len(done.calls) > 2
    assert done.tokens <= 1_600


async def test_a_named_model_keeps_its_part_of_a_job_that_another_process_resumes(
    tmp_path: Path,
) -> None:
    def named() -> Graph:
        model = ChatModel(name="clerk", budget=Budget(tokens=1_600))
        person = HumanInTheLoopMiddleware(interrupt_on={"price": True})
        return create_agent(model, [price], middleware=[person])

    book, answer = tmp_path / "book.sqlite", {"decisions": [{"type": "approve"}]}
    async with fleet_on(book, restless) as fleet:
        done = await fleet.run(named(), Job(text=QUESTION), thread_id="t")
    for _ in range(30):
        if done.status != "waiting":
            break
        async with fleet_on(book, restless) as fleet:
            done = await fleet.resume(named(), "t", answer)
    assert done.status == "partial"
    assert 0 < done.tokens <= 1_600
