"""Spans that are sent to a collector, which is a real HTTP server of this test."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from orchestra.core.errors import MissingExtra, UsageError
from orchestra.observe import otlp
from orchestra.observe.trace import span

ROOT = Path(__file__).parents[3]


class Collector(ThreadingHTTPServer):
    """What came in: names of services, and of their spans."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.services: set[str] = set()
        self.names: list[str] = []
        super().__init__(("127.0.0.1", 0), _Post)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take(self, path: str, body: bytes) -> None:
        sent = ExportTraceServiceRequest.FromString(body)
        self.paths.append(path)
        for resource in sent.resource_spans:
            for attribute in resource.resource.attributes:
                if attribute.key == "service.name":
                    self.services.add(attribute.value.string_value)
            self.names += [each.name for scope in resource.scope_spans for each in scope.spans]


class _Post(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            raise AssertionError("nobody asked for gzip")
        assert isinstance(self.server, Collector)
        self.server.take(self.path, body)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing said, and what `check` sets by default forgotten after the test."""
    more = ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER", otlp.DELAY)
    for name in (*otlp.ENDPOINTS, *otlp.PROTOCOLS, otlp.SERVICE, *more):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_spans_of_this_process_reach_the_collector_under_the_service_s_name(
    no_sdk: None, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    otlp.begin()
    with span("seen"):
        pass
    provider = trace.get_tracer_provider()
    assert provider.force_flush()  # type: ignore[attr-defined]
    provider.shutdown()  # type: ignore[attr-defined]
    assert collector.names == ["seen"]
    assert collector.paths == ["/v1/traces"]
    assert collector.services == {"orchestra"}


def test_a_command_sends_its_spans_before_it_ends(collector: Collector) -> None:
    said = [sys.executable, "-m", "orchestra", "run", "A red shirt", "--graph", "listing"]
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_SERVICE_NAME": "shop",
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(said, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "invoke_workflow listing" in collector.names
    assert any(name.startswith("chat ") for name in collector.names)
    assert collector.services == {"shop"}


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:1/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_nothing_is_sent_unless_the_environment_says_where(
    said: dict[str, str], wanted: bool, no_sdk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    assert otlp.is_wanted() is wanted
    if not wanted:
        otlp.begin()
        assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        assert otlp.processors() == []


def test_a_file_and_a_collector_are_both_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRA_TRACES", str(tmp_path / "traces.jsonl"))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    file, sender = otlp.processors()
    sender.shutdown()
    file.shutdown()


def test_what_cannot_be_done_is_an_error_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(UsageError, match=r"OTEL_EXPORTER_OTLP_PROTOCOL='grpc'.*4318"):
        otlp.check()
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_PROTOCOL")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "half")
    with pytest.raises(UsageError, match="OTEL_TRACES_SAMPLER_ARG='half'"):
        otlp.check()
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    assert otlp.sampling_ratio() == 0.5
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(MissingExtra, match=r"orchestra-fleet\[otel\]"):
        otlp.check()
