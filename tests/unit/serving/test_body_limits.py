"""Bounds of bodies: by route, beside photos, and in time."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from orchestra.core.card import FleetFile
from orchestra.core.text_limits import LEAST_PLAIN_BYTES, MOST_PLAIN_BYTES, plain_bytes
from orchestra.fleet.source import load_fleet
from orchestra.serving.guards import body_limits
from orchestra.serving.guards.bodies import BodyLimit
from orchestra.serving.guards.body_limits import BodyBound, BodyLimits, PlainBytes
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from tests.scripted import scripted_fleet

PHOTO = b'"data:image/png;base64,' + b"A" * 5000 + b'"'


@pytest.mark.parametrize("step", [1, 7, 11, 4096, 10**6])
def test_bytes_beside_photos_are_counted_however_a_body_is_cut(step: int) -> None:
    body = b'{"text": "a red \\"data: shirt", "images": [' + PHOTO + b", " + PHOTO + b"]}"
    counted = PlainBytes()
    for at in range(0, len(body), step):
        counted.add(body[at : at + step])
    opening = len(PlainBytes.OPEN)
    assert counted.count == len(body) - 2 * (len(PHOTO) - opening - 1)


def test_a_word_that_only_begins_as_a_photo_does_is_text() -> None:
    counted = PlainBytes()
    for block in (b'{"text": "data:', b'ima", "more": "', b"x" * 100, b'"}'):
        counted.add(block)
    assert counted.count == len(b'{"text": "data:ima", "more": "') + 100 + 2


def test_a_fleet_with_a_larger_context_takes_more_text() -> None:
    file, _ = load_fleet("mini")
    assert plain_bytes(file) == LEAST_PLAIN_BYTES

    def of(context: int) -> FleetFile:
        card = file.models[0]
        limits = card.limits.model_copy(update={"context_tokens": context})
        return FleetFile(name="far", models=(card.model_copy(update={"limits": limits}),))

    assert plain_bytes(of(128_000)) == 2 * 16 * 128_000
    assert plain_bytes(of(10_000_000)) == MOST_PLAIN_BYTES


async def test_the_document_says_how_large_each_body_may_be() -> None:
    fleet, _ = scripted_fleet()
    async with fleet:
        paths = make_app(Service(fleet, {})).openapi()["paths"]
    found = {
        path: (body["x-max-bytes"], body["x-max-bytes-beside-photos"])
        for path, methods in paths.items()
        for operation in methods.values()
        if (body := operation.get("requestBody"))
    }
    assert found["/v1/chat/completions"] == found["/v1/jobs"] == (48 * 2**20, 2**20)
    assert found["/v1/embeddings"] == (8 * 2**20, 8 * 2**20)
    assert found["/v1/threads/{thread_id}/answer"] == (2**20, 2**20)
    assert "beside photos" in paths["/v1/jobs"]["post"]["requestBody"]["description"]


async def test_the_console_may_send_what_the_routes_it_stands_for_take() -> None:
    limits = BodyLimits()
    fleet, _ = scripted_fleet()
    async with fleet:
        app = make_app(Service(fleet, {}))
    posted = {
        getattr(route, "path", "")
        for route in app.routes
        if "POST" in getattr(route, "methods", ())
    }
    assert {"/v1/console/plan", "/v1/console/result"} <= posted
    assert limits.of("/v1/console/plan") == limits.of("/v1/plan")
    assert limits.of("/v1/console/result").all_bytes == 8 * 2**20


def test_a_route_may_have_a_bound_of_its_own() -> None:
    own = BodyBound(2**30, 2**30)
    limits = BodyLimits(own=((re.compile(r"/v1/files"), own),))
    assert limits.of("/v1/files") is own and limits.of("/v1/files/7") != own


async def _read_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass


def _scope(*headers: tuple[bytes, bytes]) -> Scope:
    return {"type": "http", "path": "/v1/jobs", "headers": list(headers)}


async def test_a_body_that_does_not_come_is_refused_with_what_came(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(body_limits, "PATIENCE_S", 0.05)

    coming = [b"0", b"0"]  # at once, so that a busy machine has them in time

    async def a_byte_now_and_then() -> Message:
        await asyncio.sleep(0 if coming else 0.02)
        return {"type": "http.request", "body": coming.pop() if coming else b"0", "more_body": True}

    async def unsent(message: Message) -> None:
        raise AssertionError(message)

    with pytest.raises(HTTPException) as refused:
        await BodyLimit(_read_all)(_scope(), a_byte_now_and_then, unsent)
    assert refused.value.status_code == 408
    assert re.search(r"Of the body [2-9] bytes came .* bytes a second", refused.value.detail)


async def test_who_waits_for_a_hang_up_may_wait_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_limits, "PATIENCE_S", 0.0001)
    coming = [{"type": "http.request", "body": b"{}"}]

    async def receive() -> Message:
        if coming:
            return coming.pop()
        await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    seen: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((await receive())["type"])
        seen.append((await receive())["type"])

    async def send(message: Message) -> None:
        raise AssertionError(message)

    await BodyLimit(app)(_scope(), receive, send)
    assert seen == ["http.request", "http.disconnect"]


@pytest.mark.parametrize(
    ("headers", "status", "part"),
    [
        ([(b"x", b"y")] * 129, 431, "129 headers"),
        ([(b"x", b"y" * 40_000)], 431, "40,001 bytes"),
        ([(b"content-length", b"12"), (b"content-length", b"13")], 400, "'12, 13'"),
        ([(b"content-length", b"-1")], 400, "'-1'"),
        ([(b"content-length", b"9" * 30)], 400, "has to be one number"),
        ([(b"content-length", b"99999999999")], 413, "99,999,999,999 bytes; the limit is 50,331,6"),
        ([(b"content-encoding", b"gzip")], 415, "'gzip'"),
    ],
)
async def test_headers_that_mean_harm_are_refused_before_the_body_is_read(
    headers: list[tuple[bytes, bytes]], status: int, part: str
) -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body was read")

    async def send(message: Message) -> None:
        sent.append(message)

    await BodyLimit(_read_all)(_scope(*headers), receive, send)
    assert sent[0]["status"] == status
    assert part in json.loads(sent[1]["body"])["error"]["message"]
