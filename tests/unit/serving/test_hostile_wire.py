"""Requests that no client library would send, over a socket to a real server."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from graphs.answer import build
from orchestra.core.call import Call
from orchestra.serving import wire
from orchestra.serving.guards import body_limits, keys
from orchestra.serving.guards.keys import Access
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service
from tests.keyed import keyed_fleet
from tests.on_a_socket import PATIENCE_S, on_a_socket
from tests.scripted import first_allowed, scripted_fleet

ASKED = b'{"text": "a red shirt"}'
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module", params=["h11", "httptools", wire.PLACE])
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    fleet, _ = scripted_fleet()
    app = make_app(Service(fleet, {"answer": build}), HttpSettings(host_names=[]))
    with on_a_socket(app, http=request.param, lifespan="off") as port:
        yield port


def answer_late(call: Call) -> Any:
    """Some answers take a while."""
    time.sleep(0.3 if "slow" in (call.text or "") else 0)
    return first_allowed(call)


@pytest.fixture(scope="module")
def bounded() -> Iterator[int]:
    """A server as Ray Serve's proxy is, once the front was put before it."""
    fleet, _ = scripted_fleet(answer_late)
    app = make_app(Service(fleet, {"answer": build}), HttpSettings(host_names=[]))
    before = dict(wire.HTTP_PROTOCOLS)
    wire.bound_headers()
    try:
        with on_a_socket(app, lifespan="off") as port:
            yield port
    finally:
        wire.HTTP_PROTOCOLS.update(before)


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


BROKEN = [
    POST + b"Content-Length: 23\r\nContent-Length: 5\r\n\r\n" + ASKED,
    POST + b"Content-Length: 23\r\nTransfer-Encoding: chunked\r\n\r\n" + ASKED,
    POST + b"Content-Length: 99999999999\r\n\r\n",
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
]


@pytest.mark.parametrize("request_", BROKEN)
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


def told(port: int, *parts: bytes, pause_s: float = 0.0) -> tuple[int, str]:
    """Status and message of the last answer to these bytes; 0 where there is none."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(pause_s)
        answer = b""
        while block := connection.recv(65536):
            answer += block
    head, _, said = answer.rpartition(b"\r\n\r\n")
    if not head:
        return 0, ""
    return int(head.rpartition(b"HTTP/1.1 ")[2].split()[0]), json.loads(said)["error"]["message"]


CLOSE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize("request_", BROKEN)
def test_what_is_refused_is_told_why(
    bounded: int, request_: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body_limits, "PATIENCE_S", 0.5)
    monkeypatch.setattr(wire, "HEADERS_S", 0.5)
    closing = request_.replace(b"Host: ", b"Connection: close\r\nHost: ", 1)
    status, message = told(bounded, closing)
    assert 400 <= status < 500 and len(message) > 20
    assert is_alive(bounded)


def test_headers_that_do_not_come_end_with_408(
    bounded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HEADERS_S", 0.3)
    drops = [b"GET /healthz HTTP/1.1\r\n", b"Host: localhost\r\n", *[b"X-A: b\r\n"] * 4]
    status, message = told(bounded, *drops, pause_s=0.02)
    assert status == 408 and "not whole after 0.3 s" in message
    # after a request of the same connection that was answered, too
    status, _ = told(bounded, CLOSE + b"\r\n", CLOSE, pause_s=0.1)
    assert status == 408
    assert told(bounded) == (0, "")  # who asks nothing is told nothing
    assert is_alive(bounded)


def test_headers_without_an_end_are_refused(bounded: int) -> None:
    status, message = told(bounded, CLOSE + b"X-Much: " + b"y" * 100_000)
    assert status == 431 and "65,536 bytes" in message
    assert is_alive(bounded)


def test_a_slow_answer_is_not_cut_by_headers_behind_it(
    bounded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "HEADERS_S", 0.05)
    asked = b'{"text": "a slow red shirt"}'
    first = POST + b"Content-Length: %d\r\n\r\n" % len(asked) + asked
    with socket.create_connection(("127.0.0.1", bounded), PATIENCE_S) as connection:
        connection.sendall(first + CLOSE)
        answer = b""
        while block := connection.recv(65536):
            answer += block
    assert answer.startswith(b"HTTP/1.1 200") and answer.count(b"HTTP/1.1 408") == 1


def test_a_client_that_sends_too_much_reads_why(bounded: int) -> None:
    much = POST + b"Content-Length: 47000000\r\n\r\n"
    status, message = told(bounded, much, *[b"x" * 1_000_000] * 47)
    assert status == 413 and "the limit is" in message
    assert is_alive(bounded)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server that asks for keys."""
    fleet = keyed_fleet(tmp_path_factory.mktemp("keyed") / "book.sqlite")
    app = make_app(Service(fleet, {"answer": build}), HttpSettings(access=Access(keys=True)))
    with on_a_socket(app, http=wire.PLACE, lifespan="off") as port:
        yield port
    asyncio.run(fleet.close())


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"Authorization: Bearer \r\n",
        b"Authorization: Bearer orc_" + b"0" * 12 + b"_" + b"A" * 43 + b"\r\n",
        b"Authorization: Bearer \xff\xfe\x00\r\n",
        b"Authorization: Bearer " + b"x" * 30_000 + b"\r\n",
        b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n",
        b"Authorization: Basic b3JjXzE6Mg==\r\n",
        b"X-Api-Key: ' OR 1=1 --\r\n",
        b"x-orchestra-who: acme\r\nx-orchestra-front: {}\r\n",
        b"Cookie: key=orc_1\r\nX-Forwarded-For: 127.0.0.1\r\n",
    ],
)
def test_a_hostile_key_gets_nothing(
    keyed: int, sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "FIRST_WAIT_S", 0.0)
    tail = b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(ASKED) + ASKED
    status, message = told(keyed, POST + sent + tail)
    assert status == (400 if b"\x00" in sent else 401) and len(message) > 20
