"""The proxy's front and an ingress behind it: one queue, tenants by what ingresses say, trust."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

import httpx
import prometheus_client
import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from orchestra.access.principal import Principal, asking
from orchestra.core.errors import QueueFull
from orchestra.serving.admission.acquainted import (
    ASKED_A_SECOND,
    ASKED_AT_ONCE,
    REFUSED_S,
    Acquainted,
)
from orchestra.serving.admission.front import Front, front_environment, middlewares
from orchestra.serving.admission.guard import turnstile_of
from orchestra.serving.admission.ingress import IngressAdmission
from orchestra.serving.admission.letter import ENVIRONMENT, LETTER, WHO, Settings
from orchestra.serving.admission.patience import Patience
from orchestra.serving.admission.prepared import Prepared, refused
from orchestra.serving.problems import problem

JOB = {"text": "A red apple."}
SECRET = "s3cret"


class Work:
    """An ingress's routes, whose requests end when the test says so."""

    def __init__(self) -> None:
        self.heard: list[dict[bytes, bytes]] = []
        self.ends = asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.heard.append(dict(scope["headers"]))
        body = (await receive())["body"]
        await self.ends.acquire()
        await JSONResponse({"bytes": len(body)})(scope, receive, send)


class Keys:
    """The guard of keys: a tenant by the key."""

    wrong: ClassVar[set[str]] = {"wrong"}

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.refused = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = dict(scope["headers"]).get(b"authorization", b"anyone").decode()
        if key in self.wrong:
            self.refused += 1
            headers = {"WWW-Authenticate": "Bearer"}
            await JSONResponse({"error": {"code": "KeyRefused"}}, 401, headers)(
                scope, receive, send
            )
            return
        with asking(Principal(tenant=key, weight=3.0 if key == "heavy" else 1.0)):
            await self.app(scope, receive, send)


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def front(work: Work, monkeypatch: pytest.MonkeyPatch) -> Front:
    told = Settings(SECRET, 2, 1)
    monkeypatch.setenv(ENVIRONMENT, told.text())
    return Front(Keys(IngressAdmission(work, turnstile_of(1, 1))), told)


@pytest.fixture
async def http(front: Front) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(front)
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as client:
        yield client


def front_asked(front: Front) -> int:
    """How often the guard of keys refused, behind the door."""
    return front._app.refused  # type: ignore[attr-defined]  # white box: who answered


async def begin(http: httpx.AsyncClient, count: int, **headers: str) -> list[asyncio.Task[Any]]:
    tasks = []
    for _ in range(count):
        tasks.append(asyncio.create_task(http.post("/v1/jobs", json=JOB, headers=headers)))
        for _ in range(40):
            await asyncio.sleep(0)
    return tasks


