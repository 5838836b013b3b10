"""One job through a graph with scripted models: fields, money, deadlines and failures."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest
from langgraph.graph import END, START, StateGraph
from PIL import Image
from pydantic import BaseModel

from graphs.answer import build as answer
from orchestra import Budget, Context, Job, JobState, ask, merge
from orchestra.app import Fleet
from orchestra.book.book import Book
from orchestra.book.ledger import LocalLedger
from orchestra.book.memory import MemoryLedger
from orchestra.book.messages import LedgerMessage, SettleCall
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Reply
from orchestra.core.errors import AnswerTruncated, DiskFull, EmptyJob, InvalidFleet, NoFeasiblePlan
from orchestra.testing import ScriptedEngine
from tests.scripted import scripted_fleet

T = TypeVar("T")


class Facts(BaseModel):
    category: str | None
    colour: str | None


def build() -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", "Describe the product shown.", schema=Facts))
    graph.add_node("read", ask("text", "Extract what the text states.", schema=Facts))
    graph.add_node("merge", merge("look", "read", prefer="image"), defer=True)
    graph.add_edge(START, "look")
    graph.add_edge(START, "read")
    graph.add_edge("look", "merge")
    graph.add_edge("read", "merge")
    graph.add_edge("merge", END)
    return graph


def facts(category: str | None, colour: str | None) -> Any:
    return lambda call: {"category": category, "colour": colour}


@pytest.fixture
def shirt(tmp_path: Path) -> str:
    path = tmp_path / "shirt.png"
    Image.new("RGB", (40, 40), "red").save(path)
    return str(path)


async def test_agreeing_readings_come_from_both_with_both_kinds_of_evidence(shirt: str) -> None:
    fleet, _ = scripted_fleet(facts("shirt", "red"), facts("shirt", "red"))
    async with fleet:
        result = await fleet.run(build, Job(text="A red cotton shirt", images=[shirt]))
    colour = result.fields["colour"]
    assert (result.status, colour.value, colour.source) == ("complete", "red", "both")
    assert {e.kind for e in colour.evidence} == {"text", "image"}
    assert next(e for e in colour.evidence if e.kind == "text").start == 2


async def test_a_contradiction_is_kept_and_sent_to_review(shirt: str) -> None:
    fleet, _ = scripted_fleet(facts("shirt", "blue"), facts("shirt", "red"))
    async with fleet:
        result = await fleet.run(build, Job(text="A blue shirt", images=[shirt]))
    colour = result.fields["colour"]
    assert result.status == "review"
    assert colour.contradiction
    assert (colour.value, colour.alternatives[0].value) == ("red", "blue")


async def test_what_the_text_does_not_say_is_not_believed() -> None:
    fleet, _ = scripted_fleet(facts("shirt", "green"))
    async with fleet:
        result = await fleet.run(build, Job(text="A blue shirt"))
    assert not result.fields["colour"].answered
    assert "green" in (result.fields["colour"].note or "")


async def test_the_text_model_never_gets_the_photo(shirt: str) -> None:
    fleet, engines = scripted_fleet(facts("shirt", None), facts("shirt", None))
    async with fleet:
        await fleet.run(build, Job(text="shirt", images=[shirt]))
    assert [len(call.images) for call in engines["r1"].calls] == [0]
    assert [len(call.images) for call in engines["vl"].calls] == [1]


async def test_a_bad_photo_leaves_the_text_fields() -> None:
    fleet, engines = scripted_fleet(facts("shirt", "red"))
    async with fleet:
        result = await fleet.run(build, Job(text="red shirt", images=["nowhere.jpg"]))
    assert result.status == "partial"
    assert [(e.stage, e.type) for e in result.errors] == [("images", "ImageNotFound")]
    assert result.fields["colour"].value == "red"
    assert not engines["vl"].calls


async def test_only_a_bad_photo_fails_with_its_error() -> None:
    fleet, _ = scripted_fleet()
    async with fleet:
        result = await fleet.run(build, Job(images=["nowhere.jpg"]))
    assert (result.status, result.errors[0].type) == ("failed", "ImageNotFound")


async def test_an_empty_job_is_refused() -> None:
    fleet, _ = scripted_fleet()
    async with fleet:
        with pytest.raises(EmptyJob):
            await fleet.run(build, Job(text="  "))


async def test_the_book_holds_what_the_result_says_it_cost(shirt: str) -> None:
    fleet, _ = scripted_fleet(facts("shirt", "red"), facts("shirt", "red"))
    async with fleet:
        result = await fleet.run(build, Job(text="red shirt", images=[shirt]))
        entries = [e for node in ("look", "read") for e in result.calls if e.node == node]
        assert result.cost_usd == sum((e.cost_usd for e in entries), Decimal(0)) > 0
        assert result.cost_usd <= Decimal(str(result.plan["total"]["cost_usd"]))


async def test_a_budget_that_is_too_small_spends_nothing() -> None:
    fleet, engines = scripted_fleet()
    async with fleet:
        with pytest.raises(NoFeasiblePlan):
            await fleet.run(build, Job(text="red shirt", budget=Budget(cost_usd=0)))
    assert not engines["r1"].calls


async def test_an_identical_photo_is_looked_at_once(shirt: str) -> None:
    fleet, engines = scripted_fleet(facts("shirt", None), facts("shirt", "red"))
    async with fleet:
        first, second = await asyncio.gather(
            fleet.run(build, Job(text="shirt one", images=[shirt])),
            fleet.run(build, Job(text="shirt two", images=[shirt])),
        )
    assert len(engines["vl"].calls) == 1
    assert [first.reused, second.reused].count(True) == 1
    assert first.fields["colour"].value == second.fields["colour"].value == "red"


async def test_a_passed_deadline_gives_a_partial_result(shirt: str) -> None:
    def slow(call: Call) -> dict[str, Any]:
        return {"category": "shirt", "colour": "red"}

    fleet, engines = scripted_fleet(facts("shirt", "red"), slow)
    engines["vl"].delay_s = 30
    async with fleet:
        job = Job(text="red shirt", images=[shirt], budget=Budget(latency_ms=700))
        result = await fleet.run(build, job)
    assert result.status == "partial"
    assert [(e.stage, e.type) for e in result.errors] == [("look", "DeadlineExceeded")]
    assert result.fields["colour"].value == "red"


async def test_one_failing_model_leaves_the_other_ones_fields(shirt: str) -> None:
    def truncated(call: Call) -> Any:
        raise AnswerTruncated("cut")

    fleet, _ = scripted_fleet(facts("shirt", "red"), truncated)
    async with fleet:
        result = await fleet.run(build, Job(text="red shirt", images=[shirt]))
    assert (result.status, result.errors[0].type) == ("partial", "AnswerTruncated")


async def test_a_fleet_for_planning_only_says_so() -> None:
    async with Fleet.open("article") as fleet:
        with pytest.raises(InvalidFleet, match="planning only"):
            fleet.client("r1")
        with pytest.raises(InvalidFleet, match="planning only"):
            await fleet.run(answer, Job(text="Is it red?"))


async def test_loading_a_model_does_not_count_against_the_deadline() -> None:
    def slow_to_load() -> ScriptedEngine:
        time.sleep(0.6)
        return ScriptedEngine(facts("shirt", "red"))

    async with Fleet.open("mini", clients={"r1": InProcessClient("r1", slow_to_load)}) as fleet:
        result = await fleet.run(build, Job(text="red shirt", budget=Budget(latency_ms=500)))
    assert (result.status, result.errors) == ("complete", ())


async def test_a_graph_runs_without_a_prepared_run(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, _ = scripted_fleet(facts("shirt", "red"))
    monkeypatch.setitem(__import__("orchestra.fleet.opened", fromlist=["x"])._SHARED, "mini", fleet)
    state = await build().compile().ainvoke({"job": Job(text="red shirt").model_dump(mode="json")})
    assert state["fields"]["colour"]["value"] == "red"
    await fleet.close()


async def test_state_and_result_are_json(shirt: str) -> None:
    fleet, _ = scripted_fleet(facts("shirt", "red"), facts("shirt", "red"))
    async with fleet:
        result = await fleet.run(build, Job(text="red shirt", images=[shirt]))
    assert type(result).model_validate_json(result.model_dump_json()) == result


async def test_each_visit_of_a_loop_is_in_the_result_and_paid() -> None:
    def again(state: JobState) -> str:
        return "read" if len(state["job"]["text"]) > len(seen) * 10 else END

    seen: list[Call] = []

    def counting(call: Call) -> dict[str, Any]:
        seen.append(call)
        return {"category": "shirt", "colour": None}

    def visits(state: JobState) -> dict[str, Any]:
        text = state["job"]["text"] + "."
        return {"job": state["job"] | {"text": text}}

    def looping() -> StateGraph[JobState, Context]:
        graph = StateGraph(JobState, context_schema=Context)
        graph.add_node("read", ask("text", "Extract.", schema=Facts, max_visits=3))
        graph.add_node("longer", visits)
        graph.add_edge(START, "read")
        graph.add_edge("read", "longer")
        graph.add_conditional_edges("longer", again, ["read", END])
        return graph

    fleet, _ = scripted_fleet(counting)
    async with fleet:
        result = await fleet.run(looping, Job(text="a shirt, one"))
    assert len(seen) == len(result.calls) == 2
    assert result.plan["nodes"][0]["visits"] == 3
    assert result.plan["unpriced"] == ["longer"]
    assert result.cost_usd == sum(call.cost_usd for call in result.calls)


class FullAtSettling(MemoryLedger):
    """A ledger whose disk is full by the time that a call is paid for."""

    async def send(self, message: LedgerMessage[T]) -> T:
        if isinstance(message, SettleCall):
            raise DiskFull("No room. Free space.")
        return await super().send(message)


async def test_a_full_disk_ends_the_run_and_is_no_value() -> None:
    fleet, _ = scripted_fleet(facts("shirt", "red"))
    scoped = fleet.scoped(FullAtSettling(), fleet.images)
    with pytest.raises(DiskFull):
        await scoped.run(build, Job(text="red shirt"))
    await fleet.close()


async def test_what_modalities_weighed_is_recorded_with_the_call_and_kept_in_the_journal(
    tmp_path: Path,
) -> None:
    weights = {"text": 0.75, "image": 0.25}

    def weighing(call: Call) -> Reply:
        value = {"category": "shirt", "colour": None}
        return Reply('{"category":"shirt","colour":null}', value, modality_weights=weights)

    plain, engines = scripted_fleet(weighing)
    async with plain:
        with closing(Book.open(tmp_path / "book.sqlite")) as book:
            fleet = plain.scoped(LocalLedger(book), plain.images)
            first, second = [await fleet.run(build, Job(text="A red shirt")) for _ in range(2)]
    assert len(engines["r1"].calls) == 1
    assert [call.modality_weights for call in (*first.calls, *second.calls)] == [weights] * 2
