"""The in-process client: batches, errors, cancelling, crashes, and closing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Engine
from orchestra.core.errors import AnswerTruncated, Cancelled, CheckpointInvalid, ModelUnavailable
from orchestra.testing import ScriptedEngine
from tests.meeting import Meeting, at_once


@asynccontextmanager
async def opened(load: Callable[[], Engine], max_batch: int = 16) -> AsyncIterator[InProcessClient]:
    client = InProcessClient("model", load, max_batch=max_batch)
    try:
        yield client
    finally:
        await client.close()


def echo(call: Call) -> Any:
    return call.instruction


def calls(count: int) -> list[Call]:
    return [Call(f"call {number}") for number in range(count)]


class Gate:
    """An answer that waits in the engine's thread until the test opens it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()

    def __call__(self, call: Call) -> Any:
        if call.instruction == "wait":
            self.entered.set()
            self.opened.wait(30)
        return call.instruction

    async def until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.wait, 30)


async def test_calls_made_together_share_one_batch_and_each_gets_its_own_answer() -> None:
    engine = ScriptedEngine(echo)
    async with opened(lambda: engine) as client:
        replies = await asyncio.gather(*map(client.complete, calls(5)))
    assert [reply.text for reply in replies] == [f"call {number}" for number in range(5)]
    assert engine.batches == [5]


async def test_a_call_that_comes_some_turns_of_the_loop_later_joins_the_batch() -> None:
    engine = ScriptedEngine(echo)

    async def later(turns: int) -> str:
        for _ in range(turns):
            await asyncio.sleep(0)
        return (await client.complete(Call(f"after {turns}"))).text

    async with opened(lambda: engine) as client:
        told = await asyncio.gather(*(later(turns) for turns in (0, 3, 6, 9)))
    assert told == ["after 0", "after 3", "after 6", "after 9"]
    assert engine.batches == [4]


async def test_a_batch_holds_no_more_than_max_batch() -> None:
    engine = ScriptedEngine(echo)
    async with opened(lambda: engine, max_batch=2) as client:
        await asyncio.gather(*map(client.complete, calls(5)))
    assert engine.batches == [2, 2, 1]


async def test_calls_that_arrive_while_the_engine_works_form_the_next_batch() -> None:
    gate = Gate()
    engine = ScriptedEngine(gate)
    async with opened(lambda: engine) as client:
        first = asyncio.create_task(client.complete(Call("wait")))
        await gate.until_entered()
        others = [asyncio.create_task(client.complete(call)) for call in calls(3)]
        await asyncio.sleep(0)
        gate.opened.set()
        await asyncio.gather(first, *others)
    assert engine.batches == [1, 3]


async def test_one_calls_error_does_not_reach_its_neighbours() -> None:
    def answer(call: Call) -> Any:
        return AnswerTruncated("cut") if call.instruction == "call 1" else call.instruction

    engine = ScriptedEngine(answer)
    async with opened(lambda: engine) as client:
        found = await asyncio.gather(*map(client.complete, calls(3)), return_exceptions=True)
    assert engine.batches == [3]
    assert isinstance(found[1], AnswerTruncated)
    assert [reply.text for reply in (found[0], found[2])] == ["call 0", "call 2"]  # type: ignore[union-attr]


