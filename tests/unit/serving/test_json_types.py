"""A value of another type than the document says is refused, and not made into one that fits."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from graphs.answer import build
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from tests.scripted import scripted_fleet

CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "What is it?"}]}
ASKED: dict[str, Any] = {"input": "What is it?"}
JOB: dict[str, Any] = {"text": "a red shirt"}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    fleet, _ = scripted_fleet()
    transport = httpx.ASGITransport(make_app(Service(fleet, {"answer": build})))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client
    await fleet.close()


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/chat/completions", CHAT | {"stream": "yes"}, "'yes' is a string"),
    ("/v1/chat/completions", CHAT | {"stream": 1}, "1 is a number"),
    ("/v1/chat/completions", CHAT | {"max_tokens": "5"}, "'5' is a string"),
    ("/v1/chat/completions", CHAT | {"max_tokens": True}, "True is true or false"),
    ("/v1/chat/completions", CHAT | {"temperature": "0"}, "it takes a number"),
    ("/v1/chat/completions", CHAT | {"n": True}, "it takes a number"),
    ("/v1/chat/completions", CHAT | {"top_logprobs": False}, "it takes a number"),
    ("/v1/chat/completions", CHAT | {"logprobs": 0}, "it takes true or false"),
    ("/v1/chat/completions", CHAT | {"seed": "7"}, "it takes a number"),
    ("/v1/chat/completions", CHAT | {"orchestra": {"cache": "no"}}, "it takes true or false"),
    ("/v1/chat/completions", CHAT | {"orchestra": {"budget": {"tokens": "9"}}}, "tokens='9'"),
    ("/v1/responses", ASKED | {"top_logprobs": False}, "it takes a number"),
    ("/v1/responses", ASKED | {"store": "false"}, "it takes true or false"),
    ("/v1/jobs", JOB | {"cache": "false"}, "it takes true or false"),
    ("/v1/jobs", JOB | {"budget": {"latency_ms": "900"}}, "latency_ms='900'"),
    ("/v1/jobs", JOB | {"thread_id": "a/answer"}, "choose another name"),
]


@pytest.mark.parametrize(("path", "body", "part"), WRONG)
async def test_a_value_of_another_type_is_refused(
    http: httpx.AsyncClient, path: str, body: dict[str, Any], part: str
) -> None:
    answer = await http.post(path, json=body)
    assert answer.status_code == 400 and part in answer.json()["error"]["message"], answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT | {"presence_penalty": 0.0, "n": 1, "temperature": 0}),
        ("/v1/chat/completions", CHAT | {"orchestra": {"budget": {"cost_usd": "0.5"}}}),
        ("/v1/jobs", JOB | {"budget": {"cost_usd": 0.5, "latency_ms": 60000, "tokens": None}}),
    ],
)
async def test_what_the_document_takes_is_taken(
    http: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    assert (await http.post(path, json=body)).status_code == 200


async def test_a_day_is_no_number(http: httpx.AsyncClient) -> None:
    for day in ("0", "1700000000", "-1", "1e9"):
        assert (await http.get("/v1/usage", params={"until": day})).status_code == 400
    answer = await http.get("/v1/usage", params={"until": "2026-01-31", "since": "2026-01-01"})
    assert answer.status_code != 400 or "book" in answer.text


async def test_the_path_of_an_answer_takes_what_its_route_takes(http: httpx.AsyncClient) -> None:
    told = await http.options("/v1/threads/a/b/answer")
    assert told.headers["Allow"] == "OPTIONS, POST"
    assert (await http.delete("/v1/threads/a/b/answer")).status_code == 405
    assert (await http.get("/v1/threads/a/b")).status_code == 404
