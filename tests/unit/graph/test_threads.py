"""Runs that ask a person wait, and go on in any process with their budget, deadline and photos."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send, interrupt
from PIL import Image

from orchestra import Budget, Context, Fleet, Job, JobState, Result, ask
from orchestra.book.book import Book
from orchestra.core.call import Call, Reply, Usage
from orchestra.core.errors import InvalidGraph, UsageError
from orchestra.graph.threads import read_thread
from tests.scripted import scripted_fleet

SHIRT = {"type": "object", "properties": {"colour": {"type": "string"}}}


class Talk(TypedDict):
    said: Annotated[list[Any], operator.add]


def said(call: Call) -> dict[str, Any]:
    return {"colour": "red"}


def asking(checkpointer: Any = None, *, schema: type = Talk) -> CompiledStateGraph[Any, Any, Any]:
    """Look, ask a person, and look again."""

    def person(state: Any) -> dict[str, Any]:
        return {"said": [interrupt({"is it": "red?"})]}

    graph = StateGraph(schema, context_schema=Context)
    graph.add_node("look", ask("vision", "Look.", schema=SHIRT))
    graph.add_node("person", person)
    graph.add_node("again", ask("vision", "Look again.", schema=SHIRT))
    graph.add_edge(START, "look")
    graph.add_edge("look", "person")
    graph.add_edge("person", "again")
    return graph.compile(checkpointer=checkpointer)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "shirt.png"
    Image.new("RGB", (64, 64), "red").save(path)
    return path


def fleet_on(book: Path, engine_answers: Any = said) -> tuple[Fleet, dict[str, Any]]:
    """A scripted fleet that spends into the book at this path."""
    scripted, engines = scripted_fleet(engine_answers, engine_answers)
    return Fleet.open("mini", book=book, clients=scripted._clients), engines


async def test_a_question_ends_the_run_as_waiting_and_the_answer_ends_it_as_complete(
    photo: Path,
) -> None:
    fleet, engines = scripted_fleet(said, said)
    async with fleet:
        graph = asking()
        first = await fleet.run(graph, Job(images=[photo]))
        assert (first.status, first.questions[0].value) == ("waiting", {"is it": "red?"})
        assert first.thread_id is not None
        assert await fleet.waiting() == {first.thread_id: "waiting"}
        done = await fleet.resume(graph, first.thread_id, "yes, red")
        assert (done.status, done.state["said"]) == ("complete", ["yes, red"])
        assert [call.node for call in done.calls] == ["look", "again"]
        assert await fleet.waiting() == {}
        with pytest.raises(UsageError, match="waiting or was left"):
            await fleet.resume(graph, first.thread_id, "once more")
    assert sum(len(engine.calls) for engine in engines.values()) == 2


@pytest.mark.parametrize("saver", [None, "memory"])
async def test_another_process_goes_on_with_the_same_account_and_photos(
    tmp_path: Path, photo: Path, saver: str | None
) -> None:
    book = tmp_path / "book.sqlite"
    checkpointer = InMemorySaver() if saver else None
    fleet, _ = fleet_on(book)
    async with fleet:
        plan = fleet.plan(asking(), Job(images=[photo]))
        job = Job(images=[photo], budget=Budget(tokens=plan.tokens, latency_ms=60_000))
        first = await fleet.run(asking(checkpointer), job, thread_id="shirt-7")
    photo.unlink()
    fleet, _ = fleet_on(book)
    async with fleet:
        assert await fleet.waiting() == {"shirt-7": "waiting"}
        done = await fleet.resume(asking(checkpointer), "shirt-7", "yes")
    assert (first.thread_id, done.thread_id) == ("shirt-7", "shirt-7")
    assert (done.status, done.state["said"]) == ("complete", ["yes"])
    assert first.tokens < done.tokens <= plan.tokens
    with Book.open(book) as kept:
        accounts = [place for place in kept.places().values() if "unplanned" not in place.id]
        assert len(accounts) == 1
        assert kept.spent(accounts[0].id).tokens == done.tokens


async def test_a_saver_of_the_users_own_in_a_file_goes_on_too(tmp_path: Path, photo: Path) -> None:
    book, file = tmp_path / "book.sqlite", str(tmp_path / "threads.sqlite")
    fleet, _ = fleet_on(book)
    async with fleet, AsyncSqliteSaver.from_conn_string(file) as saver:
        await fleet.run(asking(saver), Job(images=[photo]), thread_id="a")
    fleet, _ = fleet_on(book)
    async with fleet, AsyncSqliteSaver.from_conn_string(file) as saver:
        done = await fleet.resume(asking(saver), "a", "yes")
        state = await asking(saver).aget_state({"configurable": {"thread_id": "a"}})
    assert (done.status, done.state["said"]) == ("complete", ["yes"])
    assert state.values["said"] == ["yes"] and state.next == ()


async def test_a_graph_with_a_checkpointer_needs_no_thread_id(photo: Path) -> None:
    fleet, _ = scripted_fleet(said, said)
    async with fleet:
        graph = asking(InMemorySaver())
        first = await fleet.run(graph, Job(images=[photo]))
        done = await fleet.resume(graph, first.thread_id or "", "yes")
    assert done.status == "complete"


async def test_a_resumed_run_never_has_its_budget_anew(tmp_path: Path, photo: Path) -> None:
    def greedy(call: Call) -> Reply:
        return Reply("{}", {"colour": "red"}, usage=Usage(input_tokens=60, output_tokens=9))

    book = tmp_path / "book.sqlite"
    fleet, _ = fleet_on(book, greedy)
    async with fleet:
        whole = fleet.plan(asking(), Job(images=[photo]))
        job = Job(images=[photo], budget=Budget(tokens=whole.tokens))
        first = await fleet.run(asking(), job, thread_id="a")
    fleet, _ = fleet_on(book, greedy)
    async with fleet:
        done = await fleet.resume(asking(), "a", "yes")
    assert (first.tokens, done.tokens) == (69, 138)
    with Book.open(book) as kept:
        (place,) = [found for found in kept.places().values() if "unplanned" not in found.id]
        (limit,) = kept._read("SELECT limit_tokens FROM accounts WHERE id = ?", (place.id,))[0]
    assert limit == whole.tokens


async def test_the_deadline_counts_the_work_and_not_the_wait(photo: Path) -> None:
    fleet, _ = scripted_fleet(said, said)
    async with fleet:
        graph = asking()
        job = Job(images=[photo], budget=Budget(latency_ms=60_000))
        first = await fleet.run(graph, job, thread_id="a")
        record, intake = await read_thread(fleet, "a")
    assert first.status == "waiting"
    assert 0 < record.used_s < 60 and intake.seconds == record.used_s


async def test_a_breakpoint_of_the_graph_waits_and_goes_on_without_an_answer(photo: Path) -> None:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", "Look.", schema=SHIRT))
    graph.add_node("again", ask("vision", "Look again.", schema=SHIRT))
    graph.add_edge(START, "look")
    graph.add_edge("look", "again")
    stopping = graph.compile(interrupt_before=["again"])
    fleet, _ = scripted_fleet(said, said)
    async with fleet:
        first = await fleet.run(stopping, Job(images=[photo]))
        assert (first.status, first.questions[0].node) == ("waiting", "again")
        done = await fleet.resume(stopping, first.thread_id or "")
    assert (done.status, len(done.calls)) == ("complete", 2)


async def test_several_questions_are_answered_by_their_ids() -> None:
    def person(state: Any) -> dict[str, Any]:
        return {"said": [(state["who"], interrupt(state["who"]))]}

    graph = StateGraph(Talk)
    graph.add_node("person", person)
    graph.add_conditional_edges(
        START, lambda state: [Send("person", {"who": who}) for who in ("a", "b")], ["person"]
    )
    fleet, _ = scripted_fleet(said)
    async with fleet:
        compiled = graph.compile()
        first = await fleet.run(compiled, Job(text="Hi."))
        answers = {question.id: f"{question.value}!" for question in first.questions}
        done = await fleet.resume(compiled, first.thread_id or "", answers)
    assert sorted(done.state["said"]) == [("a", "a!"), ("b", "b!")]


async def test_a_run_that_asks_twice_waits_twice(photo: Path) -> None:
    def person(state: Any) -> dict[str, Any]:
        return {"said": [interrupt("first?"), interrupt("second?")]}

    graph = StateGraph(Talk)
    graph.add_node("person", person)
    graph.add_edge(START, "person")
    compiled = graph.compile()
    fleet, _ = scripted_fleet(said)
    async with fleet:
        first = await fleet.run(compiled, Job(text="Hi."), thread_id="t")
        second = await fleet.resume(compiled, "t", 1)
        done = await fleet.resume(compiled, "t", 2)
    assert [each.questions[0].value for each in (first, second)] == ["first?", "second?"]
    assert done.state["said"] == [1, 2]


async def test_a_run_whose_process_died_goes_on_from_the_beginning_at_no_new_cost(
    tmp_path: Path, photo: Path
) -> None:
    class Died(BaseException):
        pass

    deaths: Iterator[bool] = iter([True, False])

    def person(state: Any) -> dict[str, Any]:
        if next(deaths):
            raise Died
        return {"said": ["there"]}

    def graph() -> CompiledStateGraph[Any, Any, Any]:
        graph = StateGraph(Talk, context_schema=Context)
        graph.add_node("look", ask("vision", "Look.", schema=SHIRT))
        graph.add_node("person", person)
        graph.add_edge(START, "look")
        graph.add_edge("look", "person")
        return graph.compile()

    book = tmp_path / "book.sqlite"
    fleet, engines = fleet_on(book)
    with pytest.raises(Died):
        async with fleet:
            await fleet.run(graph(), Job(images=[photo]), thread_id="a")
    asked = sum(len(engine.calls) for engine in engines.values())
    fleet, engines = fleet_on(book)
    async with fleet:
        assert await fleet.waiting() == {"a": "left"}
        done = await fleet.resume(graph(), "a")
    assert (asked, sum(len(engine.calls) for engine in engines.values())) == (1, 0)
    assert (done.status, done.state["said"]) == ("complete", ["there"])
    assert done.tokens > 0


async def test_a_thread_takes_its_next_job(photo: Path) -> None:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Read.", schema=SHIRT))
    graph.add_edge(START, "read")
    compiled = graph.compile(checkpointer=InMemorySaver())

    def first_word(call: Call) -> dict[str, Any]:
        return {"colour": (call.text or "").split()[0]}

    fleet, _ = scripted_fleet(first_word)
    async with fleet:
        one = await fleet.run(compiled, Job(text="red shirt"), thread_id="a")
        two = await fleet.run(compiled, Job(text="blue shirt"), thread_id="a")
    assert (one.fields["colour"].value, two.fields["colour"].value) == ("red", "blue")


@pytest.mark.parametrize("is_kept", [True, False])
async def test_a_call_that_was_cut_off_is_made_again_though_its_worst_case_is_presumed(
    tmp_path: Path, photo: Path, is_kept: bool
) -> None:
    scripted, engines = scripted_fleet(said, said, delay_s=0.3)
    book = tmp_path / "book.sqlite" if is_kept else None
    async with Fleet.open("mini", book=book, clients=scripted._clients) as fleet:
        under_way = asyncio.create_task(fleet.run(asking(), Job(images=[photo]), thread_id="a"))
        while not engines["vl"].calls:
            await asyncio.sleep(0.01)
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        first = await fleet.resume(asking(), "a")
        done = await fleet.resume(asking(), "a", "yes")
        ceiling = done.plan["total"]["tokens"]
    assert (first.status, done.status, done.errors) == ("waiting", "complete", ())
    assert first.tokens > 0 and done.tokens < 2 * ceiling


async def test_a_budget_that_a_cut_off_call_used_up_is_not_had_anew(photo: Path) -> None:
    fleet, engines = scripted_fleet(said, said, delay_s=0.3)
    async with fleet:
        ceiling = fleet.plan(asking(), Job(images=[photo])).tokens
        job = Job(images=[photo], budget=Budget(tokens=ceiling))
        under_way = asyncio.create_task(fleet.run(asking(), job, thread_id="a"))
        while not engines["vl"].calls:
            await asyncio.sleep(0.01)
        under_way.cancel()
        with pytest.raises(asyncio.CancelledError):
            await under_way
        await fleet.resume(asking(), "a")
        done = await fleet.resume(asking(), "a", "yes")
    assert done.status == "partial" and done.tokens <= ceiling
    assert {error.type for error in done.errors} == {"BudgetExceeded"}


async def test_a_question_in_what_renders_an_ask_is_asked_and_answered() -> None:
    """It began again from its first node, and met that node's bound of one visit."""

    def asked(state: Any) -> str:
        return f"A {interrupt('what colour?')} shirt"

    graph = StateGraph(Talk, context_schema=Context)
    graph.add_node("look", ask("text", "Look.", schema=SHIRT))
    graph.add_node("say", ask("text", "Say.", data=asked, schema=SHIRT))
    graph.add_edge(START, "look")
    graph.add_edge("look", "say")
    fleet, _ = scripted_fleet(said)
    async with fleet:
        left = await fleet.run(graph, Job(text="A red shirt"))
        assert left.status == "waiting"
        done = await fleet.resume(graph, str(left.thread_id), "red")
    assert (done.status, [call.data for call in done.calls]) == (
        "complete",
        ["A red shirt", "A red shirt"],
    )


