"""The guard around an application: turns, refusals, clients that leave, the time that is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graphs.answer import build
from orchestra.access.principal import Principal, asking, principal
from orchestra.core.job import Budget
from orchestra.observe import metrics
from orchestra.serving.admission.arrival import (
    arrived,
    deadline_s,
    kind_of,
    lane_of,
    left_of,
    waited_s,
)
from orchestra.serving.admission.guard import Admission, is_work
from orchestra.serving.admission.letter import Metrics
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.refusals import refusal
from orchestra.serving.service import Service
from tests.scripted import scripted_fleet

JOB = {"text": "A red apple."}
ASK_NO_MODEL = (  # or later, a line of a batch at a time, each of which waits its turn
    "/v1/plan",
    "/v1/console/plan",
    "/v1/console/result",
    "/v1/files",
    "/v1/batches",
    "/v1/batches/{batch_id}/cancel",
)


class Work:
    """An application whose requests end when the test says so."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ends = asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.begun.append(scope["path"])
        message = await receive()
        await self.ends.acquire()
        await JSONResponse({"bytes": len(message["body"])})(scope, receive, send)


class Tenant:
    """Sets who asks from a header, as the guard of keys does."""

    def __init__(self, app: Admission) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name = dict(scope["headers"]).get(b"tenant", b"anyone").decode()
        with asking(Principal(tenant=name)):
            await self.app(scope, receive, send)


def admission(app: ASGIApp, places: int) -> Admission:
    return Admission(app, lambda scope: principal(), refusal, Metrics(), places, 1)


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
async def http(work: Work) -> AsyncIterator[httpx.AsyncClient]:
    app = Tenant(admission(work, places=2))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://orchestra"
    ) as client:
        yield client


async def begin(http: httpx.AsyncClient, count: int, **more: Any) -> list[asyncio.Task[Any]]:
    tasks = []
    for _ in range(count):
        tasks.append(asyncio.create_task(http.post("/v1/jobs", json=JOB, **more)))
        await settle()
    return tasks


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def test_one_is_served_two_wait_and_the_fourth_is_refused(
    http: httpx.AsyncClient, work: Work
) -> None:
    tasks = await begin(http, 3)
    assert len(work.begun) == 1
    refused = await http.post("/v1/jobs", json=JOB)
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
    error = refused.json()["error"]
    assert error["code"] == "QueueFull" and "2 of 2 places" in error["message"]
    for _ in range(3):
        work.ends.release()
    answers = await asyncio.gather(*tasks)
    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[0].json()["bytes"] == len(answers[0].request.content)


async def test_what_does_no_work_passes_a_full_queue(http: httpx.AsyncClient, work: Work) -> None:
    tasks = await begin(http, 3)
    passed = asyncio.create_task(http.get("/healthz"))
    await settle()
    assert work.begun[-1] == "/healthz"
    for _ in range(4):
        work.ends.release()
    await asyncio.gather(passed, *tasks)


async def test_the_newest_of_a_flood_gives_its_place_to_another_tenant(
    http: httpx.AsyncClient, work: Work
) -> None:
    flood = await begin(http, 3, headers={"tenant": "flood"})
    other = await begin(http, 1, headers={"tenant": "other"})
    assert flood[-1].done() and flood[-1].result().status_code == 429
    work.ends.release()
    await settle()
    work.ends.release()
    assert (await other[0]).status_code == 200
    work.ends.release()
    await asyncio.gather(*flood)


async def test_one_whose_time_runs_out_in_the_queue_is_told(
    http: httpx.AsyncClient, work: Work
) -> None:
    first = await begin(http, 1)
    late = await http.post("/v1/jobs", json={**JOB, "budget": {"latency_ms": 120}})
    assert late.status_code == 503 and late.json()["error"]["code"] == "Overloaded"
    assert len(work.begun) == 1
    work.ends.release()
    await asyncio.gather(*first)


async def test_a_client_that_leaves_the_queue_is_never_begun(work: Work) -> None:
    app = admission(work, places=2)
    gone = asyncio.Event()
    left = metrics.exposition().count(b'outcome="left"')

    async def request(leaves: bool) -> list[Message]:
        sent: list[Message] = []
        body = [{"type": "http.request", "body": b"{}", "more_body": False}]

        async def receive() -> Message:
            if body:
                return body.pop()
            await (gone.wait() if leaves else asyncio.Event().wait())
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/jobs", "headers": []}
        await app(scope, receive, send)
        return sent

    first = asyncio.create_task(request(False))
    await settle()
    leaver = asyncio.create_task(request(True))
    stays = asyncio.create_task(request(False))
    await settle()
    assert len(app.turnstile.queue) == 2
    gone.set()
    assert await leaver == [] and len(app.turnstile.queue) == 1
    work.ends.release()
    work.ends.release()
    assert (await first)[0]["status"] == (await stays)[0]["status"] == 200
    assert len(work.begun) == 2 and not app.turnstile.under_way
    assert metrics.exposition().count(b'outcome="left"') >= max(1, left)


