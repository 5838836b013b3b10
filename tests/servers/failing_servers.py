"""Servers of a model and of photos that fail on what they are told to, over real loopback HTTP."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from threading import Thread
from typing import Any

from PIL import Image


class _Handler(BaseHTTPRequestHandler):
    """Asks the server's `fake` for status and body."""

    def do_GET(self) -> None:
        self._say(*self.server.fake.got(self.path))  # type: ignore[attr-defined]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._say(*self.server.fake.asked_for(body))  # type: ignore[attr-defined]

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def _serving(fake: Any) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.fake = fake  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class ModelServer:
    """Answers `status` to each request that holds a phrase of `poison`, or to all while it is down;
    to others a short answer. `asked` are the bodies of all."""

    poison: tuple[str, ...] = ()
    status: int = 500
    is_down: bool = False
    asked: list[str] = field(default_factory=list)

    def count(self, phrase: str) -> int:
        """How many requests held `phrase`."""
        return sum(phrase in body for body in self.asked)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The `url` of an endpoint's card, while the block runs."""
        with _serving(self) as address:
            yield f"{address}/v1"

    def got(self, path: str) -> tuple[int, bytes]:
        """The models there are."""
        return 200, json.dumps({"data": [{"id": "tiny"}]}).encode()

    def asked_for(self, body: str) -> tuple[int, bytes]:
        """A completion, or the failure."""
        self.asked.append(body)
        if self.is_down or any(phrase in body for phrase in self.poison):
            return self.status, json.dumps({"error": {"message": "CUDA error"}}).encode()
        message = {"role": "assistant", "content": json.dumps({"answer": "yes"})}
        usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}
        said = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
        return 200, json.dumps(said).encode()


@dataclass
class PhotoServer:
    """Gives a photo where `status` is 200, and none at `/gone.png`; `asked` counts by path."""

    status: int
    asked: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """The address of its photos, while the block runs."""
        with _serving(self) as address:
            yield address

    def got(self, path: str) -> tuple[int, bytes]:
        """The photo, or none."""
        self.asked[path] += 1
        if path == "/gone.png" or self.status != 200:
            return (404 if path == "/gone.png" else self.status), b""
        photo = BytesIO()
        Image.new("RGB", (12, 8), "red").save(photo, "PNG")
        return 200, photo.getvalue()