@pytest.mark.parametrize("has_saver", [False, True])
async def test_the_thread_of_a_config_names_the_run_as_langgraph_users_give_it(
    has_saver: bool, photo: Path
) -> None:
    graph = asking(InMemorySaver() if has_saver else None)
    config: RunnableConfig = {"configurable": {"thread_id": "shirt"}}
    fleet, _ = scripted_fleet(said, said)
    async with fleet:
        left = await fleet.run(graph, Job(images=(str(photo),)), config=config)
        assert left.thread_id == "shirt"
        done = await fleet.resume(graph, "shirt", "yes")
        with pytest.raises(UsageError, match="Name it once"):
            job = Job(images=(str(photo),))
            await fleet.run(graph, job, thread_id="hat", config=config)
    assert (done.status, done.state["said"], len(done.calls)) == ("complete", ["yes"], 2)


class Loose(TypedDict, total=False):
    held: Any


async def test_a_state_that_cannot_be_written_runs_and_only_a_wait_refuses_it() -> None:
    def hold(state: Any) -> dict[str, Any]:
        return {"held": object()}

    def person(state: Any) -> None:
        interrupt("red?")

    graph = StateGraph(Loose)
    graph.add_node("hold", hold)
    graph.add_edge(START, "hold")
    waiting = StateGraph(Loose)
    waiting.add_node("hold", hold)
    waiting.add_node("person", person)
    waiting.add_edge(START, "hold")
    waiting.add_edge("hold", "person")
    fleet, _ = scripted_fleet()
    async with fleet:
        done = await fleet.run(graph, Job(text="red"))
        with pytest.raises(InvalidGraph, match="cannot be kept until the answer"):
            await fleet.run(waiting, Job(text="red"))
    assert done.status == "complete"
    assert type(done.state["held"]) is object
    assert Result.model_validate_json(done.model_dump_json()).status == "complete"