async def test_cancelling_one_wait_cancels_its_row_and_no_other() -> None:
    started = threading.Event()
    go_on = threading.Event()
    seen: list[bool] = []

    class Watching(ScriptedEngine):
        def generate(self, calls: Any, is_cancelled: Any = None, on_text: Any = None) -> Any:
            started.set()
            go_on.wait(30)
            seen.extend(is_cancelled(row) for row in range(len(calls)))
            return super().generate(calls, is_cancelled)

    async with opened(lambda: Watching(echo)) as client:
        waits = [asyncio.create_task(client.complete(call)) for call in calls(3)]
        assert await asyncio.to_thread(started.wait, 30)
        waits[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits[1]
        go_on.set()
        first, last = await asyncio.gather(waits[0], waits[2])
    assert seen == [False, True, False]
    assert (first.text, last.text) == ("call 0", "call 2")


async def test_a_call_cancelled_in_the_queue_never_reaches_the_engine() -> None:
    gate = Gate()
    engine = ScriptedEngine(gate)
    async with opened(lambda: engine) as client:
        first = asyncio.create_task(client.complete(Call("wait")))
        await gate.until_entered()
        second = asyncio.create_task(client.complete(Call("not wanted")))
        await asyncio.sleep(0)
        second.cancel()
        gate.opened.set()
        await first
        await client.complete(Call("last"))
    assert [call.instruction for call in engine.calls] == ["wait", "last"]


@pytest.mark.parametrize("crash", [RuntimeError, MemoryError, ValueError, IndexError, KeyError])
async def test_a_crash_ends_its_batch_and_the_next_one_is_served(crash: type[Exception]) -> None:
    def answer(call: Call) -> Any:
        if call.instruction == "call 1":
            raise crash("boom")
        return call.instruction

    async with opened(lambda: ScriptedEngine(answer)) as client:
        found = await asyncio.gather(*map(client.complete, calls(2)), return_exceptions=True)
        assert [type(error) for error in found] == [ModelUnavailable, ModelUnavailable]
        assert crash.__name__ in str(found[0]) and "boom" in str(found[0])
        assert (await client.complete(Call("after"))).text == "after"


async def test_an_engine_that_loses_a_row_is_unavailable_rather_than_silent() -> None:
    class Forgetful(ScriptedEngine):
        def generate(self, calls: Any, is_cancelled: Any = None, on_text: Any = None) -> Any:
            return super().generate(calls, is_cancelled)[:-1]

    async with opened(lambda: Forgetful(echo)) as client:
        found = await asyncio.gather(*map(client.complete, calls(2)), return_exceptions=True)
    assert [type(error) for error in found] == [ModelUnavailable, ModelUnavailable]


async def test_the_engine_is_loaded_once_and_only_when_it_is_needed() -> None:
    loads: list[int] = []

    def load() -> Engine:
        loads.append(1)
        return ScriptedEngine(echo)

    async with opened(load) as client:
        assert not loads
        counted = [client.count_tokens(call) for call in calls(3)]
        await asyncio.gather(*counted, *map(client.complete, calls(3)))
    assert loads == [1]


async def test_a_loading_error_reaches_each_call_as_it_is_and_loading_is_tried_again() -> None:
    engines: list[Any] = [CheckpointInvalid("no weights"), OSError("disk"), ScriptedEngine(echo)]

    def load() -> Engine:
        found = engines.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    async with opened(load) as client:
        with pytest.raises(CheckpointInvalid, match="no weights"):
            await client.complete(Call("one"))
        with pytest.raises(ModelUnavailable, match="OSError: disk"):
            await client.complete(Call("two"))
        assert (await client.complete(Call("three"))).text == "three"


async def test_an_engine_that_cannot_be_loaded_or_count_is_unavailable() -> None:
    class Uncountable(ScriptedEngine):
        def count_tokens(self, call: Call) -> int:
            raise KeyError("token")

    def broken() -> Engine:
        raise ImportError("no torch")

    async with opened(broken) as client:
        with pytest.raises(ModelUnavailable, match="ImportError: no torch"):
            await client.prepare()
    async with opened(lambda: Uncountable(echo)) as client:
        with pytest.raises(ModelUnavailable, match="KeyError"):
            await client.count_tokens(Call("one"))


async def test_closing_ends_what_is_running_and_what_waits() -> None:
    gate = Gate()
    client = InProcessClient("model", lambda: ScriptedEngine(gate), max_batch=1)
    running = asyncio.create_task(client.complete(Call("wait")))
    await gate.until_entered()
    queued = asyncio.create_task(client.complete(Call("queued")))
    await asyncio.sleep(0)
    await client.close()
    gate.opened.set()
    found = await asyncio.gather(running, queued, return_exceptions=True)
    assert [type(error) for error in found] == [Cancelled, Cancelled]


async def test_a_closed_client_refuses_calls_and_may_be_closed_again() -> None:
    client = InProcessClient("model", lambda: ScriptedEngine(echo))
    await client.complete(Call("one"))
    await client.close()
    await client.close()
    with pytest.raises(Cancelled, match="'model' was closed"):
        await client.complete(Call("two"))
    with pytest.raises(Cancelled):
        await client.count_tokens(Call("two"))


def test_a_client_serves_one_event_loop_after_another() -> None:
    client = InProcessClient("model", lambda: ScriptedEngine(echo))
    assert asyncio.run(client.complete(Call("one"))).text == "one"
    assert asyncio.run(client.complete(Call("two"))).text == "two"
    asyncio.run(client.close())


def test_threads_that_need_the_engine_first_at_one_moment_load_it_once() -> None:
    meeting, loads = Meeting(), list[Engine]()

    def load() -> Engine:
        meeting.pause()
        loads.append(ScriptedEngine(echo))
        return loads[-1]

    client = InProcessClient("model", load)
    first, second = at_once(client.load_engine)
    assert first is second and len(loads) == 1


def test_a_client_serves_several_event_loops_at_once() -> None:
    gate = Gate()
    engine = ScriptedEngine(gate)
    client = InProcessClient("model", lambda: engine)

    async def ask(said: str) -> str:
        async with asyncio.timeout(30):
            return (await client.complete(Call(said))).text

    async def begin() -> asyncio.Task[str]:
        task = asyncio.create_task(ask("wait"))
        await gate.until_entered()
        gate.opened.set()
        return task

    async def end(task: asyncio.Task[str]) -> str:
        return await task

    with asyncio.Runner() as one, asyncio.Runner() as other:
        first = one.run(begin())
        assert other.run(ask("other")) == "other"
        assert one.run(end(first)) == "wait"
        other.run(client.close())


async def test_closing_ends_what_waits_in_another_event_loop() -> None:
    gate = Gate()
    client = InProcessClient("model", lambda: ScriptedEngine(gate))
    waiting = asyncio.create_task(
        asyncio.to_thread(lambda: asyncio.run(client.complete(Call("wait"))))
    )
    await gate.until_entered()
    await client.close()
    gate.opened.set()
    with pytest.raises(Cancelled):
        await waiting


class Plain:
    """An engine with `generate` alone, that answers with what it is given."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers

    def generate(self, calls: Any, is_cancelled: Any = None, on_text: Any = None) -> Any:
        return self.answers


async def test_an_engine_without_tokens_of_its_own_is_counted_by_bytes() -> None:
    engine: Any = Plain([])
    async with opened(lambda: engine) as client:
        assert await client.count_tokens(Call("Say.", "红色")) == 4 + 6


@pytest.mark.parametrize("answer", [{"answer": "red"}, "red", None])
async def test_what_is_neither_reply_nor_error_is_a_model_that_broke_down(answer: Any) -> None:
    engine: Any = Plain([answer])
    async with opened(lambda: engine) as client:
        with pytest.raises(ModelUnavailable, match="not a Reply or an OrchestraError"):
            await client.complete(Call("Say."))


async def test_more_calls_than_may_wait_are_refused_and_the_others_are_answered() -> None:
    client = InProcessClient("model", lambda: ScriptedEngine(echo), max_waiting=2)
    answers = await asyncio.gather(*map(client.complete, calls(5)), return_exceptions=True)
    await client.close()
    refused = [answer for answer in answers if isinstance(answer, ModelUnavailable)]
    assert len(refused) == 3 and "2 calls waiting" in str(refused[0])
    assert len(answers) - len(refused) == 2
