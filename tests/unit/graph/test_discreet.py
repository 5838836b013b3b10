"""What a stranger learns of a network by the addresses of photos: nothing."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from orchestra import Fleet, Job
from orchestra.core.job import ErrorRecord
from orchestra.graph.intake import take_in
from orchestra.images.limits import ImageLimits

STRANGERS = ImageLimits(allow_files=False, is_discreet=True, attempts=1, timeout_s=2)


class Inner(BaseHTTPRequestHandler):
    """A server of one's own network that answers with no photo."""

    def do_GET(self) -> None:
        status = 404 if "missing" in self.path else 200
        self.send_response(status)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"secret")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is printed."""


@pytest.fixture(scope="module")
def inner() -> Iterator[str]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), Inner)
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}).start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()


async def told(source: str, limits: ImageLimits) -> ErrorRecord:
    fleet = Fleet.open("mini", image_limits=limits)
    async with fleet:
        (error,) = (await take_in(fleet, Job(text="a shirt", images=(source,)))).errors
    return error


def without_address(error: ErrorRecord) -> tuple[str, str]:
    return error.type, error.message.partition(" could not ")[2]


async def test_nothing_is_told_of_what_an_address_leads_to(
    inner: str, caplog: pytest.LogCaptureFixture
) -> None:
    addresses = [
        inner,  # refused: not a public address
        "http://169.254.169.254/latest/meta-data",
        "http://wiki.invalid/a.jpg",  # no such host
        "http://[::ffff:10.0.0.1]/a.jpg",
    ]
    found = [await told(address, STRANGERS) for address in addresses]
    # Even where addresses inside are fetched, as a policy of the operator's might have it.
    within = replace(STRANGERS, allow_private=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/a.jpg"
    for address in (f"{inner}/page", f"{inner}/missing", closed):
        found.append(await told(address, within))
    assert len({without_address(error) for error in found}) == 1
    assert found[0].type == "ImageNotFound" and "data URI" in found[0].message
    said = [str(vars(record).get("orchestra_said")) for record in caplog.records]
    assert len(said) == len(found)
    assert any("not a public address" in line for line in said)
    assert any("HTTP 404" in line for line in said)
    assert any("no such host" in line or "cannot be looked up" in line for line in said)


async def test_what_a_public_server_answers_is_told(
    inner: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(inner.rpartition(":")[2])
    real_resolve, real_connect = socket.getaddrinfo, socket.create_connection

    def resolve(host: str, *args: Any, **options: Any) -> Any:
        return real_resolve("93.184.216.34" if host == "photos.test" else host, *args, **options)

    def connect(address: tuple[str, int], *args: Any, **options: Any) -> socket.socket:
        assert address[0] == "93.184.216.34"
        return real_connect(("127.0.0.1", port), *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    missing = await told(f"http://photos.test:{port}/missing", STRANGERS)
    assert "answered HTTP 404. Check the address." in missing.message
    page = await told(f"http://photos.test:{port}/page", STRANGERS)
    assert "could not be fetched from a public address as a photo" in page.message


async def test_a_user_of_one_s_own_is_told_all(inner: str) -> None:
    error = await told(f"{inner}/missing?sig=abcdef", ImageLimits(allow_private=True))
    assert "answered HTTP 404" in error.message and "sig=…" in error.message
