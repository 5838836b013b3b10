"""Spans and log lines of requests over replicas that stand as if elsewhere."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from langgraph.graph import END, START, StateGraph
from langgraph.types import interrupt
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id
from PIL import Image

from graphs.answer import build
from orchestra.app import Fleet
from orchestra.clients.handle import HandleClient
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Client
from orchestra.core.job import Job
from orchestra.core.state import Context, JobState
from orchestra.observe.genai import provider_of
from orchestra.observe.trace import continued, is_on, span
from orchestra.serving.http import make_app
from orchestra.serving.replica import ModelReplica
from orchestra.serving.service import Service
from orchestra.testing import ScriptedEngine
from tests.fake_handles import NearHandle
from tests.servers.fake_server import FakeServer, chat, endpoint_card, failing, serving, streamed

TEXT, KEY, TOKEN = "cashmere-jumper-91", "sk-live-4242", "token-of-a-photo"
CALLER = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"


def told(call: Call) -> Any:
    """The data again under a schema, else two words."""
    if call.schema is None:
        return "two words"
    return {name: call.text for name in call.schema["properties"]}


@asynccontextmanager
async def asked_of(fleet: str, clients: dict[str, Client]) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the HTTP face over a fleet."""
    opened = Fleet.open(fleet, clients=clients)
    transport = httpx.ASGITransport(
        make_app(Service(opened, {"answer": build})), raise_app_exceptions=False
    )
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as http:
        yield http
    await opened.close()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """Over the `mini` cards, each model reached by a handle that carries no context."""
    near = {name: InProcessClient(name, lambda: ScriptedEngine(told)) for name in ("r1", "vl")}
    clients: dict[str, Client] = {
        name: HandleClient(name, NearHandle(ModelReplica("mini", name, client)))
        for name, client in near.items()
    }
    async with asked_of("mini", clients) as client:
        yield client
    for client in near.values():
        await client.close()


