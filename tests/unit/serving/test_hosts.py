"""Which hosts a server answers to."""

from __future__ import annotations

import httpx
import pytest

from orchestra.serving.guards.hosts import HostGuard, host_name
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service
from tests.scripted import scripted_fleet


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:8000", "localhost"),
        ("LOCALHOST", "localhost"),
        ("[::1]:8000", "[::1]"),
        ("shop.example.", "shop.example"),
        ("a@b", None),
        ("a b", None),
        ("a:b", None),
        ("a:1:2", None),
        ("", None),
        ("a/b", None),
    ],
)
def test_a_host_is_read_without_its_port(host: str, name: str | None) -> None:
    assert host_name(host) == name


HOSTS = {
    "localhost:8000": 200,
    "127.0.0.1:8000": 200,
    "[::1]:8000": 200,
    "10.1.2.3": 200,
    "orchestra.shop": 200,
    "orchestra.shop:443": 200,
    "api.svc.cluster.local": 200,
    "evil.example": 421,
    "localhost.evil.example": 421,
    "orchestra.shop.evil.example": 421,
    "127.0.0.1.nip.io": 421,
    "2130706433x": 421,
    "evil.example/": 400,
}


async def test_only_our_own_names_are_answered_to() -> None:
    fleet, _ = scripted_fleet()
    app = make_app(
        Service(fleet, {}), HttpSettings(host_names=["orchestra.shop", ".cluster.local"])
    )
    transport = httpx.ASGITransport(app)
    async with fleet, httpx.AsyncClient(transport=transport, base_url="http://x") as http:
        answers = {host: await http.get("/healthz", headers={"Host": host}) for host in HOSTS}
    assert {host: answer.status_code for host, answer in answers.items()} == HOSTS
    refused = {host: answer for host, answer in answers.items() if answer.status_code == 421}
    for host, answer in refused.items():
        message = answer.json()["error"]["message"]
        assert repr(host) in message and f"--host-name {host}" in message


async def test_a_request_with_two_hosts_or_none_is_refused() -> None:
    for hosts in ((), (b"localhost", b"evil.example")):
        sent = []

        async def unread() -> dict[str, str]:
            raise AssertionError("it was read")

        async def send(message: dict[str, object], sent: list[dict[str, object]] = sent) -> None:
            sent.append(message)

        async def app(*_: object) -> None:
            raise AssertionError("it was passed on")

        scope = {"type": "http", "headers": [(b"host", host) for host in hosts]}
        await HostGuard(app, [])(scope, unread, send)  # type: ignore[arg-type]
        assert sent[0]["status"] == 400
