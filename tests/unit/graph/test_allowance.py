"""The parts of an allowance, asked for from the threads of nodes that are no coroutines."""

from __future__ import annotations

import asyncio

from orchestra import Budget
from orchestra.graph.allowance import Allowance
from tests.meeting import Meeting, at_once
from tests.scripted import scripted_fleet


def test_threads_that_ask_first_at_one_moment_get_one_part() -> None:
    fleet, _ = scripted_fleet()
    loop = asyncio.new_event_loop()
    whole = Allowance(fleet, "job:1", loop)
    name = Meeting().name("model")
    first, second = at_once(lambda: whole.part(name, Budget(tokens=100)))
    loop.close()
    assert first is second and whole.part("model", Budget()) is first