def photo() -> str:
    data = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def by_name(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


def parent_of(span: ReadableSpan) -> str:
    assert span.parent is not None
    return format_span_id(span.parent.span_id)


def id_of(span: ReadableSpan) -> str:
    assert span.context is not None
    return format_span_id(span.context.span_id)


async def test_one_trace_goes_from_the_caller_through_http_to_the_engine(
    http: httpx.AsyncClient, spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "orchestra"):
        job = {"text": f"A red {TEXT}"}
        answer = await http.post("/v1/jobs", json=job, headers={"traceparent": CALLER})
    assert answer.status_code == 200
    found = {id_of(span): span for span in spans.get_finished_spans()}
    engine = by_name(spans)["orchestra.engine"]
    way, above = [engine.name], parent_of(engine)  # over the handle, by the carrier alone
    while above in found:
        way.append(found[above].name)
        above = parent_of(found[above])
    assert above == CALLER.split("-")[2]
    graph = ["node read", "invoke_workflow answer"]
    assert way == ["orchestra.engine", "chat r1", *graph, "POST /v1/jobs"]
    traces = {format_trace_id(span.context.trace_id) for span in found.values() if span.context}
    assert traces == {CALLER.split("-")[1]}
    told = attributes(engine)
    assert told.pop("orchestra.queue_seconds") >= 0
    assert told == {"orchestra.model": "r1", "orchestra.batch_size": 1}
    (line,) = (record for record in caplog.records if record.name == "orchestra.jobs")
    assert vars(line)["orchestra_trace"] == CALLER.split("-")[1]


async def test_an_error_marks_its_spans_by_type(
    http: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    await http.post(f"/v1/plan?text={TEXT}", json={"text": TEXT, "graph": "none"})
    face = by_name(spans)["POST /v1/plan"]
    assert face.kind is SpanKind.SERVER
    assert face.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 404,
        "http.route": "/v1/plan",
        "orchestra.error": "UnknownModel",
        "server.address": "orchestra",
        "url.scheme": "http",
    }
    await http.get(f"/{TEXT}")
    assert TEXT not in by_name(spans)["GET"].to_json()  # a path that nobody knows is no route


async def test_no_text_photo_address_or_key_is_on_a_span_or_in_a_log_line(
    tmp_path: Path,
    http: httpx.AsyncClient,
    spans: InMemorySpanExporter,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TESTED_KEY", KEY)
    pixels = photo()
    seen = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixels}"}}
    hidden = {"type": "image_url", "image_url": {"url": f"http://127.0.0.1/{TOKEN}.png"}}
    said = {"type": "text", "text": TEXT}
    requests: list[dict[str, Any]] = [
        {"messages": [{"role": "user", "content": [said, seen]}]},
        {"messages": [{"role": "user", "content": [said, hidden]}]},
        {"messages": [{"role": "user", "content": TEXT}], "model": TEXT},
        {"messages": [{"role": "user", "content": TEXT}], TEXT: 1},
    ]
    headers = {"Authorization": f"Bearer {KEY}"}
    with caplog.at_level(logging.INFO):
        answers = [
            await http.post("/v1/chat/completions", json=asked, headers=headers)
            for asked in requests
        ]
        with serving(failing(401, f"Incorrect API key provided: {KEY}")) as server:
            card = endpoint_card(server.url, endpoint={"api_key_env": "TESTED_KEY"})
            file = {"name": "far", "models": [card.model_dump(mode="json")]}
            path = tmp_path / "far.yaml"
            path.write_text(yaml.safe_dump(file), encoding="utf-8")
            async with asked_of(str(path), {}) as far:
                answers.append(await far.post("/v1/jobs", json={"text": TEXT}))
            assert server.headers[-1]["Authorization"] == f"Bearer {KEY}"
    assert [answer.status_code for answer in answers] == [200, 400, 404, 400, 200]
    assert answers[-1].json()["status"] == "failed"
    assert KEY not in answers[-1].text
    lines = [json.dumps(vars(record), default=str) for record in caplog.records]
    told = lines + [span.to_json() for span in spans.get_finished_spans()]
    assert len(told) > 8
    for secret in (TEXT, KEY, TOKEN, pixels[40:80]):
        assert [one for one in told if secret in one] == []


def test_the_callers_trace_is_gone_on_with_whatever_ray_began(
    spans: InMemorySpanExporter,
) -> None:
    sent = {"traceparent": CALLER}
    with span("of ray alone"), span("ours", None, sent), continued(sent), span("below"):
        """Ray began a trace of its own."""
    with span("of the caller", None, sent), span("inner", None, sent):
        """Ray carried the caller's over."""
    found = by_name(spans)
    traces = {name: format_trace_id(s.context.trace_id) for name, s in found.items() if s.context}
    own = traces.pop("of ray alone")
    assert own != CALLER.split("-")[1]
    assert set(traces.values()) == {CALLER.split("-")[1]}
    assert parent_of(found["ours"]) == CALLER.split("-")[2]
    assert parent_of(found["below"]) == id_of(found["ours"])
    assert parent_of(found["inner"]) == id_of(found["of the caller"])


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


async def test_a_call_of_a_model_is_told_in_the_words_of_the_conventions(
    http: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    await http.post("/v1/jobs", json={"text": f"A red {TEXT}"})
    call = by_name(spans)["chat r1"]
    assert call.kind is SpanKind.INTERNAL
    told = attributes(call)
    assert told["orchestra.queue_seconds"] >= 0
    del told["orchestra.queue_seconds"]
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.output.type": "json",
        "gen_ai.provider.name": "orchestra",
        "gen_ai.request.max_tokens": told["gen_ai.request.max_tokens"],
        "gen_ai.request.model": "r1",
        "gen_ai.request.stream": False,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.model": "r1",
        "gen_ai.usage.input_tokens": told["gen_ai.usage.input_tokens"],
        "gen_ai.usage.output_tokens": told["gen_ai.usage.output_tokens"],
        "orchestra.batch_size": 1,
        "orchestra.model": "r1",
        "orchestra.node": "read",
        "orchestra.reused": False,
    }
    run = attributes(by_name(spans)["invoke_workflow answer"])
    assert run["gen_ai.operation.name"] == "invoke_workflow"
    assert run["gen_ai.workflow.name"] == "answer"
    assert run["orchestra.status"] == "complete"


async def far_spans(
    tmp_path: Path, *script: Any, stream: bool = False, **endpoint: Any
) -> tuple[FakeServer, httpx.Response]:
    with serving(*script) as server:
        card = endpoint_card(server.url, endpoint=endpoint)
        file = {"name": "far", "models": [card.model_dump(mode="json")]}
        path = tmp_path / "far.yaml"
        path.write_text(yaml.safe_dump(file), encoding="utf-8")
        asked = {"model": "far", "messages": [{"role": "user", "content": TEXT}]}
        async with asked_of(str(path), {}) as far:
            answer = await far.post("/v1/chat/completions", json={**asked, "stream": stream})
        return server, answer


async def test_a_server_is_told_the_trace_and_tells_which_model_answered(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    said = chat("two words")
    said.body["model"] = "tiny-2026-11"
    server, _ = await far_spans(tmp_path, said)
    call = by_name(spans)["chat tiny"]
    assert call.kind is SpanKind.CLIENT
    told = attributes(call)
    address, _, port = server.url.removeprefix("http://").removesuffix("/v1").partition(":")
    assert (told["server.address"], told["server.port"]) == (address, int(port))
    assert told["gen_ai.provider.name"] == "openai_compatible"
    assert told["gen_ai.request.model"] == "tiny"
    assert told["gen_ai.response.model"] == "tiny-2026-11"
    assert told["gen_ai.usage.input_tokens"] == 10
    assert told["gen_ai.usage.output_tokens"] == 5
    assert call.context is not None
    sent = {name.lower(): value for name, value in server.headers[-1].items()}
    trace, span = format_trace_id(call.context.trace_id), format_span_id(call.context.span_id)
    assert sent["traceparent"].startswith(f"00-{trace}-{span}-")


async def test_a_streamed_answer_tells_when_its_first_piece_came(
    tmp_path: Path, spans: InMemorySpanExporter
) -> None:
    _, answer = await far_spans(tmp_path, streamed("two ", "words"), stream=True)
    assert "[DONE]" in answer.text
    told = attributes(by_name(spans)["chat tiny"])
    assert told["gen_ai.request.stream"] is True
    assert told["gen_ai.response.time_to_first_chunk"] >= 0
    # The span of the request ends with the last byte, not with the headers.
    ends = {span.name: span.end_time or 0 for span in spans.get_finished_spans()}
    assert ends["POST /v1/chat/completions"] >= ends["chat tiny"]


async def test_a_failed_call_is_marked_and_a_key_that_is_echoed_as_a_name_is_not_told(
    tmp_path: Path, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await far_spans(tmp_path, failing(400, f"no {TEXT}"))
    call = by_name(spans)["chat tiny"]
    assert not call.status.is_ok
    assert attributes(call)["error.type"] == "ModelError"
    spans.clear()
    monkeypatch.setenv("TESTED_KEY", KEY)
    said = chat("two words")
    said.body["model"] = KEY
    await far_spans(tmp_path, said, api_key_env="TESTED_KEY")
    assert KEY not in by_name(spans)["chat tiny"].to_json()


async def test_without_an_sdk_no_span_is_made_and_no_header_sent(tmp_path: Path) -> None:
    server, answer = await far_spans(tmp_path, chat("two words"))
    assert answer.status_code == 200
    assert "traceparent" not in {name.lower() for name in server.headers[-1]}
    assert not is_on()


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://shop.openai.azure.com/openai/v1", "azure.ai.openai"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://notopenai.com/v1", "openai_compatible"),
        ("http://127.0.0.1:8000/v1", "openai_compatible"),
    ],
)
def test_a_provider_is_known_by_its_host(url: str, provider: str) -> None:
    assert provider_of(endpoint_card(url)) == provider


async def test_a_node_that_raises_is_marked_and_one_that_asks_a_person_is_not(
    spans: InMemorySpanExporter,
) -> None:
    def ask_person(state: JobState) -> dict[str, Any]:
        return {"answer": interrupt("which?")}

    def fail(state: JobState) -> dict[str, Any]:
        raise RuntimeError(TEXT)

    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("person", ask_person)
    graph.add_node("broken", fail)
    graph.add_edge(START, "person")
    graph.add_edge(START, "broken")
    graph.add_edge("person", END)
    graph.add_edge("broken", END)
    async with Fleet.open("mini") as fleet:
        result = await fleet.run(graph, Job(text="a shirt"), thread_id="asked")
    assert result.status == "waiting"
    found = by_name(spans)
    assert attributes(found["node broken"])["error.type"] == "RuntimeError"
    assert TEXT not in found["node broken"].to_json()
    assert "error.type" not in attributes(found["node person"])
    assert attributes(found["node person"])["orchestra.stops"] is True
