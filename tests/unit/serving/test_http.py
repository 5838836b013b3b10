"""The HTTP face over scripted engines, without Ray."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import httpx
import prometheus_client
import pytest
from fastapi import FastAPI
from langgraph.graph import END, START, StateGraph
from starlette.types import Message

from graphs.answer import build
from orchestra import Context, Fleet, JobState, ask
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Client, IsCancelled, OnText, Reply
from orchestra.core.errors import OrchestraError
from orchestra.fleet.source import load_fleet
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
        ({"model": "none"}, 404, "Use one of: auto, answer, "),
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


async def test_models_are_listed_and_told_one_by_one(http: httpx.AsyncClient) -> None:
    listed = (await http.get("/v1/models")).json()["data"]
    assert [entry["id"] for entry in listed][:2] == ["auto", "answer"]
    for entry in listed:
        assert (await http.get(f"/v1/models/{entry['id']}")).json() == entry
    none = await http.get("/v1/models/deepseek-ai/none")
    assert none.status_code == 404
    assert "'deepseek-ai/none'. Use one of: auto, answer, " in none.json()["error"]["message"]


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


class Caller:
    """A client right at the ASGI face, which hangs up when `is_enough` says so."""

    def __init__(self, path: str, asked: Any, is_enough: Callable[[], bool]) -> None:
        body = json.dumps(asked).encode()
        self._came: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._path, self._is_enough = path, is_enough
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self._came:
            return self._came.pop(0)
        while not self._is_enough():
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def call(self, app: FastAPI) -> None:
        scope = {
            "type": "http", "method": "POST", "path": self._path,
            "raw_path": self._path.encode(), "query_string": b"",
            "headers": [(b"content-type", b"application/json")], "http_version": "1.1",
            "scheme": "http", "server": ("orchestra", 80), "root_path": "",
        }  # fmt: skip
        await asyncio.wait_for(app(scope, self.receive, self.send), timeout=20)


async def is_free(served: Service, engine: ScriptedEngine) -> bool:
    """Whether another call is answered, though the one before it had long to go."""
    engine.delay_s = 0.0
    answer = await asyncio.wait_for(served.fleet.client("r1").complete(Call("hi")), timeout=20)
    return answer.text == "two words"


STREAM = {"model": "r1", "messages": USER, "stream": True}


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v1/jobs", {"text": "A red apple"}),
        ("/v1/chat/completions", {"messages": USER}),
        ("/v1/chat/completions", STREAM),  # before its first piece
    ],
)
async def test_a_client_that_hangs_up_stops_the_decoding(path: str, asked: Any) -> None:
    served, engines = service(delay_s=30.0)
    caller = Caller(path, asked, lambda: bool(engines["r1"].calls))
    await caller.call(make_app(served))
    assert caller.sent[0]["status"] == 499
    assert await is_free(served, engines["r1"])
    await served.fleet.close()


async def test_a_request_that_its_server_cancels_is_counted_and_stops_the_decoding() -> None:
    served, engines = service(delay_s=30.0)
    before = cancelled()
    caller = Caller("/v1/jobs", {"text": "A red apple"}, lambda: False)
    request = asyncio.create_task(caller.call(make_app(served)))
    while not engines["r1"].calls:
        await asyncio.sleep(0.01)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert cancelled() == before + 1
    assert await is_free(served, engines["r1"])
    await served.fleet.close()


@pytest.mark.parametrize("came", [b"", b'{"text": "A red'])
async def test_who_leaves_before_the_body_is_whole_hung_up(came: bytes) -> None:
    served, engines = service()
    caller = Caller("/v1/jobs", {}, lambda: False)
    coming: list[Message] = [{"type": "http.request", "body": came, "more_body": True}]

    async def receive() -> Message:
        return coming.pop() if coming else {"type": "http.disconnect"}

    caller.receive = receive
    before = cancelled()
    await caller.call(make_app(served))
    assert caller.sent[0]["status"] == 499
    assert cancelled() == before + 1 and not engines["r1"].calls
    await served.fleet.close()


def leaving_build() -> StateGraph[JobState, Context]:
    async def wait(state: JobState) -> dict[str, Any]:
        raise asyncio.CancelledError  # as a response of Ray does whose asker has left

    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("wait", wait)
    graph.add_edge(START, "wait")
    return graph


async def test_what_ray_cancels_under_a_node_is_a_hang_up_and_no_bug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    fleet, _ = scripted_fleet(told, told)
    before = cancelled()
    transport = httpx.ASGITransport(make_app(Service(fleet, {"leaving": leaving_build})))
    async with fleet, httpx.AsyncClient(transport=transport, base_url="http://o") as client:
        answer = await client.post("/v1/jobs", json={"text": "A red apple"})
    assert answer.status_code == 499 and cancelled() == before + 1
    assert answer.json()["error"]["code"] == "Cancelled"
    assert [record.levelname for record in caplog.records] == ["WARNING"]


class Telling(ScriptedEngine):
    """Tells one piece, then takes its time."""

    def generate(
        self,
        calls: Sequence[Call],
        is_cancelled: IsCancelled | None = None,
        on_text: OnText | None = None,
    ) -> list[Reply | OrchestraError]:
        if on_text is not None:
            on_text(0, "one ")
        return super().generate(calls, is_cancelled, on_text)


@pytest.mark.parametrize("is_deaf", [False, True], ids=["after a piece", "before the first event"])
async def test_a_client_that_leaves_a_stream_stops_the_decoding(is_deaf: bool) -> None:
    engine = Telling(told, delay_s=30.0)
    clients: dict[str, Client] = {"r1": InProcessClient("r1", lambda: engine)}
    served = Service(Fleet.open("mini", clients=clients), {"answer": build})
    caller = Caller("/v1/chat/completions", STREAM, lambda: b"one " in b"".join(pieces()))

    def pieces() -> list[bytes]:
        return [message.get("body", b"") for message in caller.sent]

    async def refuse(message: Message) -> None:
        raise ConnectionResetError(message["type"])

    before = cancelled()
    if is_deaf:
        caller.send = refuse
        with pytest.raises(ConnectionResetError):
            await caller.call(make_app(served))
    else:
        await caller.call(make_app(served))
    assert await is_free(served, engine)
    assert cancelled() == before + 1
    await served.fleet.close()


def cancelled() -> float:
    name, labels = "orchestra_problems_total", {"type": "Cancelled"}
    return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0


def broken(state: JobState) -> JobState:
    raise LookupError("no row for cashmere-jumper-91")


def broken_build() -> StateGraph[JobState, Context]:
    """A graph with a node of the user's own that fails."""
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("answer", ask("text", "What is it?"))
    graph.add_node("look_up", broken)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", "look_up")
    graph.add_edge("look_up", END)
    return graph


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_node_that_fails_costs_no_paid_answer_and_its_message_stays_inside(
    is_stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    fleet, _ = scripted_fleet(told, told)
    transport = httpx.ASGITransport(make_app(Service(fleet, {"broken": broken_build})))
    asked = {"model": "broken", "messages": USER, "stream": is_stream}
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as client:
        with caplog.at_level(logging.INFO):
            answer = await asyncio.wait_for(client.post("/v1/chat/completions", json=asked), 20)
            job = await asyncio.wait_for(client.post("/v1/jobs", json={"text": "Hi"}), 20)
    assert (answer.status_code, job.status_code) == (200, 200)
    done = job.json()
    assert done["status"] == "partial" and done["answer"]
    assert (
        done["errors"][0]["stage"] == "look_up" and "server's log" in done["errors"][0]["message"]
    )
    line = next(record for record in caplog.records if hasattr(record, "orchestra_lines"))
    assert vars(line)["orchestra_type"] == "LookupError"
    assert "test_http.py" in vars(line)["orchestra_lines"][-1]
    shown = str([vars(record) for record in caplog.records]) + answer.text + job.text
    assert "cashmere" not in shown
    await fleet.close()


@pytest.mark.parametrize(
    ("image", "code", "part"),
    [
        ("http://127.0.0.1/x.png", "ImageForbidden", "not a public address"),
        ("http://169.254.169.254/latest", "ImageForbidden", "not a public address"),
        ("ftp://example.org/x.png", "ImageForbidden", "only http, https, data and file"),
        ("data:image/png;base64,AAAA", "ImageUnreadable", ""),
    ],
)
async def test_a_job_of_a_photo_that_cannot_be_used_is_refused_and_one_with_text_goes_on(
    http: httpx.AsyncClient, image: str, code: str, part: str
) -> None:
    alone = await http.post("/v1/jobs", json={"images": [image]})
    assert (alone.status_code, alone.json()["error"]["code"]) == (400, code)
    assert part in alone.json()["error"]["message"]
    both = await http.post("/v1/jobs", json={"images": [image], "text": "A red apple"})
    assert both.status_code == 200 and both.json()["status"] == "partial"
    assert [error["type"] for error in both.json()["errors"]] == [code]


async def test_a_body_that_grows_over_the_bound_is_refused_as_it_comes(
    http: httpx.AsyncClient,
) -> None:
    async def blocks(opening: bytes) -> AsyncIterator[bytes]:
        yield opening
        for _ in range(49):
            yield b"0" * (1 << 20)

    headers = {"Content-Type": "application/json"}
    photo, text = b'{"images": ["data:image/png;base64,', b'{"text": "'
    for opening, cure in ((photo, "Send a smaller photo"), (text, "Send less text")):
        answer = await http.post("/v1/jobs", content=blocks(opening), headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "BodyTooLarge")
        assert cure in answer.json()["error"]["message"]


async def test_the_document_names_every_route(http: httpx.AsyncClient) -> None:
    paths = (await http.get("/openapi.json")).json()["paths"]
    assert {"/v1/jobs", "/v1/plan", "/v1/chat/completions", "/v1/models", "/readyz"} <= set(paths)
    state = (await http.get("/readyz")).json()
    assert state["status"] == "ok" and set(state["models"].values()) == {"ready"}
    assert set(state["models"]) == {card.name for card in load_fleet("mini")[0].models}
