"""`ChatModel` in chains and agents: routed, billed, stopped at its budget, one line changed."""

from __future__ import annotations

import asyncio
import copy
import operator
import pickle
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, SystemMessage
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.prebuilt import ToolNode, create_react_agent
from PIL import Image
from pydantic import BaseModel

from orchestra import Budget, ChatModel, Job
from orchestra.app import Fleet
from orchestra.core.call import Call
from orchestra.core.errors import BudgetExceeded, ModelUnavailable, NoFeasiblePlan, UsageError
from orchestra.testing import ScriptedEngine
from tests.meeting import Meeting, at_once
from tests.scripted import scripted_fleet

Scripted = tuple[ChatModel, dict[str, ScriptedEngine]]
Make = Callable[..., Scripted]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes chat models of scripted fleets, and closes them."""
    made: list[ChatModel] = []

    def build(text: Any, vision: Any = "a photo", delay_s: float = 0.0, **options: Any) -> Scripted:
        fleet, engines = scripted_fleet(_said(text), _said(vision), delay_s=delay_s)
        model = ChatModel(fleet=fleet, **options)
        made.append(model)
        return model, engines

    yield build
    for model in made:
        model.close()


def _said(answer: Any) -> Callable[[Call], Any]:
    return answer if callable(answer) else lambda call: answer


def calling(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"calls": [{"tool": tool, "arguments": arguments}], "answer": None}


def saying(answer: str) -> dict[str, Any]:
    return {"calls": [], "answer": answer}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


# A graph as people have it: it knows nothing of Orchestra.


class Talk(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    steps: int


def agent_of(model: BaseChatModel) -> CompiledStateGraph[Any, Any, Any, Any]:
    bound = model.bind_tools([add])

    def think(state: Talk) -> dict[str, Any]:
        return {"messages": [bound.invoke(state["messages"])], "steps": state.get("steps", 0) + 1}

    def route(state: Talk) -> Literal["tools", "__end__"]:
        last = state["messages"][-1]
        return "tools" if isinstance(last, AIMessage) and last.tool_calls else "__end__"

    graph = StateGraph(Talk)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode([add]))
    graph.add_edge(START, "think")
    graph.add_conditional_edges("think", route)
    graph.add_edge("tools", "think")
    return graph.compile()


def counting(call: Call) -> dict[str, Any]:
    """Adds one more each time, for ever."""
    return calling("add", a=len(call.turns), b=1)


def adding_once(call: Call) -> dict[str, Any]:
    return saying("It is 3.") if "Result of add" in call.instruction else calling("add", a=1, b=2)


def told(message: Any) -> dict[str, Any]:
    return message.response_metadata["orchestra"]


# Answers


def test_text_goes_to_the_text_model_and_a_photo_to_the_vision_model(
    make: Make, tmp_path: Path
) -> None:
    model, engines = make("Hello.", "A red square.")
    photo = tmp_path / "red.png"
    Image.new("RGB", (32, 32), "red").save(photo)
    said = model.invoke("Hi.")
    seen = model.invoke(
        [HumanMessage([{"type": "image", "url": str(photo)}, {"type": "text", "text": "What?"}])]
    )
    assert (said.content, said.response_metadata["model_name"]) == ("Hello.", "r1")
    assert (seen.content, seen.response_metadata["model_name"]) == ("A red square.", "vl")
    assert engines["vl"].calls[0].instruction == "What?"
    assert len(engines["vl"].calls[0].images) == 1


def test_an_answer_carries_its_cost_usage_and_plan(make: Make) -> None:
    model, _ = make("Hello.")
    said = model.invoke("Hi.")
    assert said.usage_metadata is not None and said.usage_metadata["output_tokens"] == 2
    assert told(said)["cost_usd"] > 0
    assert told(said)["plan"]["nodes"][0]["model"] == "r1"
    assert float(model.bill().cost_usd) == told(said)["cost_usd"]


def test_earlier_turns_reach_the_model_in_order(make: Make) -> None:
    model, engines = make("Red.")
    model.invoke(
        [SystemMessage("Be brief."), HumanMessage("Hi."), AIMessage("Yes?"), ("user", "?")]
    )
    call = engines["r1"].calls[0]
    assert [(turn.role, turn.text) for turn in call.turns] == [
        ("system", "Be brief."),
        ("user", "Hi."),
        ("assistant", "Yes?"),
    ]
    assert call.instruction == "?"


async def test_it_answers_inside_a_running_loop_both_ways(make: Make) -> None:
    model, engines = make("Hello.")
    assert (await model.ainvoke("One?")).content == "Hello."
    assert model.invoke("Two?").content == "Hello."
    assert len(engines["r1"].calls) == 2


def test_a_stream_tells_pieces_and_ends_with_the_cost(make: Make) -> None:
    model, _ = make("One two three.")
    chunks = list(model.stream("Count."))
    assert [chunk.content for chunk in chunks[:3]] == ["One", " two", " three."]
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert whole.content == "One two three."
    assert told(whole)["cost_usd"] > 0


async def test_an_asynchronous_stream_tells_the_same(make: Make) -> None:
    model, _ = make("One two three.")
    assert [c.content async for c in model.astream("Count.")][:3] == ["One", " two", " three."]


def test_a_structured_answer_is_held_to_its_schema(make: Make) -> None:
    class Colour(BaseModel):
        """A colour."""

        name: str

    model, engines = make(calling("Colour", name="red"))
    assert model.with_structured_output(Colour).invoke("Which?") == Colour(name="red")
    schema = engines["r1"].calls[0].schema
    assert schema is not None and schema["properties"]["calls"]["minItems"] == 1


def test_a_value_that_the_budget_has_no_room_for_is_an_error_and_no_message(make: Make) -> None:
    class Colour(BaseModel):
        """A colour."""

        name: str

    model, _ = make(calling("Colour", name="red"), budget=Budget(tokens=1_600))
    structured = model.with_structured_output(Colour)
    with pytest.raises(BudgetExceeded):
        for number in range(40):
            structured.invoke(f"Which is number {number}?")
    assert model.bill().tokens <= 1_600


def test_a_parameter_without_effect_is_refused(make: Make) -> None:
    model, _ = make("Hello.")
    with pytest.raises(UsageError, match="temperature"):
        model.invoke("Hi.", temperature=0.5)


def test_a_word_to_stop_at_cuts_the_answer(make: Make) -> None:
    model, _ = make("Thought: x\nObservation: y")
    assert model.invoke("Hi.", stop=["\nObservation"]).content == "Thought: x"


def test_a_model_that_fails_raises_its_typed_error(make: Make) -> None:
    model, _ = make(lambda call: ModelUnavailable("It is down. Start it."))
    with pytest.raises(ModelUnavailable, match="It is down"):
        model.invoke("Hi.")


def test_the_same_conversation_is_paid_for_once(make: Make) -> None:
    model, engines = make("Hello.")
    model.invoke("Hi.")
    again = model.invoke("Hi.")
    assert told(again)["reused"] and told(again)["cost_usd"] == 0
    assert len(engines["r1"].calls) == 1


# Agents


def test_a_graph_written_for_another_model_runs_its_tools(make: Make) -> None:
    model, engines = make(adding_once)
    done = agent_of(model).invoke({"messages": [HumanMessage("1 + 2?")], "steps": 0})
    kinds = [message.type for message in done["messages"]]
    assert kinds == ["human", "ai", "tool", "ai"]
    assert done["messages"][-1].content == "It is 3."
    assert done["messages"][2].content == "3"
    assert [call.node for call in model.bill().calls] == ["think", "think"]
    assert "add: Add two numbers." in engines["r1"].calls[0].instruction


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_prebuilt_agent_stops_at_its_budget_with_what_it_found(make: Make) -> None:
    model, engines = make(counting, budget=Budget(tokens=1_600))
    agent = create_react_agent(model, [add])
    done = agent.invoke({"messages": [HumanMessage("Count for ever.")]}, {"recursion_limit": 200})
    last, bill = done["messages"][-1], model.bill()
    assert last.response_metadata["finish_reason"] == "budget"
    assert told(last)["status"] == "partial" and not last.tool_calls
    assert sum(message.type == "tool" for message in done["messages"]) >= 2
    assert bill.tokens <= 1_600
    assert len(bill.calls) == len(engines["r1"].calls)
    assert sum(c.input_tokens + c.output_tokens for c in bill.calls) == bill.tokens


def test_money_bounds_an_agent_and_every_micro_dollar_is_billed(make: Make) -> None:
    model, _ = make(counting, budget=Budget(cost_usd="0.000016"))
    done = agent_of(model).invoke({"messages": [HumanMessage("Go.")]}, {"recursion_limit": 200})
    bill = model.bill()
    assert done["messages"][-1].response_metadata["finish_reason"] == "budget"
    assert Decimal(0) < bill.cost_usd <= Decimal("0.000016")
    assert sum(call.cost_usd for call in bill.calls) == bill.cost_usd
    assert bill.left.cost_usd == Decimal("0.000016") - bill.cost_usd


def test_a_budget_can_raise_instead(make: Make) -> None:
    model, _ = make(counting, budget=Budget(tokens=1_600), on_budget="raise")
    with pytest.raises(BudgetExceeded):
        agent_of(model).invoke({"messages": [HumanMessage("Go.")]}, {"recursion_limit": 200})


def test_a_budget_too_small_for_one_call_names_what_would_do(make: Make) -> None:
    model, engines = make("Hello.", budget=Budget(tokens=10))
    with pytest.raises(NoFeasiblePlan) as refusal:
        model.invoke("Hi.")
    assert int(refusal.value.smallest["tokens"]) > 10
    assert engines["r1"].calls == []


def test_runs_of_one_model_are_bounded_apart_and_together(make: Make) -> None:
    model, _ = make(counting, budget=Budget(tokens=3_000))
    first, second = model.within(Budget(tokens=1_500)), model.within(Budget(tokens=1_000_000))
    for each in (first, second):
        agent_of(each).invoke({"messages": [HumanMessage("Go.")]}, {"recursion_limit": 200})
    assert first.bill().tokens <= 1_500
    assert first.bill().tokens + second.bill().tokens == model.bill().tokens <= 3_000


def test_closing_the_model_of_one_run_leaves_the_others_at_work(make: Make) -> None:
    model, _ = make("Hello.", budget=Budget(tokens=10_000))
    first, second = model.within(Budget(tokens=2_000)), model.within(Budget(tokens=2_000))
    first.invoke("One?")
    first.close()
    assert second.invoke("Two?").content == "Hello."
    assert model.invoke("Three?").content == "Hello."
    assert len(model.bill().calls) == 3


def test_a_closed_model_of_one_run_is_forgotten_and_stays_within_what_is_left(make: Make) -> None:
    model, _ = make("Hello.", budget=Budget(tokens=10_000))
    one = model.within(Budget(tokens=2_000))
    one.invoke("One?")
    spent = one.bill().tokens
    one.close()
    assert model._allowance()._parts == {}
    one.invoke("Two?")  # its own account goes on, and so does the whole's
    assert one.bill().tokens > spent and len(model.bill().calls) == 2
    assert model.bill().tokens == one.bill().tokens
    one.close()


def test_many_threads_never_pass_the_budget(make: Make) -> None:
    model, _ = make("Hello.", budget=Budget(tokens=3_000), delay_s=0.005)
    said: list[Any] = []

    def ask(number: int) -> None:
        said.append(model.invoke(f"Question {number}?"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bill = model.bill()
    assert len(said) == 24
    assert bill.tokens <= 3_000
    finished = [m for m in said if m.response_metadata["finish_reason"] == "stop"]
    assert len(finished) == len(bill.calls) and len(finished) > 3  # refunds let others in


def test_threads_that_ask_first_at_one_moment_open_one_fleet_and_one_book(tmp_path: Path) -> None:
    model = ChatModel(fleet=Meeting().name("mini"), book=tmp_path / "book.sqlite")
    plans = at_once(lambda: model.plan("Hi."))
    model.close()
    assert [plan.nodes[0].model for plan in plans] == ["r1", "r1"]


def test_a_model_may_be_copied_and_pickled() -> None:
    model = ChatModel(budget=Budget(tokens=100))
    for same in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert same.budget == model.budget


def test_a_plan_holds_the_ceiling_of_as_many_calls_as_an_agent_may_make(make: Make) -> None:
    model, engines = make("Hello.")
    one, eight = model.plan("Hi."), model.plan("Hi.", calls=8)
    assert eight.tokens == 8 * one.tokens and eight.nodes[0].visits == 8
    assert engines["r1"].calls == []


# In a job of Fleet.run


async def test_an_agent_runs_as_a_job_within_its_budget(make: Make) -> None:
    fleet, _ = scripted_fleet(counting)
    graph = agent_of(ChatModel())
    async with fleet:
        result = await fleet.run(lambda: graph, Job(text="Count.", budget=Budget(tokens=1_600)))
    assert result.plan["unpriced"] == ["think", "tools"]
    assert result.answer is not None and result.answer.startswith("Stopped at the budget")
    assert (result.status, result.errors[0].type) == ("partial", "BudgetExceeded")
    assert 0 < result.tokens <= 1_600
    assert result.cost_usd == sum(call.cost_usd for call in result.calls) > 0


async def test_in_a_job_a_model_of_one_run_is_bounded_by_the_one_it_was_made_of(make: Make) -> None:
    whole, _ = make(counting, budget=Budget(tokens=1_600))
    graph = agent_of(whole.within(Budget(tokens=1_000_000)))
    fleet, _ = scripted_fleet(counting)
    async with fleet:
        result = await fleet.run(lambda: graph, Job(text="Count."))
    assert (result.status, result.errors[0].type) == ("partial", "BudgetExceeded")
    assert 0 < result.tokens <= 1_600


async def test_what_a_node_spends_beside_asks_is_counted_with_the_job() -> None:
    from orchestra import Context, JobState, ask

    model = ChatModel()

    async def judge(state: JobState) -> dict[str, Any]:
        said = await model.ainvoke("Judge it.")
        return {"outcomes": {"judge": {"answer": said.content}}}

    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Read.", max_tokens=16))
    graph.add_node("judge", judge)
    graph.add_edge(START, "read")
    graph.add_edge("read", "judge")
    graph.add_edge("judge", END)
    fleet, engines = scripted_fleet(lambda call: "Good.")
    async with fleet:
        result = await fleet.run(
            lambda: graph, Job(text="A red shirt.", budget=Budget(cost_usd="0.01"))
        )
    assert [call.node for call in result.calls] == ["read", "judge"]
    assert result.plan["unpriced"] == ["judge"]
    assert result.cost_usd == sum(call.cost_usd for call in result.calls)
    assert len(engines["r1"].calls) == 2


async def test_a_photo_of_a_job_reaches_an_agents_model(tmp_path: Path) -> None:
    photo = tmp_path / "red.png"
    Image.new("RGB", (32, 32), "red").save(photo)
    fleet, engines = scripted_fleet(vision=lambda call: saying("A red square."))
    async with fleet:
        result = await fleet.run(
            lambda: agent_of(ChatModel()), Job(text="What?", images=[str(photo)])
        )
    assert result.answer == "A red square."
    assert len(engines["vl"].calls[0].images) == 1


async def test_a_synchronous_call_in_the_jobs_own_loop_says_what_to_do() -> None:
    class State(TypedDict):
        messages: Annotated[list[AnyMessage], add_messages]

    async def think(state: State) -> dict[str, Any]:
        return {"messages": [ChatModel().invoke(state["messages"])]}

    graph = StateGraph(State)
    graph.add_node("think", think)
    graph.add_edge(START, "think")
    fleet, _ = scripted_fleet(lambda call: "Hello.")
    async with fleet:
        with pytest.raises(UsageError, match="ainvoke"):
            await fleet.run(lambda: graph, Job(text="Hi."))


async def test_a_jobs_deadline_holds_for_its_agents_calls() -> None:
    fleet, _ = scripted_fleet(counting, delay_s=0.3)
    async with fleet:
        result = await fleet.run(
            lambda: agent_of(ChatModel()), Job(text="Count.", budget=Budget(latency_ms=3000))
        )
    assert result.answer is not None and result.answer.startswith("Stopped at the")
    assert result.status == "partial"
    assert len(result.calls) >= 1


async def test_an_agent_that_used_up_its_part_of_a_job_leaves_the_others_theirs() -> None:
    class Notes(TypedDict):
        notes: Annotated[list[str], operator.add]

    small, large = ChatModel(budget=Budget(tokens=120), max_tokens=32), ChatModel()

    async def ask_both(state: Notes) -> dict[str, Any]:
        said = [(await small.ainvoke(f"{word}?")).text for word in ("one", "two", "three", "four")]
        return {"notes": [*said, (await large.ainvoke("Five?")).text]}

    graph = StateGraph(Notes)
    graph.add_node("both", ask_both)
    graph.add_edge(START, "both")
    fleet, _ = scripted_fleet(lambda call: "word " * 20)
    async with fleet:
        result = await fleet.run(graph, Job(text="Go."))
    assert result.status == "partial"
    assert [error.type for error in result.errors] == ["BudgetExceeded"]
    assert result.state["notes"][-1].startswith("word")


def test_the_opened_fleet_and_book_are_closed(tmp_path: Path) -> None:
    model = ChatModel(fleet="mini", book=tmp_path / "book.sqlite")
    assert model.plan("Hi.").nodes[0].model == "r1"
    model.close()
    Fleet.open("mini", book=tmp_path / "book.sqlite").book.close()  # type: ignore[union-attr]


async def test_cancelling_the_wait_stops_the_call(make: Make) -> None:
    model, _ = make("Hello.", delay_s=5.0)
    task = asyncio.ensure_future(model.ainvoke("Hi."))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.bill().left == Budget()
