"""The proxy's door: it says when requests came, and repeats what an ingress refused just now."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

from orchestra.core.errors import Overloaded, QueueFull
from orchestra.serving.admission import door as door_module
from orchestra.serving.admission.door import Door, Refusals, middlewares
from orchestra.serving.admission.told import HEADER, read_refusal, refusal_header

JOB = {"text": "A red apple.", "budget": {"latency_ms": 1000}}


class Ingress:
    """Answers what the test says, and remembers what it was sent."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer
        self.heard: list[dict[bytes, bytes]] = []
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.heard.append(dict(scope["headers"]))
        self.bodies.append((await receive())["body"])
        await self.answer(scope, receive, send)


def refused(error: Overloaded) -> Response:
    return JSONResponse({}, 503, refusal_header(error))


async def ask(door: Door, job: Any = JOB, path: str = "/v1/jobs", **headers: str) -> httpx.Response:
    transport = httpx.ASGITransport(door)
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as client:
        return await client.post(path, json=job, headers=headers)


async def test_a_request_passes_with_its_body_and_the_time_it_came() -> None:
    ingress = Ingress(JSONResponse({"ok": True}))
    answer = await ask(Door(ingress))
    assert answer.json() == {"ok": True} and json.loads(ingress.bodies[0]) == JOB
    told = ingress.heard[0][b"x-request-start"].removeprefix(b"t=")
    assert abs(float(told) - time.time()) < 60


async def test_what_a_proxy_before_says_of_the_time_stands() -> None:
    ingress = Ingress(JSONResponse({}))
    await ask(Door(ingress), **{"X-Request-Start": "t=12.5"})
    assert ingress.heard[0][b"x-request-start"] == b"t=12.5"


async def test_a_refusal_is_repeated_to_the_same_asker_without_the_ingress() -> None:
    ingress = Ingress(refused(Overloaded("", retry_after_s=3.0, needed_s=1.5)))
    seen: list[str] = []
    door = Door(ingress, seen.append)
    first = await ask(door)
    assert HEADER not in first.headers
    again = await ask(door)
    assert again.status_code == 503 and again.headers["retry-after"] == "3"
    assert again.json()["error"]["code"] == "Overloaded" and "1500 ms" in again.text
    assert len(ingress.heard) == 1 and seen == ["Overloaded"]


@pytest.mark.parametrize(
    ("job", "headers"),
    [
        ({**JOB, "budget": {"latency_ms": 2000}}, {}),  # a deadline that would do
        ({"text": "x"}, {}),  # none
        (JOB, {"Authorization": "Bearer another"}),
        (JOB, {"X-Orchestra-Priority": "batch"}),
        ({**JOB, "graph": "another"}, {}),
    ],
)
async def test_others_are_not_refused_for_it(job: Any, headers: dict[str, str]) -> None:
    ingress = Ingress(refused(Overloaded("", retry_after_s=3.0, needed_s=1.5)))
    door = Door(ingress)
    await ask(door)
    await ask(door, job, **headers)
    assert len(ingress.heard) == 2


async def test_a_full_queue_is_told_whatever_the_deadline() -> None:
    ingress = Ingress(refused(QueueFull("", retry_after_s=2.0)))
    door = Door(ingress)
    await ask(door)
    again = await ask(door, {"text": "A red apple, and no deadline"})
    assert again.status_code == 429 and again.headers["retry-after"] == "2"
    assert len(ingress.heard) == 1


def test_a_refusal_holds_for_a_moment_only() -> None:
    refusals = Refusals()
    refusals.note(("k", ()), 1.5, 3.0, now_s=0.0)
    with pytest.raises(Overloaded):
        refusals.check(("k", ()), 1.0, now_s=0.2)
    refusals.check(("k", ()), 1.0, now_s=0.3)


def test_what_is_remembered_is_bounded() -> None:
    refusals = Refusals()
    for number in range(5 * door_module.ASKERS):
        refusals.note((str(number), ()), 1.5, 3.0, now_s=0.0)
    assert len(refusals._held) == door_module.ASKERS  # white box: what is bounded is memory


async def test_what_is_no_work_and_what_answers_else_passes_as_it_is() -> None:
    ingress = Ingress(JSONResponse({}, 503))
    door = Door(ingress)
    for _ in range(2):
        assert (await ask(door)).status_code == 503
        await ask(door, path="/v1/plan")
    assert len(ingress.heard) == 4 and b"x-request-start" not in ingress.heard[1]


async def test_a_client_that_reads_nothing_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door_module, "STALL_S", 0.01)
    ends: list[str] = []

    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        disconnected = asyncio.create_task(receive())
        await asyncio.sleep(0)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        ends.append((await disconnected)["type"])

    async def receive() -> Message:
        if not ends:
            ends.append("asked")
            return {"type": "http.request", "body": b"{}", "more_body": False}
        return await asyncio.get_running_loop().create_future()

    async def never(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.get_running_loop().create_future()

    scope = {"type": "http", "method": "POST", "path": "/v1/jobs", "headers": []}
    await Door(streams)(scope, receive, never)
    assert ends == ["asked", "http.disconnect"]


def test_refusals_are_read_as_they_are_written() -> None:
    for error in (
        Overloaded("", retry_after_s=2.5, needed_s=1.25),
        QueueFull("", retry_after_s=2.5),
    ):
        assert read_refusal(refusal_header(error)[HEADER]) == (error.needed_s, 2.5)
    assert read_refusal("nonsense") is None and read_refusal("1.5") is None


def test_serve_may_call_it() -> None:
    pytest.importorskip("ray")
    assert [one.cls for one in middlewares()] == [Door]
