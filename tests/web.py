"""An ingress in this process for tests: its client, a photo, and a client that hangs up."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
from PIL import Image

from graphs.answer import build as answer
from graphs.listing import build as listing
from orchestra.clients.engine import Call
from orchestra.clients.inprocess import InProcessClient
from orchestra.fleet.fleet import Fleet
from orchestra.images.intake import ImageLimits
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from orchestra.testing import ScriptedEngine
from tests.scripted import first_allowed


def photo(colour: str = "red", side_px: int = 64) -> str:
    """A photo of one colour as a data URI."""
    data = io.BytesIO()
    Image.new("RGB", (side_px, side_px), colour).save(data, "PNG")
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def reply(call: Call) -> Any:
    """What its schema allows first, or a sentence without a schema."""
    return first_allowed(call) if call.schema else f"You said: {call.instruction}"


def scripted_service(
    answer_with: Callable[[Call], Any] = reply, **options: Any
) -> tuple[Service, dict[str, ScriptedEngine]]:
    """The `mini` cards over scripted engines, as an ingress holds them, and the engines."""
    engines = {name: ScriptedEngine(answer_with, **options) for name in ("r1", "vl")}
    clients = {
        name: InProcessClient(name, lambda engine=engine: engine)
        for name, engine in engines.items()
    }
    fleet = Fleet.open("mini", clients=dict(clients), image_limits=ImageLimits(allow_files=False))
    return Service(fleet, {"answer": answer, "listing": listing}), engines


def client_of(app: Any) -> httpx.AsyncClient:
    """A client of an ASGI application that sees what a browser would see of a crash."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://orchestra")


def scripted_client(
    answer_with: Callable[[Call], Any] = reply, **options: Any
) -> tuple[httpx.AsyncClient, dict[str, ScriptedEngine]]:
    """A client of `scripted_service`, and the engines."""
    service, engines = scripted_service(answer_with, **options)
    return client_of(make_app(service)), engines


def chat(text: str, *photos: str, **more: Any) -> dict[str, Any]:
    """A chat request with one message."""
    parts: list[dict[str, Any]] = [{"type": "text", "text": text}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in photos]
    return {"messages": [{"role": "user", "content": parts}], **more}


def events(text: str) -> list[dict[str, Any]]:
    """The JSON of each server-sent event before `[DONE]`."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [json.loads(line) for line in lines if line != "[DONE]"]


class Visitor:
    """One ASGI request whose client stays until `leave` is called."""

    def __init__(self, path: str, body: Any) -> None:
        """A POST of `body` as JSON to `path`."""
        self.sent: list[dict[str, Any]] = []
        self._gone = asyncio.Event()
        self._body: bytes | None = json.dumps(body).encode()
        self._scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"content-type", b"application/json"), (b"host", b"orchestra")],
            "client": ("127.0.0.1", 1),
            "server": ("orchestra", 80),
        }

    async def visit(self, app: Callable[..., Awaitable[None]]) -> None:
        """Send the request, and keep what comes back in `sent`."""
        await app(self._scope, self._receive, self._send)

    def leave(self) -> None:
        """Hang up."""
        self._gone.set()

    @property
    def status(self) -> int:
        """The status that was sent; 0 before one was."""
        starts = [sent["status"] for sent in self.sent if sent["type"] == "http.response.start"]
        return starts[0] if starts else 0

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(dict(message))
