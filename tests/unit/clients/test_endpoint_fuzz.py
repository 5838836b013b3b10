"""Whatever JSON a server answers with, a call ends in a reply or in an error of the tree."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orchestra.clients.endpoint_answer import Spoken, reply_of
from orchestra.clients.endpoint_errors import error_of
from orchestra.clients.endpoint_refusal import ErrorInside, Refusal
from orchestra.clients.endpoint_stream import Stream
from orchestra.clients.endpoint_thoughts import Thoughts
from orchestra.core.call import Reply, Usage
from orchestra.core.errors import OrchestraError
from tests.replay.replies import ASKS
from tests.servers.fake_server import endpoint_card

MOST = Usage(100, 50, is_bound=True)
ENDPOINT = endpoint_card("http://127.0.0.1:1/v1").hosting.endpoint
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
WORDS = (
    "choices message delta content text type error code param tool_calls function name arguments "
    "id index finish_reason refusal usage prompt_tokens completion_tokens logprobs reasoning "
    "thinking detail metadata"
)
NAMES = st.sampled_from(WORDS.split())
JSON = st.recursive(
    SCALARS | st.sampled_from(["stop", "length", "error", "[DONE]", '{"a": 1}']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
# The outer shape is often right, so that the parts inside are met as well.
CHOICE = st.dictionaries(NAMES, JSON, max_size=5)
ANSWERS = JSON | st.fixed_dictionaries(
    {"choices": st.lists(CHOICE, min_size=1, max_size=2)}, optional={"usage": JSON, "error": JSON}
)
CALLS = st.sampled_from(list(ASKS.values()))


def ends(answer: Reply | OrchestraError) -> bool:
    text = answer.text if isinstance(answer, Reply) else str(answer)
    return bool(text.encode()) or isinstance(answer, Reply)


@given(ANSWERS, CALLS)
def test_a_whole_answer_of_any_shape_ends(answer: Any, call: Any) -> None:
    try:
        reply: Reply | OrchestraError = reply_of(Spoken.of(answer), call, MOST)
    except OrchestraError as error:
        reply = error
    except ErrorInside as inside:
        reply = error_of(Refusal.inside(inside.body, "key"), ENDPOINT, [])  # type: ignore[arg-type]
    assert ends(reply)


@given(st.lists(ANSWERS, max_size=4), CALLS)
async def test_a_stream_of_events_of_any_shape_ends(answers: list[Any], call: Any) -> None:
    async def source() -> AsyncIterator[bytes]:
        for answer in answers:
            yield f"data: {json.dumps(answer)}\n\n".encode()
        yield b"data: [DONE]\n\n"

    stream = Stream(lambda _: None, Thoughts())
    try:
        spoken = await stream.collect(source())
        reply: Reply | OrchestraError = reply_of(spoken, call, MOST)
    except OrchestraError as error:
        reply = error
    except ErrorInside as inside:
        reply = error_of(Refusal.inside(inside.body, "key"), ENDPOINT, [])  # type: ignore[arg-type]
    assert ends(reply)


@given(st.integers(300, 599), JSON | st.text(), st.dictionaries(NAMES, st.text(), max_size=2))
def test_a_refusal_of_any_shape_is_an_error_of_the_tree(
    status: int, body: Any, headers: dict[str, str]
) -> None:
    raw = body if isinstance(body, str) else json.dumps(body)
    refusal = Refusal.of(status, raw.encode(errors="replace"), headers, "key")
    assert str(error_of(refusal, ENDPOINT, []))  # type: ignore[arg-type]
    assert len(refusal.said) <= 300
