"""Deadlines: inherited by later calls, kept by branches apart, and the end of a call's work."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from PIL import Image
from pydantic import BaseModel

from orchestra import Budget, Context, Fleet, Job, JobState, ask, merge
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, OnPiece, Reply
from orchestra.core.errors import Cancelled, TextTooLong
from orchestra.testing import ScriptedEngine
from tests.scripted import scripted_fleet

PATIENCE_S = 20.0  # what never comes is given up after this


class Facts(BaseModel):
    colour: str | None


class TellingClient:
    """A model that notes how much time each call was left, and takes some of it."""

    def __init__(self, takes_s: float) -> None:
        self.takes_s = takes_s
        self.left: list[float | None] = []

    async def prepare(self) -> None:
        return

    async def complete(
        self, call: Call, *, left_s: float | None = None, on_piece: OnPiece | None = None
    ) -> Reply:
        self.left.append(left_s)
        await asyncio.sleep(self.takes_s)
        return Reply('{"colour":null}', {"colour": None})

    async def count_tokens(self, call: Call) -> int:
        return 10


def chain() -> StateGraph[JobState, Context]:
    """read, then again."""
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Extract.", schema=Facts))
    graph.add_node("again", ask("text", "Extract once more.", schema=Facts))
    graph.add_edge(START, "read")
    graph.add_edge("read", "again")
    graph.add_edge("again", END)
    return graph


def told(takes_s: float) -> tuple[Fleet, TellingClient]:
    client = TellingClient(takes_s)
    names = ("r1", "v2", "v3")
    return Fleet.open("mini", clients=dict.fromkeys(names, client)), client


async def test_a_later_call_inherits_what_the_earlier_one_left_of_the_deadline() -> None:
    fleet, client = told(0.2)
    async with fleet:
        await fleet.run(chain, Job(text="red", budget=Budget(latency_ms=5000)))
    first, second = client.left
    assert first is not None and second is not None
    assert first <= 5.0
    assert second <= first - 0.2


async def test_without_a_deadline_no_call_is_given_one() -> None:
    fleet, client = told(0)
    async with fleet:
        await fleet.run(chain, Job(text="red"))
    assert client.left == [None, None]


async def test_a_call_for_which_no_time_is_left_is_not_made() -> None:
    fleet, client = told(PATIENCE_S)
    async with fleet:
        result = await fleet.run(chain, Job(text="red", budget=Budget(latency_ms=1500)))
    assert len(client.left) == 1
    assert [error.type for error in result.errors] == ["DeadlineExceeded", "DeadlineExceeded"]
    assert result.status == "failed"


def branches() -> StateGraph[JobState, Context]:
    """look beside a branch of two calls, read and check: such a branch is a subgraph."""
    branch = StateGraph(JobState, context_schema=Context)
    branch.add_node("read", ask("text", "Extract.", schema=Facts))
    branch.add_node("check", ask("text", "Extract once more.", schema=Facts))
    branch.add_edge(START, "read")
    branch.add_edge("read", "check")
    branch.add_edge("check", END)
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", "Describe.", schema=Facts))
    graph.add_node("branch", branch.compile())
    graph.add_node("merge", merge("look", "check"), defer=True)
    for name in ("look", "branch"):
        graph.add_edge(START, name)
        graph.add_edge(name, "merge")
    graph.add_edge("merge", END)
    return graph


@pytest.fixture
def photo(tmp_path: Path) -> str:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "red.png")
    return str(tmp_path / "red.png")


async def test_a_slow_branch_does_not_hold_a_fast_one(photo: str) -> None:
    checked = threading.Event()

    def read(call: Call) -> dict[str, Any]:
        if "once more" in call.instruction:
            checked.set()
        return {"colour": "red"}

    def look(call: Call) -> dict[str, Any]:
        """The photo is looked at until the other branch has made its second call."""
        return {"colour": "red" if checked.wait(PATIENCE_S) else "held"}

    fleet, _ = scripted_fleet(read, look)
    async with fleet:
        result = await fleet.run(branches, Job(text="A red cup", images=[photo]))
    assert result.fields["colour"].value == "red"
    assert not result.fields["colour"].contradiction


async def test_what_is_done_by_the_deadline_is_given_and_what_is_not_is_named(photo: str) -> None:
    fleet, engines = scripted_fleet(lambda call: {"colour": "red"}, lambda call: {"colour": None})
    engines["vl"].delay_s = engines["v3"].delay_s = 60
    async with fleet:
        job = Job(text="A red cup", images=[photo], budget=Budget(latency_ms=3000))
        result = await fleet.run(branches, job)
    assert (result.status, result.fields["colour"].value) == ("partial", "red")
    assert [(error.stage, error.type) for error in result.errors] == [("look", "DeadlineExceeded")]


@dataclass
class Watched(ScriptedEngine):
    """Notes what came of each row."""

    made: list[str] = field(default_factory=list)

    def generate(self, *arguments: Any, **options: Any) -> Any:
        answers = super().generate(*arguments, **options)
        self.made += [type(answer).__name__ for answer in answers]
        return answers


def watched_fleet() -> tuple[Fleet, Watched]:
    """A fleet whose models that see are one slow engine."""
    slow = Watched(lambda call: {"colour": None}, delay_s=10 * PATIENCE_S)
    clients = {name: InProcessClient(name, lambda: slow) for name in ("vl", "v3")}
    return Fleet.open("mini", clients=dict(clients)), slow


async def test_a_call_whose_deadline_passed_is_stopped_and_the_model_is_free_again(
    photo: str,
) -> None:
    fleet, slow = watched_fleet()
    async with fleet:
        job = Job(images=[photo], budget=Budget(latency_ms=1500))
        late = await fleet.run(branches, job)
        slow.delay_s = 0
        async with asyncio.timeout(PATIENCE_S):  # else the first call is still being decoded
            result = await fleet.run(branches, Job(images=[photo]))
    assert late.errors[0].type == "DeadlineExceeded"
    assert slow.made == [Cancelled.__name__, Reply.__name__]
    assert not result.errors


async def test_cancelling_a_job_stops_its_calls(photo: str) -> None:
    fleet, slow = watched_fleet()
    async with fleet:
        running = asyncio.create_task(fleet.run(branches, Job(images=[photo])))
        async with asyncio.timeout(PATIENCE_S):
            while not slow.calls:
                await asyncio.sleep(0.01)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            while not slow.made:
                await asyncio.sleep(0.01)
    assert slow.made == [Cancelled.__name__]


class CountingClient(TellingClient):
    """A model that takes its time to count, and notes how much it was shown."""

    def __init__(self, counts_s: float = 0.0) -> None:
        super().__init__(0)
        self.counts_s = counts_s
        self.shown: list[int] = []
        self.read: list[int] = []

    async def complete(
        self, call: Call, *, left_s: float | None = None, on_piece: OnPiece | None = None
    ) -> Reply:
        self.read.append(len(call.text or ""))
        return await super().complete(call, left_s=left_s)

    async def count_tokens(self, call: Call) -> int:
        self.shown.append(len(call.text or ""))
        await asyncio.sleep(self.counts_s)
        return len(call.text or "") // 4


async def run_counting(client: CountingClient, job: Job, graph: Any = chain) -> Any:
    async with Fleet.open("mini", clients=dict.fromkeys(("r1", "v2", "v3"), client)) as fleet:
        return await fleet.run(graph, job)


async def test_a_tokenizer_is_shown_no_more_than_a_context_could_hold() -> None:
    client = CountingClient()
    result = await run_counting(client, Job(text="red shirt " * 100_000))
    assert client.shown and max(client.shown) <= 16 * 1024  # the context of all three
    assert all(0 < read <= 4 * 1024 for read in client.read)
    (note,) = {note for note in result.notes if "characters of the text" in note}
    assert note.startswith("the model read the first ") and "of 1000000 characters" in note


async def test_counting_tokens_ends_at_the_deadline() -> None:
    client = CountingClient(counts_s=30)
    job = Job(text="red shirt " * 10_000, budget=Budget(latency_ms=200))
    result = await run_counting(client, job)
    assert {error.type for error in result.errors} == {"DeadlineExceeded"}
    assert "counted the tokens" in result.errors[0].message and not client.read


async def test_a_question_that_no_context_holds_is_not_tokenised() -> None:
    client = CountingClient()
    asked = ask("text", "Answer.", schema=Facts, question=True)
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("answer", asked)
    graph.add_edge(START, "answer")
    result = await run_counting(client, Job(text="why " * 100_000), graph)
    (error,) = result.errors
    assert error.type == "PromptTooLong" and "400,000 bytes" in error.message
    assert not client.shown and not client.read


async def test_a_text_that_nothing_reads_is_refused_at_the_door() -> None:
    client = CountingClient()
    with pytest.raises(TextTooLong, match=r"5,000,000 bytes.*limit is 4,194,304.*part that matt"):
        await run_counting(client, Job(text="x" * 5_000_000))
