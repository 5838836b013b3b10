"""The parts of an allowance, asked for from the threads of nodes that are no coroutines."""

from __future__ import annotations

import asyncio

from orchestra import Budget
from orchestra.book.messages import BeginCall, CloseAccount, OpenAccount, SettleCall
from orchestra.core.job import CallRecord
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


async def test_a_part_that_was_closed_is_forgotten_and_goes_on_from_what_it_spent() -> None:
    fleet, _ = scripted_fleet()
    async with fleet:
        whole = Allowance(fleet, "chat:1", asyncio.get_running_loop(), Budget(tokens=100))
        closed: list[Allowance] = []
        for number in range(50):
            part = whole.part(f"run {number}", Budget(tokens=10))
            await part.open()
            await fleet.ledger.send(OpenAccount(f"q:{number}", parent=part.account))
            await fleet.ledger.send(
                BeginCall(f"c:{number}", f"q:{number}", f"k{number}", "n", "m", 0, 2)
            )
            await fleet.ledger.send(SettleCall(f"c:{number}", 0, 2))
            await fleet.ledger.send(CloseAccount(f"q:{number}"))
            await part.close()
            closed.append(part)
        assert whole._parts == {}
        again = whole.part("run 7", Budget(tokens=10))
        assert again not in closed and (await again.left())[0].tokens == 0  # the whole is used up
        assert (await again.spent()).tokens == 2
        await whole.close()


async def test_what_the_account_beside_cost_beyond_its_bounds_is_taken_off() -> None:
    fleet, _ = scripted_fleet()
    async with fleet:
        await fleet.ledger.send(OpenAccount("job", ceiling_micro=10, ceiling_tokens=10))
        loop = asyncio.get_running_loop()
        unplanned = Allowance(fleet, "u", loop, Budget(cost_usd="0.0001", tokens=90), beside="job")
        await fleet.ledger.send(BeginCall("c", "job", "k", "n", "m", 10, 10))
        assert (await unplanned.left())[0] == Budget(cost_usd="0.0001", tokens=90)
        await fleet.ledger.send(SettleCall("c", 70, 50))
        assert (await unplanned.left())[0] == Budget(cost_usd="0.00004", tokens=50)


async def test_calls_of_a_part_are_its_own_and_those_of_the_whole() -> None:
    fleet, _ = scripted_fleet()
    async with fleet:
        whole = Allowance(fleet, "chat:1", asyncio.get_running_loop())
        first, second = whole.part("first", Budget()), whole.part("second", Budget())
        call = CallRecord(node="n", model="m", instruction="i")
        assert not second.has_called
        first.note([call])
        assert (first.calls, second.calls, whole.calls) == ([call], [], [call])
        assert second.has_called  # what the whole has made counts
