"""Values of event loops, and work that tasks do once together."""

from __future__ import annotations

import asyncio

import pytest

from orchestra.core.loops import PerLoop, SingleFlight


def test_each_loop_has_a_value_of_its_own_and_keeps_it() -> None:
    lists: PerLoop[list[int]] = PerLoop(list)

    async def here() -> list[int]:
        return lists.here()

    with asyncio.Runner() as one, asyncio.Runner() as other:
        first = one.run(here())
        assert other.run(here()) is not first
        assert one.run(here()) is first


def test_the_values_of_closed_loops_are_forgotten() -> None:
    lists: PerLoop[list[int]] = PerLoop(list)

    async def count() -> int:
        lists.here()
        return len(lists.all())

    assert [asyncio.run(count()) for _ in range(3)] == [1, 1, 1]


def test_a_loop_drops_its_own_value_only() -> None:
    lists: PerLoop[list[int]] = PerLoop(list)

    async def here() -> list[int]:
        return lists.here()

    async def drop() -> list[int] | None:
        return lists.drop()

    with asyncio.Runner() as one, asyncio.Runner() as other:
        first, second = one.run(here()), other.run(here())
        assert one.run(drop()) is first and one.run(drop()) is None
        assert other.run(here()) is second


class Work:
    """Counts how often it is begun; it ends when the test says so."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.begun = 0
        self.go_on = asyncio.Event()
        self._failure = failure

    async def __call__(self) -> int:
        self.begun += 1
        await self.go_on.wait()
        if self._failure is not None:
            raise self._failure
        return self.begun


async def started(flight: SingleFlight[int], work: Work, *keys: str) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(flight.do(work, key)) for key in keys]
    await asyncio.sleep(0)
    return tasks


async def test_tasks_that_ask_at_one_moment_share_one_outcome() -> None:
    flight, work = SingleFlight[int](), Work()
    tasks = await started(flight, work, "a", "a", "a")
    work.go_on.set()
    assert await asyncio.gather(*tasks) == [1, 1, 1]
    assert await flight.do(work, "a") == 2  # who asks later has it done again


async def test_work_of_another_key_is_not_waited_for() -> None:
    flight, work = SingleFlight[int](), Work()
    tasks = await started(flight, work, "a", "b")
    assert work.begun == 2
    work.go_on.set()
    await asyncio.gather(*tasks)


async def test_a_failure_reaches_all_who_waited_and_is_not_kept() -> None:
    flight, work = SingleFlight[int](), Work(ValueError("down"))
    tasks = await started(flight, work, "a", "a")
    work.go_on.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(error) for error in found] == ["down", "down"] and work.begun == 1
    with pytest.raises(ValueError, match="down"):
        await flight.do(work, "a")
    assert work.begun == 2


async def test_when_the_first_is_cancelled_one_of_the_others_does_the_work() -> None:
    flight, work = SingleFlight[int](), Work()
    first, *others = await started(flight, work, "a", "a", "a")
    first.cancel()
    await asyncio.wait([first])
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    work.go_on.set()
    assert await asyncio.gather(*others) == [2, 2]
    assert first.cancelled()


async def test_cancelling_one_who_waits_leaves_the_work_to_the_others() -> None:
    flight, work = SingleFlight[int](), Work()
    first, second, third = await started(flight, work, "a", "a", "a")
    second.cancel()
    await asyncio.wait([second])
    work.go_on.set()
    assert await asyncio.gather(first, third) == [1, 1]


def test_each_loop_does_its_own_work() -> None:
    flight = SingleFlight[str]()

    async def begin() -> asyncio.Task[str]:
        async def never() -> str:
            await asyncio.Event().wait()
            return "never"

        task = asyncio.create_task(flight.do(never))
        await asyncio.sleep(0)
        return task

    async def done() -> str:
        return "done"

    with asyncio.Runner() as one, asyncio.Runner() as other:
        task = one.run(begin())
        assert other.run(flight.do(done)) == "done"
        assert not task.done()
