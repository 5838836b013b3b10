"""One model's replica, awaited without Ray: values for errors, time left, health, streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Engine, Reply
from orchestra.core.errors import (
    AnswerTruncated,
    Cancelled,
    CheckpointInvalid,
    DeadlineExceeded,
    ModelUnavailable,
    OrchestraError,
)
from orchestra.serving.replica import ModelReplica
from orchestra.testing import ScriptedEngine

CALL = Call("What is it?")
Seen = list[Reply | OrchestraError]


@asynccontextmanager
async def replica(load: Callable[[], Engine]) -> AsyncIterator[tuple[ModelReplica, Seen]]:
    """A replica over the engine that `load` makes, and what became of its rows."""
    client = InProcessClient("r1", load)
    seen: Seen = []
    try:
        yield ModelReplica("mini", "r1", client, seen.append), seen
    finally:
        await client.close()


def engine(answer: Any, **options: Any) -> Callable[[], Engine]:
    return lambda: ScriptedEngine(lambda call: answer, **options)


async def test_an_expected_error_is_a_value_and_the_replica_stays_healthy() -> None:
    error = AnswerTruncated("cut at 8 tokens")
    async with replica(engine(error)) as (model, seen):
        assert await model.complete(CALL, {}) is error
        assert seen == [error]
        await model.check_health()


async def test_the_time_left_ends_a_call_and_frees_the_engine() -> None:
    scripted = ScriptedEngine(lambda call: "an apple", delay_s=30.0)
    async with replica(lambda: scripted) as (model, seen):
        late = await model.complete(CALL, {}, left_s=0.05)
        assert isinstance(late, DeadlineExceeded) and "50 ms" in str(late)
        scripted.delay_s = 0.0
        answer = await model.complete(CALL, {}, left_s=30.0)
        assert isinstance(answer, Reply) and answer.text == "an apple"
        assert isinstance(seen[0], Cancelled) and len(seen) == 2  # decoding was stopped


async def test_an_engine_that_breaks_down_makes_the_replica_unhealthy() -> None:
    async with replica(engine(MemoryError("tensor of 3 GiB"))) as (model, _):
        await model.check_health()
        answer = await model.complete(CALL, {})
        assert isinstance(answer, ModelUnavailable) and "tensor of 3 GiB" in str(answer)
        with pytest.raises(RuntimeError, match="tensor of 3 GiB"):
            await model.check_health()


async def test_an_engine_that_only_refuses_keeps_the_replica() -> None:
    async with replica(engine(ModelUnavailable("no room for this batch now"))) as (model, _):
        assert isinstance(await model.complete(CALL, {}), ModelUnavailable)
        await model.check_health()


async def test_a_stream_tells_pieces_then_the_reply() -> None:
    async with replica(engine("an apple")) as (model, _):
        told = [piece async for piece in model.stream(CALL, {})]
        assert told[:-1] == ["an", " apple"]
        assert isinstance(told[-1], Reply) and told[-1].text == "an apple"


async def test_a_stream_ends_with_the_error_itself() -> None:
    async with replica(engine("an apple", delay_s=30.0)) as (model, _):
        told = [piece async for piece in model.stream(CALL, {}, left_s=0.05)]
        assert [type(piece) for piece in told] == [DeadlineExceeded]


async def test_a_stream_that_is_left_stops_its_decoding() -> None:
    scripted = ScriptedEngine(lambda call: "an apple", delay_s=30.0)
    async with replica(lambda: scripted) as (model, seen):
        waiting = asyncio.ensure_future(anext(aiter(model.stream(CALL, {}))))
        while not scripted.calls:
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        while not seen:
            await asyncio.sleep(0.01)
        assert isinstance(seen[0], Cancelled)


def test_a_model_that_cannot_load_makes_no_replica() -> None:
    def torn() -> Engine:
        raise OSError("header of 9 bytes")

    def damaged() -> Engine:
        raise CheckpointInvalid("tokenizer.json is missing")

    with pytest.raises(ModelUnavailable, match=r"'r1'.*header of 9 bytes.*checkpoint"):
        ModelReplica("mini", "r1", InProcessClient("r1", torn))
    with pytest.raises(CheckpointInvalid, match="tokenizer"):
        ModelReplica("mini", "r1", InProcessClient("r1", damaged))


async def test_prompt_tokens_are_counted_by_the_models_own_tokenizer() -> None:
    async with replica(engine("an apple")) as (model, _):
        assert await model.count_tokens(CALL) == 3
        assert await model.prepare() is None
