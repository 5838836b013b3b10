"""Vectors from an OpenAI-compatible server, over loopback HTTP."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from orchestra.clients.endpoint import EndpointClient
from orchestra.core.call import Call, Reply
from orchestra.core.errors import AnswerInvalid, ModelError, OrchestraError
from orchestra.core.float_text import floats_to_text
from tests.servers.fake_server import Said, endpoint_card, failing, serving

CALL = Call("", texts=("red", "blue"))
RED, BLUE = np.array([1, 0.5], np.float32), np.array([0, 0.25], np.float32)


def vectors(*entries: Any, usage: Any = None) -> Said:
    data = [{"object": "embedding", "index": at, "embedding": e} for at, e in entries]
    body = {"object": "list", "data": data, "model": "tiny"}
    return Said(body if usage is None else body | {"usage": usage})


async def ask(*script: Said) -> tuple[Reply, Any]:
    with serving(*script) as server:
        client = EndpointClient(endpoint_card(server.url, capabilities=["encode"]))
        try:
            return await client.complete(CALL), server
        finally:
            await client.close()


async def test_numbers_or_base64_are_read_in_the_order_of_the_texts() -> None:
    said = vectors(
        (1, BLUE.tolist()), (0, floats_to_text(RED)), usage={"prompt_tokens": 4, "total_tokens": 4}
    )
    reply, server = await ask(said)
    assert reply.vectors is not None and reply.vectors.tolist() == [RED.tolist(), BLUE.tolist()]
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (4, 0)
    assert not reply.usage.is_bound
    assert server.asked == [{"model": "tiny", "input": ["red", "blue"]}]


async def test_usage_that_is_not_told_counts_as_the_most_that_it_can_be() -> None:
    reply, _ = await ask(vectors((0, RED.tolist()), (1, BLUE.tolist())))
    assert reply.usage.is_bound and reply.usage.output_tokens == 0
    assert reply.usage.input_tokens >= len("redblue")


@pytest.mark.parametrize(
    "said",
    [
        Said({"choices": [{"message": {"content": "hello"}}]}),
        vectors((0, [1.0, 2.0])),
        vectors((0, [1.0]), (0, [1.0])),
        vectors((0, [1.0]), (1, [1.0, 2.0])),
        vectors((0, ["a"]), (1, ["b"])),
        vectors((0, "###"), (1, "###")),
        Said([1, 2]),
        Said(b"not json"),
    ],
)
async def test_what_is_not_a_vector_of_each_text_is_an_invalid_answer(said: Said) -> None:
    with pytest.raises(AnswerInvalid):
        await ask(said)


async def test_a_number_that_is_none_is_an_invalid_answer() -> None:
    with pytest.raises(AnswerInvalid, match="finite"):
        await ask(
            Said(b'{"data": [{"index": 0, "embedding": [NaN]}, {"index": 1, "embedding": [1]}]}')
        )


@pytest.mark.parametrize("status", [400, 404, 500])
async def test_a_refusal_is_told_as_for_any_call(status: int) -> None:
    with pytest.raises(OrchestraError, match="does not make vectors"):
        await ask(failing(status, "this model does not make vectors"))


async def test_an_error_under_a_status_of_success_is_an_error() -> None:
    with pytest.raises(ModelError, match="overloaded"):
        await ask(Said({"error": {"message": "overloaded"}}))


async def test_a_server_that_is_busy_is_asked_again() -> None:
    busy = failing(429, "later", headers={"Retry-After": "0"})
    reply, server = await ask(busy, vectors((0, RED.tolist()), (1, BLUE.tolist())))
    assert reply.vectors is not None and len(server.asked) == 2
