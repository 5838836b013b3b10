"""Identical calls under way at once are made once, and nobody pays for another's fate."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from orchestra.app import Fleet
from orchestra.core.call import Call
from orchestra.core.errors import AnswerTruncated
from orchestra.core.job import Job
from orchestra.testing import ScriptedEngine
from tests.scripted import scripted_fleet
from tests.unit.graph.test_run import build

JOB = Job(text="A red shirt")
FACTS = {"category": "shirt", "colour": "red"}


class Held:
    """Text answers that wait until the test lets them go; `failing` first ones are cut."""

    def __init__(self, failing: int = 0) -> None:
        self.entered = threading.Event()
        self.let_go = threading.Event()
        self.failing = failing

    def __call__(self, call: Call) -> Any:
        self.entered.set()
        self.let_go.wait(30)
        if self.failing:
            self.failing -= 1
            raise AnswerTruncated("cut")
        return FACTS

    async def two_runs(self, fleet: Fleet) -> list[asyncio.Task[Any]]:
        """Two runs of one job, the second joined to the first one's call."""
        first = asyncio.create_task(fleet.run(build, JOB))
        assert await asyncio.to_thread(self.entered.wait, 30)
        second = asyncio.create_task(fleet.run(build, JOB))
        await asyncio.sleep(0.2)
        return [first, second]


async def started(held: Held) -> tuple[Fleet, ScriptedEngine, list[asyncio.Task[Any]]]:
    fleet, engines = scripted_fleet(held)
    return fleet, engines["r1"], await held.two_runs(fleet)


async def test_a_joined_call_is_made_and_paid_once() -> None:
    held = Held()
    fleet, engine, runs = await started(held)
    held.let_go.set()
    first, second = await asyncio.gather(*runs)
    assert [[call.reused for call in job.calls] for job in (first, second)] == [[False], [True]]
    assert first.cost_usd > 0 == second.cost_usd
    assert len(engine.calls) == 1
    await fleet.close()


async def test_cancelling_the_first_asker_leaves_the_second_its_answer() -> None:
    held = Held()
    fleet, _, (first, second) = await started(held)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    held.let_go.set()
    result = await second
    assert (result.status, result.fields["colour"].value) == ("complete", "red")
    await fleet.close()


async def test_cancelling_the_second_asker_leaves_the_first_its_answer() -> None:
    held = Held()
    fleet, _, (first, second) = await started(held)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    held.let_go.set()
    assert (await first).fields["colour"].value == "red"
    await fleet.close()


async def test_an_error_of_the_first_asker_is_not_the_seconds() -> None:
    held = Held(failing=1)
    fleet, engine, runs = await started(held)
    held.let_go.set()
    first, second = await asyncio.gather(*runs)
    assert (first.errors[0].type, second.status) == ("AnswerTruncated", "complete")
    assert len(engine.calls) == 2
    await fleet.close()
