"""Spans, log lines and metrics of requests over replicas that stand as if elsewhere."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import prometheus_client
import pytest
import yaml
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id
from opentelemetry.util._once import Once
from PIL import Image

from graphs.answer import build
from orchestra.app import Fleet
from orchestra.clients.handle import HandleClient
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Client
from orchestra.core.job import CallRecord, ErrorRecord, Result
from orchestra.observe import metrics
from orchestra.serving.http import make_app
from orchestra.serving.replica import ModelReplica
from orchestra.serving.service import Service
from orchestra.testing import ScriptedEngine
from tests.fake_handles import NearHandle
from tests.fake_server import endpoint_card, failing, serving

TEXT, KEY, TOKEN = "cashmere-jumper-91", "sk-live-4242", "token-of-a-photo"
CALLER = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"


def told(call: Call) -> Any:
    """The data again under a schema, else two words."""
    if call.schema is None:
        return "two words"
    return {name: call.text for name in call.schema["properties"]}


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Every span that ends, in an SDK that is gone after the test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    before = trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = None, Once()
    trace.set_tracer_provider(provider)
    yield exporter
    provider.shutdown()
    trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = before


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
    ours = [name.removeprefix("orchestra.") for name in way if name.startswith("orchestra.")]
    assert ours == ["engine", "call", "job", "http"]  # FastAPI has spans of its own above
    traces = {format_trace_id(span.context.trace_id) for span in found.values() if span.context}
    assert traces == {CALLER.split("-")[1]}
    assert engine.attributes == {"orchestra.model": "r1"}
    (line,) = (record for record in caplog.records if record.name == "orchestra.jobs")
    assert vars(line)["orchestra_trace"] == CALLER.split("-")[1]


async def test_an_error_marks_its_spans_by_type(
    http: httpx.AsyncClient, spans: InMemorySpanExporter
) -> None:
    await http.post("/v1/plan", json={"text": TEXT, "graph": "none"})
    face = by_name(spans)["orchestra.http"]
    assert not face.status.is_ok
    assert face.attributes == {"http.route": "plan", "error.type": "UnknownModel"}


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


def value(name: str, **labels: str) -> float:
    return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0


def test_metrics_count_jobs_calls_seconds_dollars_tokens_and_problems() -> None:
    call = CallRecord(node="look", model="tested", instruction="?", seconds=0.3)
    call = call.model_copy(update={"input_tokens": 70, "output_tokens": 3})
    paid = call.model_copy(update={"cost_usd": Decimal("0.002")})
    reused = call.model_copy(update={"reused": True})
    error = ErrorRecord(stage="look", type="AnswerTruncated", message="cut")
    failed = call.model_copy(update={"error": error})
    over = paid.model_copy(update={"cost_usd": Decimal(14), "overrun_usd": Decimal(13)})
    lost = failed.model_copy(update={"cost_usd": Decimal("0.5"), "presumed": True})
    for one in (over, lost):
        metrics.count_result(
            Result(status="failed", calls=(one.model_copy(update={"model": "greedy"}),))
        )
    assert value("orchestra_cost_usd_total", model="greedy") == pytest.approx(14.5)
    assert value("orchestra_overrun_usd_total", model="greedy") == pytest.approx(13)
    assert value("orchestra_presumed_usd_total", model="greedy") == pytest.approx(0.5)
    result = Result(status="partial", calls=(paid, reused, failed), seconds=0.7)
    jobs = value("orchestra_jobs_total", status="partial")
    long = value("orchestra_job_seconds_sum")
    problems = value("orchestra_problems_total", type="RateLimited")
    metrics.count_result(result)
    metrics.count_problem("RateLimited")
    assert value("orchestra_jobs_total", status="partial") == jobs + 1
    assert value("orchestra_job_seconds_sum") == pytest.approx(long + 0.7)
    assert value("orchestra_problems_total", type="RateLimited") == problems + 1
    calls = {
        outcome: value("orchestra_model_calls_total", model="tested", outcome=outcome)
        for outcome in ("answered", "reused", "AnswerTruncated")
    }
    assert calls == {"answered": 1.0, "reused": 1.0, "AnswerTruncated": 1.0}
    assert value("orchestra_model_call_seconds_sum", model="tested") == pytest.approx(0.9)
    assert value("orchestra_cost_usd_total", model="tested") == pytest.approx(0.002)
    assert value("orchestra_tokens_total", model="tested", way="in") == 140  # not the reused one
    assert value("orchestra_tokens_total", model="tested", way="out") == 6
    assert b'orchestra_tokens_total{model="tested",way="in"} 140.0' in metrics.exposition()
