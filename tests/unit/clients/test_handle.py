"""The client of a deployment handle: losses, cancellation, deadlines, streams; without Ray."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import BackPressureError, RequestCancelledError

from orchestra.clients.handle import ATTEMPTS, HandleClient
from orchestra.core.call import Call, Reply
from orchestra.core.errors import AnswerTruncated, DeadlineExceeded, ModelUnavailable
from tests.fake_handles import FOR_EVER, ScriptedHandle, for_ever

CALL = Call("What is it?")
REPLY = Reply("an apple", "an apple")
FAILED = RayTaskError("complete", "trace", ValueError("no such row")).as_instanceof_cause()
LOST_INSIDE = RayTaskError("complete", "trace", ActorDiedError()).as_instanceof_cause()
FULL = BackPressureError(9, 8)


def client(*script: Any) -> tuple[HandleClient, ScriptedHandle]:
    handle = ScriptedHandle(*script)
    return HandleClient("r1", handle), handle


@pytest.mark.parametrize("loss", [ActorDiedError(), LOST_INSIDE])
async def test_a_call_whose_replica_was_lost_is_made_again_with_the_time_left(
    loss: Exception,
) -> None:
    model, handle = client(loss, REPLY)
    assert await model.complete(CALL, left_s=30.0) == REPLY
    first, second = handle.left_s
    assert first is not None and second is not None and second < first <= 30.0


async def test_when_no_replica_answers_the_error_says_so_after_some_tries() -> None:
    model, handle = client(ActorDiedError())
    with pytest.raises(ModelUnavailable, match=r"No replica of 'r1'.*ActorDiedError.*serve status"):
        await model.complete(CALL)
    assert handle.methods == ["complete"] * ATTEMPTS


async def test_tasks_that_prepare_first_at_one_moment_ask_once() -> None:
    async def later() -> None:
        await asyncio.sleep(0)

    model, handle = client(later)
    await asyncio.gather(*(model.prepare() for _ in range(3)))
    assert handle.methods == ["prepare"]


async def test_a_loss_is_not_waited_out_beyond_the_deadline() -> None:
    model, handle = client(ActorDiedError())
    with pytest.raises(DeadlineExceeded, match="20 ms"):
        await model.complete(CALL, left_s=0.02)
    assert len(handle.methods) == 1


async def test_an_expected_error_is_raised_and_not_tried_again() -> None:
    model, handle = client(lambda: _value(AnswerTruncated("cut at 8 tokens")))
    with pytest.raises(AnswerTruncated, match="cut at 8"):
        await model.complete(CALL)
    assert len(handle.methods) == 1


async def _value(error: Exception) -> Exception:
    return error


@pytest.mark.parametrize("script", [for_ever, [FOR_EVER], ["an ", FOR_EVER]])
async def test_who_stops_waiting_stops_the_replica(script: Any) -> None:
    model, handle = client(script)
    heard: list[str] = []
    on_piece = heard.append if isinstance(script, list) else None
    waiting = asyncio.create_task(model.complete(CALL, on_piece=on_piece))
    while not handle.responses:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert [response.cancelled for response in handle.responses] == [True]


@pytest.mark.parametrize("script", [for_ever, [FOR_EVER]])
async def test_the_end_of_the_deadline_stops_the_replica(script: Any) -> None:
    model, handle = client(script)
    on_piece = print if isinstance(script, list) else None
    with pytest.raises(DeadlineExceeded, match="the 50 ms that were left"):
        await model.complete(CALL, left_s=0.05, on_piece=on_piece)
    assert handle.responses[0].cancelled


async def test_a_stream_tells_its_pieces_and_ends_with_the_reply() -> None:
    model, _ = client(["an ", "apple", REPLY])
    heard: list[str] = []
    assert await model.complete(CALL, on_piece=heard.append) == REPLY
    assert heard == ["an ", "apple"]


async def test_a_stream_that_was_heard_is_not_begun_again() -> None:
    model, handle = client(["an ", ActorDiedError()], REPLY)
    heard: list[str] = []
    with pytest.raises(ModelUnavailable, match="No replica of 'r1' answers"):
        await model.complete(CALL, on_piece=heard.append)
    assert heard == ["an "] and handle.methods == ["stream"]


async def test_a_stream_lost_before_its_first_piece_is_answered_in_the_time_left() -> None:
    model, handle = client([ActorDiedError()], REPLY)
    assert await model.complete(CALL, left_s=30.0, on_piece=print) == REPLY
    assert handle.methods == ["stream", "complete"]
    first, second = handle.left_s
    assert first is not None and second is not None and second < first


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("error", "told"), [(FAILED, "failed with ValueError.*no such row"), (FULL, "max_replicas")]
)
async def test_what_serve_raises_is_an_error_of_ours(
    error: Exception, told: str, is_stream: bool
) -> None:
    model, handle = client([error] if is_stream else error)
    with pytest.raises(ModelUnavailable, match=told):
        await model.complete(CALL, on_piece=print if is_stream else None)
    assert len(handle.methods) == 1


async def test_a_model_that_does_not_get_ready_is_unavailable() -> None:
    handle = ScriptedHandle(for_ever)
    with pytest.raises(ModelUnavailable, match=r"not ready after 0\.05 s"):
        await HandleClient("r1", handle, ready_s=0.05).prepare()
    assert handle.responses[0].cancelled


async def test_a_model_that_is_ready_is_not_asked_again() -> None:
    model, handle = client(lambda: _nothing())
    await model.prepare()
    await model.prepare()
    assert handle.methods == ["prepare"]


async def _nothing() -> None:
    return None


@pytest.mark.parametrize("script", [RequestCancelledError("17"), [RequestCancelledError("17")]])
async def test_a_call_that_the_cluster_stops_may_be_made_again(script: Any) -> None:
    model, _ = client(script)
    on_piece = print if isinstance(script, list) else None
    with pytest.raises(ModelUnavailable, match=r"'r1' was told to stop.*Send the request again"):
        await model.complete(CALL, on_piece=on_piece)
