"""The HTTP face over scripted engines, without Ray."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Message

from graphs.answer import build
from orchestra.clients.engine import Call
from orchestra.observe import metrics
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from orchestra.testing import ScriptedEngine
from tests.scripted import scripted_fleet

USER = [{"role": "user", "content": "What is it?"}]


def told(call: Call) -> Any:
    """The first allowed value under a schema, else two words."""
    if call.schema is None:
        return "two words"
    return {name: "red apple" for name in call.schema["properties"]}


def service(**options: Any) -> tuple[Service, dict[str, ScriptedEngine]]:
    fleet, engines = scripted_fleet(told, told, **options)
    return Service(fleet, {"answer": build}), engines


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    served, _ = service()
    transport = httpx.ASGITransport(make_app(served), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as client:
        yield client
    await served.fleet.close()


async def test_a_job_comes_back_whole_and_is_counted(http: httpx.AsyncClient) -> None:
    before = metrics.exposition().count(b"orchestra_cost_usd_total")
    answer = await http.post("/v1/jobs", json={"text": "A red apple from Italy."})
    assert answer.status_code == 200
    result = answer.json()
    assert result["fields"]["answer"]["value"] == "red apple"
    assert result["plan"]["nodes"][0]["model"] == "r1" and result["cost_usd"] > 0
    after = (await http.get("/metrics")).content
    assert after.count(b"orchestra_cost_usd_total") >= max(1, before)


async def test_a_chat_is_answered_with_usage_and_what_it_cost(http: httpx.AsyncClient) -> None:
    answer = (await http.post("/v1/chat/completions", json={"messages": USER})).json()
    assert answer["choices"][0]["message"]["content"] == "two words"
    assert answer["usage"]["completion_tokens"] > 0
    assert answer["orchestra"]["models"] == ["r1"] and answer["orchestra"]["cost_usd"] > 0


async def test_a_streamed_chat_tells_pieces_then_why_it_ended(http: httpx.AsyncClient) -> None:
    asked = {"model": "r1", "messages": USER, "stream": True}
    lines = (await http.post("/v1/chat/completions", json=asked)).text.split("\n\n")
    events = [line.removeprefix("data: ") for line in lines if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    deltas = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert [delta for delta in deltas if delta] == ["two", " words"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("change", "status", "part"),
    [
        ({"model": "none"}, 404, "Use one of: auto, answer, r1, vl"),
        ({"n": 2}, 400, "n: "),
        ({"tools": [{}]}, 400, "tools"),
        ({"colour": "red"}, 400, "colour"),
        ({"response_format": {"type": "json_object"}}, 400, "json_schema"),
        ({"messages": []}, 400, "messages"),
        ({"orchestra": {"budget": {"latency_ms": 0}}}, 504, "latency_ms=0"),
        ({"orchestra": {"budget": {"cost_usd": 0}}}, 422, "smallest budget"),
        ({"orchestra": {"budget": {"cost_usd": -1}}}, 400, "cost_usd"),
    ],
)
async def test_a_bad_chat_says_what_to_do(
    http: httpx.AsyncClient, change: dict[str, Any], status: int, part: str
) -> None:
    answer = await http.post("/v1/chat/completions", json={"messages": USER, **change})
    assert answer.status_code == status
    assert part in answer.json()["error"]["message"]


async def test_bad_photos_paths_and_bodies_are_refused(http: httpx.AsyncClient) -> None:
    part = {"type": "image_url", "image_url": {"url": "/etc/hostname"}}
    asked = {"messages": [{"role": "user", "content": [part]}]}
    fleet, _ = scripted_fleet(told, told)
    assert fleet.image_limits.allow_files  # here; the ingress refuses files
    missing = {"messages": [{"role": "user", "content": [part | {"image_url": {"url": "none"}}]}]}
    assert (await http.post("/v1/chat/completions", json=missing)).status_code == 400
    assert (await http.post("/v1/chat/completions", json=asked)).status_code == 400
    await fleet.close()
    plain = await http.post("/v1/jobs", content=b'{"text": "hi"}')
    assert plain.status_code == 400 and "application/json" in plain.json()["error"]["message"]
    large = await http.post("/v1/jobs", content=b"0" * (49 << 20))
    assert (large.status_code, large.json()["error"]["code"]) == (413, "BodyTooLarge")
    lost = await http.get("/v2/jobs")
    assert (lost.status_code, lost.json()["error"]["code"]) == (404, "NoSuchRoute")
    unknown = await http.post("/v1/plan", json={"text": "hi", "graph": "none"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "UnknownModel")


async def test_a_client_that_hangs_up_stops_the_decoding() -> None:
    served, engines = service(delay_s=30.0)
    app = make_app(served)
    body = json.dumps({"text": "A red apple"}).encode()
    came: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[Message] = []

    async def receive() -> Message:
        if came:
            return came.pop(0)
        while not engines["r1"].calls:
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/v1/jobs", "raw_path": b"/v1/jobs",
        "query_string": b"", "headers": [(b"content-type", b"application/json")],
        "http_version": "1.1", "scheme": "http", "server": ("orchestra", 80), "root_path": "",
    }  # fmt: skip
    await asyncio.wait_for(app(scope, receive, send), timeout=20)
    assert sent[0]["status"] == 499
    # The engine is free again: another call is answered though the first one had 30 s to go.
    engines["r1"].delay_s = 0.0
    answer = await asyncio.wait_for(served.fleet.client("r1").complete(Call("hi")), timeout=20)
    assert answer.text == "two words"
    await served.fleet.close()


async def test_the_document_names_every_route(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert {"/v1/jobs", "/v1/plan", "/v1/chat/completions", "/v1/models", "/readyz"} <= set(paths)
    assert (await http.get("/readyz")).json() == {
        "status": "ok", "models": {"r1": "ready", "vl": "ready"},
    }  # fmt: skip
