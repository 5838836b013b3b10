"""What a call reserves: never more than its plan, and no more than its own prompt can take."""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from orchestra import Context, Job, JobState, ask
from orchestra.app import Fleet
from orchestra.book.book import Book
from orchestra.book.ledger import LocalLedger
from orchestra.core.call import Call
from orchestra.core.job import Budget, Field, Result
from orchestra.core.state import MOST_READ, field_of
from orchestra.routing.candidates import TEMPLATE_TOKENS, JobShape
from orchestra.routing.compiled import compile_graph
from tests.booked import BookedCall, booked
from tests.scripted import scripted_fleet


class Title(BaseModel):
    title: str


def build() -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    write = ask("text", "Write.", schema=Title, data=lambda state: "colour: red", max_tokens=40)
    graph.add_node("write", write)
    graph.add_edge(START, "write")
    graph.add_edge("write", END)
    return graph


def titled(call: Call) -> Any:
    return {"title": "red"}


async def test_a_call_on_facts_reserves_its_own_prompt_and_the_account_holds_the_plans() -> None:
    fleet, _ = scripted_fleet(titled)
    async with fleet:
        result, entry = await _run(fleet)
        planned = fleet.plan(build, Job(text="A red apple"))
    assert result.status == "complete"
    (writer,) = planned.nodes
    room = fleet.file.card(writer.model).limits.context_tokens - 40
    assert planned.tokens == room + 40
    assert entry.reserved_tokens == len("Write." + "colour: red") + TEMPLATE_TOKENS + 40
    assert entry.tokens <= entry.reserved_tokens


async def test_thoughts_are_reserved_with_the_answer_and_told_to_the_model() -> None:
    fleet, engines = scripted_fleet(titled)
    card = fleet.file.card("r1")
    limits = card.limits.model_copy(update={"thinking_tokens": 200})
    thinker = card.model_copy(update={"limits": limits})
    fleet.file = fleet.file.model_copy(update={"models": (thinker,)})
    async with fleet:
        _, entry = await _run(fleet)
    (call,) = engines["r1"].calls
    assert (call.max_tokens, call.thinking_tokens) == (40, 200)
    prompt = len("Write." + "colour: red") + TEMPLATE_TOKENS
    assert entry.reserved_tokens == prompt + 40 + 200


async def _run(fleet: Fleet) -> tuple[Result, BookedCall]:
    """The result of the only call of a job, and its entry."""
    with Book.open(None) as book:
        scoped = fleet.scoped(LocalLedger(book), fleet.images)
        result = await scoped.run(build, Job(text="A red apple"))
        account = book._read("SELECT id FROM accounts")[0][0]
        (entry,) = booked(book, account)
    return result, entry


async def test_a_plan_is_made_once_for_a_shape_and_budget() -> None:
    fleet, _ = scripted_fleet()
    async with fleet:
        graph = compile_graph(build)
        first = fleet.plan_for(graph, JobShape(10, 0), Budget())
        assert fleet.plan_for(graph, JobShape(10, 0), Budget()) is first
        assert fleet.plan_for(graph, JobShape(11, 0), Budget()) is not first
        assert fleet.plan_for(graph, JobShape(10, 0), Budget(tokens=5000)).budget
        fleet.file = fleet.file.model_copy()
        assert fleet.plan_for(graph, JobShape(10, 0), Budget()) is not first


def test_a_field_that_was_read_is_read_again_when_it_changed() -> None:
    raw = Field(value="red", source="text").model_dump(mode="json")
    read = field_of(raw)
    assert field_of(raw) is read
    raw["value"] = "blue"
    assert field_of(raw).value == "blue"
    assert field_of(dict(raw)) == field_of(raw)


def test_what_was_read_is_forgotten_before_it_fills_memory() -> None:
    fields = [Field(value=n).model_dump(mode="json") for n in range(MOST_READ + 2)]
    assert [field_of(raw).value for raw in fields] == list(range(MOST_READ + 2))


def test_a_choice_among_no_terms_makes_a_node_all_the_same() -> None:
    schema = {"type": "object", "properties": {"colour": {"x-choice": {}}}}
    assert ask("text", "Read.", schema=schema).max_tokens >= 32