async def finish(work: Work, tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Have the models answer as many requests, and await these."""
    for _ in tasks:
        work.ends.release()
    await asyncio.gather(*tasks)


async def greet(http: httpx.AsyncClient, work: Work) -> None:
    """A first request, by which the door learns who asks."""
    work.ends.release()
    await http.post("/v1/jobs", json=JOB)
    work.heard.clear()


async def test_the_door_has_the_queue_and_the_ingress_lets_in_what_it_sends(
    http: httpx.AsyncClient, work: Work, front: Front
) -> None:
    await greet(http, work)
    tasks = await begin(http, 4)
    assert len(work.heard) == 1 and len(front.admission.turnstile.queue) == 2
    assert (await tasks[3]).status_code == 429
    for _ in range(3):
        work.ends.release()
    answers = await asyncio.gather(*tasks[:3])
    assert [answer.status_code for answer in answers] == [200] * 3
    assert WHO not in answers[0].headers and answers[0].json()["bytes"] > 10


async def test_the_ingress_is_told_when_a_request_came(http: httpx.AsyncClient, work: Work) -> None:
    work.ends.release()
    await http.post("/v1/jobs", json=JOB)
    told = work.heard[0][b"x-request-start"].removeprefix(b"t=")
    assert abs(float(told) - time.time()) < 60


async def test_what_a_proxy_before_says_of_the_time_stands(
    http: httpx.AsyncClient, work: Work
) -> None:
    work.ends.release()
    await http.post("/v1/jobs", json=JOB, headers={"X-Request-Start": "t=12.5"})
    assert work.heard[0][b"x-request-start"] == b"t=12.5"


async def test_tenants_are_known_by_their_credential_once_they_were_answered(
    http: httpx.AsyncClient, work: Work, front: Front
) -> None:
    for key in ("heavy", "light"):
        work.ends.release()
        await http.post("/v1/jobs", json=JOB, headers={"Authorization": key})
    await begin(http, 1)
    waiting = await begin(http, 1, authorization="heavy")
    entry = front.admission.turnstile.queue.pop()
    assert entry is not None and (entry.tenant, entry.weight) == ("heavy", 3.0)
    waiting[0].cancel()


async def test_a_few_keys_that_were_never_seen_go_past_the_queue_the_others_stand_together(
    http: httpx.AsyncClient, work: Work, front: Front
) -> None:
    count = 1 + ASKED_AT_ONCE + 2
    tasks = [
        task for n in range(count + 1) for task in await begin(http, 1, authorization=f"key {n}")
    ]
    assert len(work.heard) == 1 + ASKED_AT_ONCE and len(front.admission.turnstile.queue) == 2
    assert (await tasks[-1]).status_code == 429  # their share is one tenant's
    for _ in range(count):
        work.ends.release()
    await asyncio.gather(*tasks)
    again = await begin(http, 2, authorization="key 3")
    assert len(work.heard) == count + 1  # who is known waits its turn
    await finish(work, again)


async def test_of_one_key_that_was_never_seen_one_request_goes_past_the_queue(
    http: httpx.AsyncClient, work: Work, front: Front
) -> None:
    tasks = await begin(http, 4, authorization="new")
    assert len(work.heard) == 2 and len(front.admission.turnstile.queue) == 2
    await finish(work, tasks)


async def test_a_wrong_key_hears_so_at_once_however_much_waits(
    http: httpx.AsyncClient, work: Work, front: Front
) -> None:
    await greet(http, work)
    waiting = await begin(http, 3)
    first = await http.post("/v1/jobs", json=JOB, headers={"Authorization": "wrong"})
    asked = front_asked(front)
    again = await http.post("/v1/jobs", json=JOB, headers={"Authorization": "wrong"})
    assert first.status_code == again.status_code == 401
    assert first.text == again.text and again.headers["www-authenticate"] == "Bearer"
    assert front_asked(front) == asked == 1  # the second was answered by the door
    await finish(work, waiting)


async def test_a_key_that_is_revoked_is_forgotten(
    http: httpx.AsyncClient, work: Work, front: Front
) -> None:
    work.ends.release()
    await http.post("/v1/jobs", json=JOB, headers={"Authorization": "heavy"})
    Keys.wrong.add("heavy")
    try:
        said = [
            (await http.post("/v1/jobs", json=JOB, headers={"Authorization": "heavy"})).status_code
            for _ in range(2)
        ]
    finally:
        Keys.wrong.discard("heavy")
    assert said == [401, 401] and front_asked(front) == 1


def test_a_refused_key_is_asked_about_again_after_a_while() -> None:
    known, answer = Acquainted(), Prepared(401, (), b"")
    known.refuse((b"key",), answer, now_s=100.0)
    assert known.refusal((b"key",), 100.0 + REFUSED_S / 2) is answer
    assert known.refusal((b"key",), 100.0 + REFUSED_S) is None


def test_only_so_many_keys_a_second_go_past_the_queue() -> None:
    known = Acquainted()
    passed = [known.may_ask((b"%d" % n,), now_s=5.0) for n in range(100)]
    assert sum(passed) == ASKED_A_SECOND
    assert known.may_ask((b"later",), now_s=5.1)


def test_what_is_refused_at_the_door_reads_as_it_would_elsewhere() -> None:
    error = QueueFull('Full: "so" many \u00e4.', retry_after_s=1.2)
    status, told = problem(error)
    ready = refused(error)
    assert (ready.status, json.loads(ready.body)) == (status, told)
    assert dict(ready.headers)[b"retry-after"] == b"2"
    assert dict(ready.headers)[b"content-length"] == str(len(ready.body)).encode()


async def test_what_the_door_counted_stands_in_the_ingress_metrics(
    http: httpx.AsyncClient, work: Work
) -> None:
    def refused() -> float:
        labels = {"lane": "interactive", "outcome": "QueueFull"}
        return prometheus_client.REGISTRY.get_sample_value("orchestra_admission_total", labels) or 0

    before = refused()
    await greet(http, work)
    tasks = await begin(http, 5)
    for _ in range(3):
        work.ends.release()
    await asyncio.gather(*tasks)
    assert refused() == before + 2


@pytest.mark.parametrize(
    "letter", ["[]", "nonsense", json.dumps(["guess", [], [], {}]), json.dumps([None, [], [], {}])]
)
async def test_a_letter_that_the_door_did_not_write_is_not_believed(
    work: Work, front: Front, letter: str
) -> None:
    ingress = IngressAdmission(work, turnstile_of(1, 1))
    transport = httpx.ASGITransport(ingress)
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as client:
        tasks = await begin(client, 3, **{LETTER: letter})
        assert len(work.heard) == 1 and (await tasks[2]).status_code == 429
        for _ in range(2):
            work.ends.release()
        assert WHO not in (await tasks[0]).headers
        await tasks[1]


async def test_a_client_cannot_write_a_letter_through_the_door(
    http: httpx.AsyncClient, work: Work
) -> None:
    work.ends.release()
    await http.post("/v1/jobs", json=JOB, headers={LETTER: "forged"})
    assert b"forged" not in work.heard[0][LETTER.encode()]


async def test_without_a_door_an_ingress_admits_by_itself(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    transport = httpx.ASGITransport(IngressAdmission(work, turnstile_of(1, 1)))
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as client:
        tasks = await begin(client, 3)
        assert (await tasks[2]).status_code == 429
        for _ in range(2):
            work.ends.release()
        await asyncio.gather(*tasks)


async def test_a_client_that_reads_nothing_is_gone_for_the_application() -> None:
    ends: list[str] = []

    async def streams(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        disconnected = asyncio.ensure_future(receive())
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
    await Patience(streams, stall_s=0.01)(scope, receive, never)
    assert ends == ["asked", "http.disconnect"]


def test_serve_gets_a_door_where_one_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert middlewares() == []
    for name, value in front_environment(10, 0).items():
        monkeypatch.setenv(name, value)
    before = gc.get_threshold()
    try:
        assert [one.cls for one in middlewares()] == [Patience, Front]
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
