"""What is under way, and what the book keeps of how long calls took and beside what."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from graphs.answer import build
from orchestra import Budget, Job
from orchestra.book.book import Book
from orchestra.book.ledger import LocalLedger
from orchestra.core.errors import NoFeasiblePlan
from orchestra.graph.caller import Traffic
from orchestra.graph.job_run import AtWork
from orchestra.routing.candidates import JobShape
from orchestra.routing.compiled import compile_graph
from orchestra.routing.timing import IDLE
from tests.scripted import scripted_fleet


def test_calls_are_counted_by_model_and_a_jobs_own_are_left_out() -> None:
    traffic = Traffic()
    with traffic.entered("r1", "job:1"), traffic.entered("r1", "job:2"):
        with traffic.entered("vl", "job:1"):
            assert traffic.now() == {"r1": 2, "vl": 1}
            assert traffic.now("job:1") == {"r1": 1}
        assert traffic.now("job:3") == {"r1": 2}
    assert traffic.now() == {}


def test_a_call_that_fails_is_no_longer_under_way() -> None:
    traffic = Traffic()
    with pytest.raises(ValueError), traffic.entered("r1", "job:1"):
        raise ValueError
    assert traffic.now() == {}


def test_a_models_first_call_may_begin_while_traffic_is_read() -> None:
    traffic = Traffic()

    class Entering(str):
        """An account whose look-up takes so long that another thread calls another model."""

        def __hash__(self) -> int:
            begun.append(traffic.entered(f"m{len(begun)}", "job:3"))
            begun[-1].__enter__()
            return super().__hash__()

        def __eq__(self, other: object) -> bool:
            return super().__eq__(other)

    begun: list[Any] = []
    with traffic.entered("r1", "job:1"), traffic.entered("vl", "job:1"):
        assert traffic.now(Entering("job:2")) == {"r1": 1, "vl": 1}


def test_work_side_by_side_counts_once() -> None:
    work = AtWork([(0.0, 2.0), (1.0, 3.0), (1.5, 1.75), (5.0, 6.0)])
    assert work.seconds() == pytest.approx(4.0)


async def settled(path: Path, *jobs: Job) -> list[dict[str, Any]]:
    """What the book keeps of the calls of jobs that run side by side."""
    fleet, engines = scripted_fleet(lambda call: {"answer": None}, lambda call: {"answer": None})
    for engine in engines.values():
        engine.delay_s = 0.05
    with Book.open(path) as book:
        scoped = fleet.scoped(LocalLedger(book), fleet.images)
        await asyncio.gather(*(scoped.run(build, job) for job in jobs))
        rows = book._read("SELECT model, measured FROM entries ORDER BY number")
    await fleet.close()
    return [{"model": model} | json.loads(measured) for model, measured in rows]


async def test_the_book_keeps_how_long_a_call_took_on_what_work_and_beside_what(
    tmp_path: Path,
) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "a.png")
    both = Job(text="What is it?", images=[str(tmp_path / "a.png")])
    calls = await settled(tmp_path / "book.sqlite", both)
    assert {call["model"] for call in calls} == {"vl", "r1"}
    for call in calls:
        assert call["ms"] >= 50
        assert call["bytes"] == len("What is it?")
        assert call["siblings"] == 1
        assert call["beside"] == {}  # its own job's calls are siblings, not others
        assert call["work"][0] > 0 and call["work"][1] > 0
        assert call["ask"]
    first, second = (call["at"] for call in calls)
    assert abs(first - second) < min(call["ms"] for call in calls)  # sent before either ended


async def test_calls_of_other_jobs_stand_beside_a_call(tmp_path: Path) -> None:
    jobs = [Job(text=f"Question {number}?") for number in range(3)]
    calls = await settled(tmp_path / "book.sqlite", *jobs)
    assert sorted(call["beside"].get("r1", 0) for call in calls) == [0, 1, 2]


async def test_a_job_says_how_much_of_its_time_models_worked() -> None:
    fleet, engines = scripted_fleet(lambda call: {"answer": None})
    engines["r1"].delay_s = 0.05
    async with fleet:
        result = await fleet.run(build, Job(text="What is it?"))
    assert 0.05 <= result.model_seconds <= result.seconds
    assert result.calls[0].model_seconds == pytest.approx(result.model_seconds, abs=0.01)


async def test_what_is_under_way_counts_where_a_deadline_has_to_be_kept() -> None:
    fleet, _ = scripted_fleet()
    slow = {"fixed_ms": 100, "slowdown_per_call": 1}

    raw = fleet.file.model_dump(mode="json") | {
        "models": [card.model_dump(mode="json") | {"latency": slow} for card in fleet.file.models]
    }
    fleet.file = type(fleet.file).model_validate(raw)
    tight, free = Job(text="hi", budget=Budget(latency_ms=150)), Job(text="hi")
    async with fleet:
        before = fleet.plan(build, free)
        assert fleet.plan(build, tight).latency_ms == 100
        traffic = fleet.caller.traffic
        with ExitStack() as busy:
            for card in fleet.file.models:
                busy.enter_context(traffic.entered(card.name, "x"))
            assert fleet.plan(build, free) == before
            with pytest.raises(NoFeasiblePlan, match="latency_ms"):
                fleet.plan(build, tight)
        assert fleet.plan(build, tight).latency_ms == 100


async def test_rows_of_a_batch_are_planned_alike_whatever_is_under_way() -> None:
    fleet, _ = scripted_fleet()
    graph, shape, tight = compile_graph(build), JobShape(10, 0), Budget(latency_ms=5000)
    async with fleet:
        alone = fleet.plan_for(graph, shape, tight)
        with fleet.caller.traffic.entered("r1", "x"):
            assert fleet.plan_for(graph, shape, tight, IDLE) is alone
            assert fleet.plan_for(graph, shape, tight) is not alone


async def test_a_batchs_fleet_sees_the_calls_of_the_fleet_it_shares_models_with() -> None:
    fleet, _ = scripted_fleet()
    async with fleet:
        assert fleet.scoped(fleet.ledger, fleet.images).caller.traffic is fleet.caller.traffic
