"""What a server reports of a call's tokens is what is counted; where it cannot be, the larger."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from orchestra.clients.endpoint import EndpointClient
from orchestra.clients.endpoint_usage import usage_of
from orchestra.core.call import Call
from orchestra.core.errors import (
    AnswerInvalid,
    AnswerRefused,
    AnswerTruncated,
    ModelError,
    ModelUnavailable,
)
from orchestra.core.usage import Usage
from tests.servers.fake_server import Said, chat, endpoint_card, serving

MOST = Usage(100, 50, is_bound=True)
TALK = Call("Say hello.", max_tokens=20)
ASK = replace(
    TALK, schema={"type": "object", "properties": {"colour": {"enum": ["red", "blue", None]}}}
)


def told(prompt: int | None = None, completion: int | None = None, **more: Any) -> dict[str, Any]:
    parts = {"prompt_tokens": prompt, "completion_tokens": completion}
    return {name: count for name, count in parts.items() if count is not None} | more


def thoughts(count: int) -> dict[str, Any]:
    return {"completion_tokens_details": {"reasoning_tokens": count}}


@pytest.mark.parametrize(
    ("reported", "counted"),
    [
        (told(10, 5), (10, 5)),
        (told(10, 5, total_tokens=15), (10, 5)),
        (told(10, 5, total_tokens=12), (10, 5)),  # parts above their total: the parts
        (told(10, 5, **thoughts(4)), (10, 5)),  # counted inside, as OpenAI says
        ({"input_tokens": 10, "output_tokens": 5}, (10, 5)),
        (told(10, total_tokens=15), (10, 5)),
        (told(completion=5, total_tokens=15), (10, 5)),
        (told(1_000, 900), (1_000, 900)),  # above the bound, and true all the same
    ],
)
def test_what_is_reported_is_counted(reported: dict[str, Any], counted: tuple[int, int]) -> None:
    usage = usage_of(reported, MOST)
    assert (usage.input_tokens, usage.output_tokens) == counted
    assert not usage.is_bound and not usage.doubts


@pytest.mark.parametrize(
    ("reported", "counted", "doubt"),
    [
        (told(10, 5, total_tokens=1_015), (10, 1_005), "total_tokens=1015, 1000 more"),
        (told(10, 5, **thoughts(300)), (10, 305), "300 tokens of thoughts beside"),
        (told(10, 5, total_tokens=315, **thoughts(300)), (10, 305), "300 tokens of thoughts"),
        (told(10, 5, total_tokens=8, **thoughts(5)), (10, 5), ""),
        (told(10, 20, total_tokens=45, **thoughts(15)), (10, 35), "15 more than its parts"),
    ],
)
def test_tokens_outside_the_parts_are_counted_and_said(
    reported: dict[str, Any], counted: tuple[int, int], doubt: str
) -> None:
    usage = usage_of(reported, MOST)
    assert (usage.input_tokens, usage.output_tokens, usage.is_bound) == (*counted, False)
    assert doubt in " ".join(usage.doubts) and bool(usage.doubts) == bool(doubt)


@pytest.mark.parametrize(
    ("reported", "counted"),
    [
        (None, (100, 50)),
        ({}, (100, 50)),
        ("none", (100, 50)),
        (told(0, 0), (100, 50)),
        (told(0, 0, total_tokens=0), (100, 50)),
        (told(0, 5), (100, 5)),
        (told(10, 0), (10, 50)),
        (told(10), (10, 50)),
        (told(-4, 5), (100, 50)),
        (told(True, 5), (100, 50)),
        (told(total_tokens=-4), (100, 50)),
        (told(10, 10**30), (100, 50)),  # no call writes so much, and no book could hold it
    ],
)
def test_what_is_unknown_counts_at_the_most(reported: Any, counted: tuple[int, int]) -> None:
    usage = usage_of(reported, MOST)
    assert (usage.input_tokens, usage.output_tokens, usage.is_bound) == (*counted, True)
    silent = not isinstance(reported, dict) or set(reported) <= {"total_tokens"}
    assert bool(usage.doubts) != silent


@pytest.mark.parametrize(
    ("total", "counted", "is_bound"),
    [(15, (0, 15), True), (80, (30, 50), True), (1_000, (100, 900), False)],
)
def test_a_total_alone_bounds_what_was_used_or_tells_that_it_was_more(
    total: int, counted: tuple[int, int], is_bound: bool
) -> None:
    usage = usage_of(told(total_tokens=total), MOST)
    assert (usage.input_tokens, usage.output_tokens, usage.is_bound) == (*counted, is_bound)
    assert f"total_tokens={total} without its parts" in " ".join(usage.doubts)


def test_a_part_above_the_bound_is_no_guess_though_the_other_part_is_unknown() -> None:
    usage = usage_of(told(70_000), MOST)
    assert (usage.input_tokens, usage.output_tokens, usage.is_bound) == (70_000, 50, False)


def test_nothing_written_may_count_as_nothing() -> None:
    assert usage_of(told(10, 0), MOST, answered=False) == Usage(10, 0)


async def used(said: Said, call: Call = TALK) -> Usage:
    """What a call that was answered, in a stream where there are events, is counted at."""
    with serving(said) as server:
        client = EndpointClient(endpoint_card(server.url))
        heard = (lambda _: None) if said.events is not None else None
        try:
            return (await client.complete(call, on_piece=heard)).usage
        finally:
            await client.close()


def events(*last: dict[str, Any]) -> Said:
    piece = {"choices": [{"delta": {"content": "hello"}, "finish_reason": "stop"}]}
    return Said(events=(piece, *last, "[DONE]"))


@pytest.mark.parametrize(
    "said",
    [
        events({"choices": [], "usage": told(7, 3)}),
        events({"choices": [{"delta": {}, "usage": told(7, 3)}]}),  # Moonshot
        events({"choices": [], "x_groq": {"usage": told(7, 3)}}),
        events({"choices": [], "usage": told(7, 3)}, {"choices": [], "usage": told(0, 0)}),
        events({"choices": [], "usage": told(7, 1)}, {"choices": [], "usage": told(7, 3)}),
        events({"choices": [], "usage": told(7, 3)}, {"choices": [], "usage": None}),
    ],
)
async def test_the_use_of_a_stream_is_found_wherever_its_server_says_it(said: Said) -> None:
    usage = await used(said)
    assert (usage.input_tokens, usage.output_tokens, usage.is_bound) == (7, 3, False)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (chat("green", usage=told(9, 7)), AnswerInvalid),
        (chat('{"colour": "r', finish="length", usage=told(9, 7)), AnswerTruncated),
        (chat(None, message={"refusal": "I cannot."}, usage=told(9, 7)), AnswerRefused),
        (chat("half", finish="error", usage=told(9, 7)), ModelUnavailable),
        (chat("", usage=told(9, 7)), AnswerInvalid),
        (Said({"choices": [], "usage": told(9, 7)}), AnswerInvalid),
    ],
)
async def test_an_answer_that_cannot_be_used_says_what_it_cost(
    said: Said, kind: type[ModelError]
) -> None:
    with pytest.raises(kind) as caught:
        await used(said, ASK)
    found = caught.value.used
    assert found is not None and (found.input_tokens, found.output_tokens) == (9, 7)


async def test_an_answer_that_cannot_be_used_and_says_no_use_is_of_unknown_cost() -> None:
    for said in (chat("green", usage=None), chat(json.dumps([1]), usage=told(0, 0))):
        with pytest.raises(AnswerInvalid) as caught:
            await used(said, ASK)
        assert caught.value.used is None and caught.value.may_have_spent
