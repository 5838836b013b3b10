"""What frameworks send by default is taken, what cannot be done is refused; methods and bodies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from graphs.answer import build
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from tests.scripted import scripted_fleet
from tests.unit.serving.test_http import USER, told

CHAT = "/v1/chat/completions"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    fleet, _ = scripted_fleet(told, told)
    transport = httpx.ASGITransport(
        make_app(Service(fleet, {"answer": build})), raise_app_exceptions=False
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://o") as client:
        yield client
    await fleet.close()


@pytest.mark.parametrize(
    "asked",
    [
        {"tool_choice": "none", "tools": []},
        {"tool_choice": "none", "tools": [{"type": "function", "function": {"name": "look"}}]},
        {"tool_choice": "auto", "parallel_tool_calls": True, "functions": [], "stop": []},
        {"reasoning_effort": "high", "verbosity": "low", "temperature": 2, "top_p": 0},
        {"stream": None, "stop": None, "n": None, "tools": None, "metadata": None, "user": None},
        {"n": 1, "logprobs": False, "top_logprobs": 0, "logit_bias": {}, "stop": ""},
        {"presence_penalty": 0.0, "frequency_penalty": 0, "modalities": ["text"], "audio": None},
        {"user": "u", "store": True, "service_tier": "auto", "safety_identifier": "s"},
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "metadata": {"a": "b"}},
        {"max_tokens": 9, "max_completion_tokens": None, "response_format": {"type": "text"}},
        {"stream_options": {"include_usage": True, "include_obfuscation": False}},
    ],
)
async def test_what_frameworks_send_by_default_is_taken(
    http: httpx.AsyncClient, asked: dict[str, Any]
) -> None:
    answer = await http.post(CHAT, json={"messages": USER, **asked})
    assert answer.status_code == 200, answer.text


async def test_what_has_no_effect_is_said(http: httpx.AsyncClient) -> None:
    asked = {"temperature": 0, "seed": 0, "reasoning_effort": "low", "store": False}
    answer = await http.post(CHAT, json={"messages": USER, "service_tier": "auto", **asked})
    assert answer.json()["orchestra"]["notes"] == [
        "temperature, seed had no effect: how tokens are drawn stands on the model's card",
        "reasoning_effort had no effect: how long a model thinks stands on its card",
    ]


@pytest.mark.parametrize(
    ("asked", "param", "told"),
    [
        ({"temperature": 99}, "temperature", "less than or equal to 2 (got 99)"),
        ({"top_p": -0.1}, "top_p", "greater than or equal to 0"),
        ({"n": 2}, "n", "send it again for another"),
        ({"stop": ["\n"]}, "stop", "cut it yourself"),
        ({"tools": [{"type": "function"}]}, "body", "tools holds 1, and no tool is called here"),
        ({"tool_choice": "required"}, "tool_choice", "let a graph call them"),
        ({"logprobs": True}, "logprobs", "orchestra.fields"),
        ({"logit_bias": {"7": 1}}, "logit_bias", "leave it out"),
        ({"max_tokens": 10**30}, "max_tokens", "less than or equal to"),
        ({"colour": "red", "n": 2}, "colour", "Keys: model, messages, stream"),
        ({"messages": "hi"}, "messages", "valid list"),
        ({"model": "answer", "max_tokens": 9}, None, "bounds of the graph 'answer'"),
        ({"model": "answer", "max_completion_tokens": 9}, None, "orchestra.budget.tokens"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_name(
    http: httpx.AsyncClient, asked: dict[str, Any], param: str | None, told: str
) -> None:
    answer = await http.post(CHAT, json={"messages": USER, **asked})
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["param"] is None if param is None else error["param"].startswith(param)
    assert told in error["message"]


async def test_the_usage_of_a_reply_that_was_reused_is_what_was_asked(
    http: httpx.AsyncClient,
) -> None:
    first, second = [(await http.post(CHAT, json={"messages": USER})).json() for _ in range(2)]
    whole = first["usage"]
    assert whole["prompt_tokens"] > 0 and whole["completion_tokens"] > 0
    assert whole["prompt_tokens_details"] == {"cached_tokens": 0}
    assert second["orchestra"]["cost_usd"] == 0
    cached = {"cached_tokens": whole["prompt_tokens"]}
    assert second["usage"] == {**whole, "prompt_tokens_details": cached}


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b'{"messages": NaN}', "NaN is no JSON"),
        (b'{"top_p": Infinity}', "Infinity is no JSON"),
        (b'{"model": "\\ud800"}', "half of a surrogate pair"),
        (b'{"\\udfff": 1}', "half of a surrogate pair"),
        (b'{"model": "\xff"}', "byte 11 is b'\\xff'"),
        (b"[" * 100_000, "100,000 deep in each other; the limit is 64"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "5,000 digits; the limit is 300"),
        (b'{"model": ', "Expecting value at line 1, column 11"),
        (b"[1, 2]", "body"),
        (b"null", "body"),
        (b"", "body"),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/jobs"])
async def test_a_body_that_is_no_json_says_why(
    http: httpx.AsyncClient, path: str, raw: bytes, told: str
) -> None:
    answer = await http.post(path, content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert told in answer.json()["error"]["message"]


async def test_a_text_with_nul_and_whole_escapes_is_a_text(http: httpx.AsyncClient) -> None:
    raw = json.dumps({"text": "red\x00apple \U0001f34e"}).encode()
    answer = await http.post("/v1/jobs", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        (CHAT, "OPTIONS, POST"),
        ("/v1/models/r1", "GET, HEAD, OPTIONS"),
        ("/healthz", "GET, HEAD, OPTIONS"),
    ],
)
async def test_a_path_tells_its_methods_and_refuses_others(
    http: httpx.AsyncClient, path: str, allowed: str
) -> None:
    told = await http.options(path)
    assert (told.status_code, told.headers["allow"], told.content) == (204, allowed, b"")
    refused = await http.patch(path)
    assert (refused.status_code, refused.headers["allow"]) == (405, allowed)
    assert refused.json()["error"]["code"] == "WrongMethod"


async def test_head_is_get_without_its_body(http: httpx.AsyncClient) -> None:
    whole, head = await http.get("/v1/models"), await http.head("/v1/models")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]
    assert (await http.head(CHAT)).status_code == 405
    assert (await http.head("/none")).status_code == 404


async def test_a_slash_at_the_end_changes_nothing(http: httpx.AsyncClient) -> None:
    assert (await http.get("/v1/models/")).json() == (await http.get("/v1/models")).json()
    assert (await http.post(f"{CHAT}/", json={"messages": USER})).status_code == 200
    assert (await http.post("/", json={"text": "A red apple"})).status_code == 200


async def test_each_route_names_its_own_errors(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]
    chat, health = paths[CHAT]["post"]["responses"], paths["/healthz"]["get"]["responses"]
    assert {"400", "402", "404", "422", "429", "504"} <= set(chat)
    assert {"402", "404", "422", "504"}.isdisjoint(health)
    assert chat["422"]["content"]["application/json"]["schema"]["$ref"].endswith("/ProblemBody")
