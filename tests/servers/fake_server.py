"""A foreign OpenAI-compatible server for tests: it answers by a script, over real loopback HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from orchestra.core.card import Card


@dataclass(frozen=True)
class Said:
    """One answer: a status with a JSON body or raw bytes, or events of a stream.

    `pause_s` passes before it is sent, and all who are to meet at `meets` have asked by then;
    `breaks_off` closes the connection in its middle. `pieces` go out as they are, one after another
    as chunks of one body.
    """

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Any, ...] | None = None
    pieces: tuple[bytes, ...] | None = None
    pause_s: float = 0.0
    meets: threading.Barrier | None = None
    breaks_off: bool = False


@dataclass
class FakeServer:
    """What was asked of the server, and what it will say, in order; the last answer repeats."""

    url: str
    script: list[Said]
    models: Said = field(default_factory=lambda: Said({"data": [{"id": "tiny"}]}))
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0

    def next(self) -> Said:
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]


def chat(content: str | None, **changes: Any) -> Said:
    """A completion that says `content`; `usage`, `finish`, `logprobs`, `message` change it."""
    message = {"role": "assistant", "content": content} | changes.pop("message", {})
    choice = {"index": 0, "message": message, "finish_reason": changes.pop("finish", "stop")}
    if "logprobs" in changes:
        choice["logprobs"] = {"content": changes.pop("logprobs")}
    body = {"object": "chat.completion", "choices": [choice]}
    usage = changes.pop("usage", {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
    return Said(body if usage is None else body | {"usage": usage}, **changes)


def streamed(*pieces: str, finish: str | None = "stop", **changes: Any) -> Said:
    """A streamed completion in these pieces."""
    events: list[Any] = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
    if finish is not None:
        events.append({"choices": [{"delta": {}, "finish_reason": finish}]})
        events.append({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}})
        events.append("[DONE]")
    return Said(events=tuple(events), **changes)


def failing(status: int, message: str, **changes: Any) -> Said:
    """An error in OpenAI's shape."""
    return Said(
        {"error": {"message": message, "code": changes.pop("code", None)}}, status, **changes
    )


@contextmanager
def serving(*script: Said) -> Iterator[FakeServer]:
    """A server on a free port of this machine while the block runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    fake = FakeServer(f"http://127.0.0.1:{server.server_port}/v1", list(script) or [chat("hello")])
    server.fake = fake  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def endpoint_card(url: str, **changes: Any) -> Card:
    """A text card behind `url`; `endpoint`, `limits`, `price` and the rest change it."""
    endpoint = {"url": url, "model": "tiny", "logprobs": False} | changes.pop("endpoint", {})
    card: dict[str, Any] = {
        "name": "far",
        "role": "text",
        "capabilities": ["text"],
        "price": {"as_of": "2026-11-01", "usd_per_million_input_tokens": "1"},
        "profile": {"origin": "estimated", "fixed_ms": 10},
        "hosting": {"memory_gib": 0, "endpoint": endpoint},
        "limits": {"context_tokens": 4000, "image_tokens": 100, "max_images": 1},
    }
    return Card.model_validate(card | changes)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.fake.connections += 1  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        fake: FakeServer = self.server.fake  # type: ignore[attr-defined]
        fake.headers.append(dict(self.headers))
        self._send(fake.models)

    def do_POST(self) -> None:
        fake: FakeServer = self.server.fake  # type: ignore[attr-defined]
        fake.headers.append(dict(self.headers))
        fake.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._send(fake.next())

    def _send(self, said: Said) -> None:
        time.sleep(said.pause_s)
        if said.meets is not None:
            said.meets.wait(30)
        try:
            if said.pieces is not None:
                self._chunks(said, said.pieces)
            else:
                self._stream(said) if said.events is not None else self._body(said)
        except OSError:
            self.close_connection = True  # the client hung up

    def _body(self, said: Said) -> None:
        raw = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
        self._head(said, "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw[: len(raw) // 2] if said.breaks_off else raw)
        self.close_connection = said.breaks_off

    def _head(self, said: Said, kind: str) -> None:
        self.send_response_only(said.status)
        date = {} if "Date" in said.headers else {"Date": self.date_time_string()}
        for name, value in {"Content-Type": kind, **date, **said.headers}.items():
            self.send_header(name, value)

    def _chunks(self, said: Said, pieces: tuple[bytes, ...]) -> None:
        self._head(said, "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for place, piece in enumerate(pieces):
            cut = said.breaks_off and place == len(pieces) - 1
            self.wfile.write(f"{len(piece):x}\r\n".encode())
            self.wfile.write(piece[: len(piece) // 2] if cut else piece + b"\r\n")
            self.wfile.flush()
        if said.breaks_off:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    def _stream(self, said: Said) -> None:
        self.send_response(said.status)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for event in said.events or ():
            data = event if isinstance(event, str) else json.dumps(event)
            self.wfile.write(f"data: {data}\n\n".encode())
            self.wfile.flush()
        self.close_connection = True