async def test_an_answer_is_not_lost_to_a_graph_whose_node_that_asked_is_gone() -> None:
    """The run ended as `complete`, and nobody had heard the answer."""

    def asking_at(node: str) -> StateGraph[Talk]:
        graph = StateGraph(Talk)
        graph.add_node(node, lambda state: {"said": [interrupt("red?")]})
        graph.add_edge(START, node)
        return graph

    fleet, _ = scripted_fleet()
    async with fleet:
        await fleet.run(asking_at("person"), Job(text="red"), thread_id="t")
        with pytest.raises(InvalidGraph, match="asks 'red\\?' at a node that this graph has not"):
            await fleet.resume(asking_at("human"), "t", "yes")
        done = await fleet.resume(asking_at("person"), "t", "yes")
    assert (done.status, done.state["said"]) == ("complete", ["yes"])


@pytest.mark.parametrize("has_saver", [False, True])
async def test_a_failure_beside_a_question_or_before_it_stands_in_the_result_of_the_answer(
    has_saver: bool,
) -> None:
    """Beside it, the resumed run was a raw TypeError; before it, `complete` without an error."""

    def bad(state: Any) -> None:
        raise ValueError("boom")

    def person(state: Any) -> dict[str, Any]:
        return {"said": [interrupt("red?")]}

    def nothing(state: Any) -> dict[str, Any]:
        return {}

    for edges in ([(START, "look"), (START, "bad")], [(START, "bad"), (START, "look")]):
        for is_before in (False, True):
            graph = StateGraph(Talk, context_schema=Context)
            graph.add_node("look", ask("text", "Look.", schema=SHIRT))
            graph.add_node("bad", bad)
            graph.add_node("step", nothing)
            graph.add_node("person", person)
            for start, end in edges:
                graph.add_edge(start, end)
            graph.add_edge(START, "step" if is_before else "person")
            if is_before:
                graph.add_edge("step", "person")
            compiled = graph.compile(checkpointer=InMemorySaver() if has_saver else None)
            fleet, _ = scripted_fleet(said)
            async with fleet:
                left = await fleet.run(compiled, Job(text="red"), thread_id="t")
                done = await fleet.resume(compiled, "t", "yes")
            assert (left.status, done.status) == ("waiting", "partial")
            assert [error.stage for error in done.errors] == ["bad"]
            assert done.state["said"] == ["yes"]


async def test_a_fleet_without_the_runs_models_does_not_go_on_with_others(
    tmp_path: Path, photo: Path
) -> None:
    book = tmp_path / "book.sqlite"
    fleet, _ = fleet_on(book)
    async with fleet:
        await fleet.run(asking(), Job(images=[photo]), thread_id="a")
    fleet, engines = fleet_on(book)
    async with fleet:
        fewer = tuple(card for card in fleet.file.models if card.name != "vl")
        fleet.file = fleet.file.model_copy(update={"models": fewer})
        with pytest.raises(UsageError, match=r"planned with the model 'vl'.*began with"):
            await fleet.resume(asking(), "a", "yes")
        assert await fleet.waiting() == {"a": "waiting"}
    assert sum(len(engine.calls) for engine in engines.values()) == 0
