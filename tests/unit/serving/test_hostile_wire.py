"""Requests that no client library would send, over a socket to a real server."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from graphs.answer import build
from orchestra.serving.guards import body_limits
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service
from tests.scripted import scripted_fleet

ASKED = b'{"text": "a red shirt"}'
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
PATIENCE_S = 20.0


@pytest.fixture(scope="module", params=["h11", "httptools"])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    fleet, _ = scripted_fleet()
    app = make_app(Service(fleet, {"answer": build}), HttpSettings(host_names=[]))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(app, http=request.param, lifespan="off", log_level="critical")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(PATIENCE_S)


def status_of(port: int, *parts: bytes, pause_s: float = 0.0) -> int:
    """The status of what is answered to these bytes, 0 where the server hangs up."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        for part in parts:
            try:
                connection.sendall(part)
            except OSError:  # it has answered, and listens no more
                break
            if pause_s:
                time.sleep(pause_s)
        answer = connection.recv(200)
    return int(answer.split()[1]) if answer else 0


def is_alive(port: int) -> bool:
    asked = POST + b"Content-Length: %d\r\n\r\n" % len(ASKED) + ASKED
    return status_of(port, asked) == 200


@pytest.mark.parametrize(
    "request_",
    [
        POST + b"Content-Length: 23\r\nContent-Length: 5\r\n\r\n" + ASKED,
        POST + b"Content-Length: 23\r\nTransfer-Encoding: chunked\r\n\r\n" + ASKED,
        POST + b"Content-Length: -1\r\n\r\n" + ASKED,
        POST + b"Content-Length: 23x\r\n\r\n" + ASKED,
        POST + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n" + ASKED,
        b"POST /v1/jobs HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 0\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n",
        b"POST /v1/jobs HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
        b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-A: b\rX-C: d\r\nBad Name: e\r\n\r\n",
        b"GET /v1/\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200),
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Much: " + b"y" * 60_000 + b"\r\n\r\n",
    ],
)
def test_a_broken_request_is_refused_and_the_server_lives_on(
    port: int, request_: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_limits, "PATIENCE_S", 0.5)  # some wait for a body that does not come
    status = status_of(port, request_)
    assert status == 0 or 400 <= status < 500
    assert is_alive(port)


def test_a_body_of_a_byte_now_and_then_ends_with_408(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_limits, "PATIENCE_S", 0.2)
    begun = POST + b"Content-Length: 1000\r\n\r\n"
    assert status_of(port, begun, *([b"{"] * 8), pause_s=0.05) == 408
    assert is_alive(port)
