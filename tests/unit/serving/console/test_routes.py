"""The console's page and its parts over HTTP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from orchestra import Fleet
from orchestra.core.job import Field, Result
from orchestra.serving.console.render import STATICS
from orchestra.serving.guards.keys import Access
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from tests.asking_graphs import QUESTION, asking, told, writing
from tests.keyed import bearer, keyed_fleet, made, served, tenant
from tests.scripted import scripted_fleet

HOSTILE = "<script>alert(1)</script></textarea>"
JOB = {"text": "It is red."}


def client(fleet: Fleet) -> httpx.AsyncClient:
    app = make_app(Service(fleet, {"writing": writing, "asking": asking}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://o")


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    fleet, _ = scripted_fleet(told, told)
    async with fleet, client(fleet) as http:
        yield http


async def test_the_page_holds_no_part_of_a_job_and_runs_nothing_but_its_own_files(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.get("/console")
    assert answer.status_code == 200 and "writing" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy and "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert "<script>" not in answer.text and " style=" not in answer.text
    assert re.findall(r'(?:src|href)="(?:https?:)?//', answer.text) == []  # works offline
    for name in re.findall(r"/console/static/([\w.]+)", answer.text):
        assert (await http.get(f"/console/static/{name}")).status_code == 200


async def test_the_files_are_those_that_are_listed(http: httpx.AsyncClient) -> None:
    for name, kind in STATICS.items():
        answer = await http.get(f"/console/static/{name}")
        assert answer.status_code == 200 and answer.headers["content-type"].startswith(kind)
        assert re.findall(r"(?:url\(|from \"|@import )[\"']?(?:https?:)?//", answer.text) == []
    for name in ("words.py", "..%2Fwords.py", "page.html.j2"):
        assert (await http.get(f"/console/static/{name}")).status_code == 404


async def test_the_page_speaks_the_browsers_language_or_the_one_asked_for(
    http: httpx.AsyncClient,
) -> None:
    chinese = await http.get("/console", headers={"Accept-Language": "zh-CN,zh"})
    assert 'lang="zh-Hans"' in chinese.text and "控制台" in chinese.text
    english = await http.get("/console?lang=en", headers={"Accept-Language": "zh-CN,zh"})
    assert 'lang="en"' in english.text


async def test_a_plan_is_drawn_and_a_bad_job_is_an_ordinary_error(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/console/plan", json=JOB)
    assert 'data-node="read"' in answer.text and 'data-cost="$0.0' in answer.text
    assert "data-answer" in answer.text and "r1" in answer.text
    broke = await http.post("/v1/console/plan", json=JOB | {"budget": {"cost_usd": 0}})
    assert broke.status_code == 422 and "smallest budget" in broke.json()["error"]["message"]
    unknown = await http.post("/v1/console/plan", json=JOB | {"graph": "none"})
    assert unknown.status_code == 404


async def test_a_result_is_shown_as_text_whatever_it_says(http: httpx.AsyncClient) -> None:
    field = Field(value=HOSTILE, source="text", model=HOSTILE, note=HOSTILE)
    result = Result(status="review", fields={HOSTILE: field}, answer=HOSTILE, notes=(HOSTILE,))
    body = {"result": result.model_dump(mode="json"), "text": HOSTILE}
    answer = await http.post("/v1/console/result", json=body)
    assert answer.status_code == 200 and "&lt;script&gt;" in answer.text
    assert "<script" not in answer.text and "</textarea" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_a_page_elsewhere_cannot_post_a_form_to_be_shown(http: httpx.AsyncClient) -> None:
    body = '{"result": {"status": "complete", "answer": "=' + '"}}'
    headers = {"Content-Type": "text/plain"}
    answer = await http.post("/v1/console/result", content=body, headers=headers)
    assert answer.status_code == 400


async def test_a_run_that_waits_is_shown_with_its_job_and_what_is_known(
    http: httpx.AsyncClient,
) -> None:
    nobody = await http.get("/v1/console/waiting")
    assert 'data-count="0"' in nobody.text
    asked = JOB | {"graph": "asking", "thread_id": "shirts/7 <b>"}
    await http.post("/v1/jobs", json=asked)
    listed = (await http.get("/v1/console/waiting")).text
    assert 'data-count="1"' in listed and QUESTION in listed and "<b>shirts" not in listed
    one = await http.get("/v1/console/waiting/shirts%2F7%20%3Cb%3E")
    assert one.status_code == 200
    assert 'data-thread="shirts/7 &lt;b&gt;"' in one.text and "It is red." in one.text
    assert 'data-field="colour"' in one.text and "data-ended" in one.text
    assert (await http.get("/v1/console/waiting/none")).status_code == 404


async def test_the_spend_is_that_of_the_book_and_without_one_of_this_process(
    http: httpx.AsyncClient, tmp_path: Path
) -> None:
    await http.post("/v1/jobs", json=JOB)
    since = (await http.get("/v1/console/spend")).text
    assert "since the ledger began" in since and ">r1<" in since
    refused = await http.get("/v1/console/spend?by=tenant")
    assert refused.status_code == 400
    assert "Use one of: model." in refused.json()["error"]["message"]

    scripted, _ = scripted_fleet(told, told)
    clients = {card.name: scripted.client(card.name) for card in scripted.file.models}
    booked = Fleet.open("mini", clients=clients, book=tmp_path / "book.sqlite")
    async with booked, client(booked) as http:
        assert "Nothing was spent" in (await http.get("/v1/console/spend")).text
        await http.post("/v1/jobs", json=JOB | {"tags": {"client": "acme"}})
        by_tag = (await http.get("/v1/console/spend?by=tag")).text
    assert (
        "client=acme" in by_tag and "2 calls" in by_tag and "since the ledger began" not in by_tag
    )


async def test_the_ceiling_of_the_servers_day_is_a_budget_with_a_book_and_without(
    tmp_path: Path,
) -> None:
    ceiling = Access(day_micro=20_000_000)
    scripted, _ = scripted_fleet(told, told)
    for fleet in (scripted, keyed_fleet(tmp_path / "book.sqlite")):
        async with served(fleet, ceiling, {"asking": asking}) as http:
            await http.post("/v1/jobs", json=JOB)
            spend = (await http.get("/v1/console/spend")).text
            assert "server" in spend and "a day" in spend and "$20.00" in spend


async def test_a_key_sees_its_own_tenants_spend_budgets_and_runs_and_one_of_an_admin_all(
    tmp_path: Path,
) -> None:
    fleet = keyed_fleet(tmp_path / "book.sqlite")
    assert fleet.book is not None
    for name in ("acme", "birch"):
        tenant(fleet.book, name, {"bounds": {"usd_per_day": 1}})
    keys = {name: made(fleet.book, name) for name in ("acme", "birch")}
    admin = made(fleet.book, "acme", {"scope": {"routes": ["admin"]}})
    no_threads = made(fleet.book, "acme", {"scope": {"routes": ["jobs"]}})
    async with served(fleet, graphs={"asking": asking}) as http:
        assert (await http.get("/console")).status_code == 200
        assert (await http.get("/console/static/run.js")).status_code == 200
        parts = ["spend", "waiting"]
        for part in parts:
            assert (await http.get(f"/v1/console/{part}")).status_code == 401
        ask = JOB | {"thread_id": "shirts"}
        for key in keys.values():
            await http.post("/v1/jobs", json=ask, headers=bearer(key))

        async def told(part: str, key: str) -> str:
            return (await http.get(f"/v1/console/{part}", headers=bearer(key))).text

        own = await told("spend?by=key", keys["acme"])
        assert "tenant acme" in own and "birch" not in own and "$1" in own
        assert "#spend/tenant" not in own
        everyone = await told("spend?by=tenant&period=all", admin)
        assert "acme" in everyone and "birch" in everyone
        assert 'data-count="1"' in await told("waiting", keys["birch"])
        assert "It is red." in await told("waiting/shirts", keys["birch"])
        refused = await http.get("/v1/console/waiting", headers=bearer(no_threads))
        assert refused.status_code == 403