async def test_a_request_that_is_cancelled_while_it_waits_leaves_no_trace(
    http: httpx.AsyncClient, work: Work
) -> None:
    first, second = await begin(http, 2)
    second.cancel()
    await settle()
    third = (await begin(http, 1))[0]
    work.ends.release()
    await settle()
    assert len(work.begun) == 2  # the third's turn came
    work.ends.release()
    await asyncio.gather(first, third)


async def test_every_route_that_works_is_guarded_in_the_served_application() -> None:
    fleet, _ = scripted_fleet(lambda call: "x", lambda call: "x")
    app = make_app(Service(fleet, {"answer": build}), HttpSettings(queue=1, max_ongoing=1))
    posts = {
        route.path
        for route in _routes(app)
        if "POST" in route.methods and route.path not in ASK_NO_MODEL
    }
    for path in posts:
        concrete = path.replace("{thread_id:path}", "x")
        assert is_work({"type": "http", "method": "POST", "path": concrete}), path
    assert not is_work({"type": "http", "method": "GET", "path": "/metrics"})
    await fleet.close()


def _routes(app: FastAPI) -> list[Any]:
    return [route for route in app.routes if getattr(route, "methods", None)]


async def test_the_time_in_the_queue_counts_against_the_deadline() -> None:
    budget = Budget(latency_ms=1000)
    assert left_of(budget) == budget
    with arrived(time.monotonic() - 0.4):
        left = left_of(budget).latency_ms
    assert left is not None and 0 < left <= 600


async def test_a_deadline_that_passed_before_our_code_is_told_as_passed() -> None:
    fleet, engines = scripted_fleet(lambda call: "x", lambda call: "x")
    transport = httpx.ASGITransport(make_app(Service(fleet, {"answer": build})))
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as client:
        answer = await client.post(
            "/v1/jobs",
            json={**JOB, "budget": {"latency_ms": 2000}},
            headers={"X-Request-Start": f"t={time.time() - 5:.3f}"},
        )
    assert answer.status_code == 504 and answer.json()["error"]["code"] == "DeadlineExceeded"
    assert not engines["r1"].calls
    await fleet.close()


@pytest.mark.parametrize(
    ("told", "waited"),
    [
        (b"999.5", 0.5),
        (b"t=999.5", 0.5),
        (b"t=1000.5", 0.0),  # a clock that goes before ours
        (b"12", 0.0),
        (b"soon", 0.0),
        (b"nan", 0.0),
        (b"inf", 0.0),
    ],
)
def test_what_a_proxy_says_of_the_arrival_is_read(told: bytes, waited: float) -> None:
    assert waited_s([(b"x-request-start", told)], 1000.0) == waited


def test_milliseconds_and_microseconds_are_told_from_seconds() -> None:
    now = 1_800_000_000.0
    for scale in (1, 1e3, 1e6):
        told = str(int((now - 2) * scale)).encode()
        assert abs(waited_s([(b"x-request-start", told)], now) - 2) < 1e-3


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b'{"text": "x", "budget": {"latency_ms": 1500}}', 1.5),
        (b'{"budget":{"latency_ms":"250.5"},"images":["' + b"A" * 10_000_000 + b'"]}', 0.2505),
        (b'{"text": "send \\"latency_ms\\": 1"}', None),
        (b'{"budget": {"latency_ms": null}}', None),
        (b'{"budget": {"latency_ms": -5}}', None),
        (b"\xff\x00", None),
        (b"", None),
    ],
)
def test_the_deadline_is_read_off_the_body(body: bytes, seconds: float | None) -> None:
    assert deadline_s(body) == seconds


def test_kinds_tell_routes_names_and_sizes_apart() -> None:
    one = b'{"model": "r1", "messages": []}'
    kinds = {
        kind_of("/v1/chat/completions", one, len(one)),
        kind_of("/v1/chat/completions", one.replace(b"r1", b"vl"), len(one)),
        kind_of("/v1/chat/completions", one, 100_000),
        kind_of("/v1/jobs", one, len(one)),
    }
    assert len(kinds) == 4


def test_a_header_may_ask_for_batch_and_never_leave_it() -> None:
    batch = [(b"x-orchestra-priority", b"Batch")]
    assert lane_of(batch, "interactive") == "batch"
    assert lane_of([(b"x-orchestra-priority", b"interactive")], "batch") == "batch"
    assert lane_of([], "interactive") == "interactive"
