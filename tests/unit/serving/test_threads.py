"""Runs that wait for a person, over HTTP: listed, told, answered, once."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import prometheus_client
import pytest

from orchestra import Fleet, Job
from orchestra.access import principal
from orchestra.access.principal import Principal
from orchestra.access.principal import asking as asked_by
from orchestra.book.filing.filing import Filing
from orchestra.serving.herald import WaitingHerald
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service
from tests.asking_graphs import QUESTION, asking, told, writing
from tests.scripted import scripted_fleet
from tests.unit.serving.test_http import Caller
from tests.unit.serving.test_told import USER, deltas, said

GRAPHS = {"writing": writing, "asking": asking}
ASK = {"text": "It is red.", "graph": "asking"}


def client(fleet: Fleet) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(make_app(Service(fleet, GRAPHS)), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://o")


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    fleet, _ = scripted_fleet(told, told)
    async with fleet:
        yield fleet


@pytest.fixture
async def http(fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    async with client(fleet) as http:
        yield http


def dollars() -> float:
    labels = {"model": "r1"}
    return prometheus_client.REGISTRY.get_sample_value("orchestra_cost_usd_total", labels) or 0.0


def jobs(status: str) -> float:
    found = prometheus_client.REGISTRY.get_sample_value("orchestra_jobs_total", {"status": status})
    return found or 0.0


@pytest.mark.parametrize("by_id", [False, True])
async def test_a_run_that_asks_waits_is_listed_and_goes_on_with_its_answer(
    http: httpx.AsyncClient, by_id: bool
) -> None:
    waited = jobs("waiting")
    first = (await http.post("/v1/jobs", json=ASK | {"thread_id": "shirts/7"})).json()
    assert (first["status"], first["thread_id"]) == ("waiting", "shirts/7")
    before = dollars()
    assert jobs("waiting") == waited + 1
    (listed,) = (await http.get("/v1/threads")).json()["data"]
    one = await http.get("/v1/threads/shirts/7")
    assert listed == one.json()
    assert (listed["status"], listed["graph"]) == ("waiting", "asking")
    (question,) = listed["questions"]
    assert question["value"] == QUESTION
    given: dict[str, Any] = {"answers": {question["id"]: "yes"}} if by_id else {"answer": "yes"}
    done = (await http.post("/v1/threads/shirts/7/answer", json=given)).json()
    assert (done["status"], done["answer"], done["state"]) == (
        "complete", "A red shirt.", {"said": ["yes"]},
    )  # fmt: skip
    # What went before the question was counted when it was asked.
    assert dollars() - before == pytest.approx(done["cost_usd"] - first["cost_usd"])
    assert (await http.get("/v1/threads")).json()["data"] == []


@pytest.mark.parametrize(
    ("given", "status", "part"),
    [
        ({}, 400, f"waits for an answer to '{QUESTION}'"),
        ({"answer": "yes", "answers": {"a": 1}}, 400, "not both"),
        ({"answers": {}}, 400, "holds none"),
        ({"answers": {"none": "yes"}}, 409, "does not ask 'none'"),
        ({"answer": "yes", "graph": "none"}, 404, "served are: writing, asking"),
        ({"answr": "yes"}, 400, "Keys: answer, answers, graph"),
    ],
)
async def test_an_answer_that_does_not_fit_changes_nothing(
    http: httpx.AsyncClient, given: dict[str, Any], status: int, part: str
) -> None:
    await http.post("/v1/jobs", json=ASK | {"thread_id": "t"})
    answer = await http.post("/v1/threads/t/answer", json=given)
    assert answer.status_code == status
    assert part in answer.json()["error"]["message"]
    done = await http.post("/v1/threads/t/answer", json={"answer": "yes"})
    assert done.json()["status"] == "complete"


async def test_a_thread_that_is_not_there_is_404_with_the_cure(http: httpx.AsyncClient) -> None:
    for answer in (
        await http.get("/v1/threads/none"),
        await http.post("/v1/threads/none/answer", json={"answer": 1}),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "UnknownThread")
        assert "came to its end, or it began under another book" in answer.text


async def test_of_two_answers_at_once_one_is_heard_and_the_other_is_told(
    http: httpx.AsyncClient,
) -> None:
    await http.post("/v1/jobs", json=ASK | {"thread_id": "t"})
    given = [{"answer": "yes"}, {"answer": "no"}]
    answers = await asyncio.gather(
        *(http.post("/v1/threads/t/answer", json=each) for each in given)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    (late,) = [answer.json() for answer in answers if answer.status_code == 409]
    (done,) = [answer.json() for answer in answers if answer.status_code == 200]
    assert late["error"]["code"] == "ThreadTaken" and late["error"]["type"].startswith("invalid")
    assert done["state"]["said"] in (["yes"], ["no"])


async def test_a_resumed_run_streams(http: httpx.AsyncClient) -> None:
    first = said((await http.post("/v1/jobs", json=ASK | {"stream": True})).text)
    mode, waiting = first[-1]
    assert (mode, waiting["status"]) == ("result", "waiting")
    asked = next(data for mode, data in first if mode == "updates" and "__interrupt__" in data)
    assert asked["__interrupt__"][0]["value"] == QUESTION
    path = f"/v1/threads/{waiting['thread_id']}/answer"
    events = said((await http.post(path, json={"answer": "yes", "stream": True})).text)
    assert events[-1][0] == "result" and events[-1][1]["status"] == "complete"
    assert [data["node"] for mode, data in events if mode == "call"] == ["write"]
    late = await http.post(path, json={"answer": "yes", "stream": True})
    assert late.status_code == 404


async def test_a_chat_that_waits_says_what_is_asked(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        asked = {"model": "asking", "messages": USER}
        answer = (await http.post("/v1/chat/completions", json=asked)).json()
    (choice,) = answer["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == (QUESTION, "stop")
    extension = answer["orchestra"]
    assert (extension["status"], extension["questions"][0]["value"]) == ("waiting", QUESTION)
    line = next(vars(each) for each in caplog.records if each.message == "chat ended")
    assert line["orchestra_status"] == "waiting"
    assert line["orchestra_thread"] == extension["thread_id"]
    streamed = await http.post("/v1/chat/completions", json=asked | {"stream": True})
    assert deltas(streamed.text) == [QUESTION]
    path = f"/v1/threads/{extension['thread_id']}/answer"
    assert (await http.post(path, json={"answer": "yes"})).json()["answer"] == "A red shirt."


async def test_another_server_on_the_book_goes_on_with_what_this_one_left(tmp_path: Path) -> None:
    scripted, _ = scripted_fleet(told, told)
    book = tmp_path / "book.sqlite"
    async with Fleet.open("mini", book=book, clients=scripted._clients) as fleet:
        async with client(fleet) as http:
            await http.post("/v1/jobs", json=ASK | {"thread_id": "t"})
        await fleet.run(asking, Job(text="It is red."), thread_id="own")
    scripted, _ = scripted_fleet(told, told)
    async with (
        Fleet.open("mini", book=book, clients=scripted._clients) as fleet,
        client(fleet) as http,
    ):
        done = (await http.post("/v1/threads/t/answer", json={"answer": "yes"})).json()
        unnamed = await http.post("/v1/threads/own/answer", json={"answer": "yes"})
        given = {"answer": "yes", "graph": "asking"}
        named = await http.post("/v1/threads/own/answer", json=given)
    assert (done["status"], len(done["calls"])) == ("complete", 2)
    assert unnamed.status_code == 400 and "Give 'graph', one of: writing, asking" in unnamed.text
    assert named.json()["status"] == "complete"


async def test_the_document_names_the_routes_of_threads(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    paths = document["paths"]
    assert {"/v1/threads", "/v1/threads/{thread_id}", "/v1/threads/{thread_id}/answer"} <= set(
        paths
    )
    job = paths["/v1/jobs"]["post"]
    assert job["requestBody"]["content"]["application/json"]["schema"]["$ref"].endswith(
        "RunRequest"
    )
    assert set(job["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert {"404", "409"} <= set(paths["/v1/threads/{thread_id}/answer"]["post"]["responses"])
    assert document["components"]["schemas"]["Thread"]["properties"]["status"]["enum"] == [
        "waiting", "left", "running",
    ]  # fmt: skip


async def test_a_named_run_whose_client_hung_up_is_left_and_goes_on() -> None:
    fleet, engines = scripted_fleet(told, told, delay_s=30.0)
    service = Service(fleet, GRAPHS)
    asked = ASK | {"thread_id": "t", "stream": True}
    await Caller("/v1/jobs", asked, lambda: bool(engines["r1"].calls)).call(make_app(service))
    async with fleet, client(fleet) as http:
        while (await http.get("/v1/threads/t")).json()["status"] != "left":
            await asyncio.sleep(0.01)
        engines["r1"].delay_s = 0.0
        early = await http.post("/v1/threads/t/answer", json={"answer": "yes"})
        assert early.status_code == 400 and "asks nothing" in early.text
        again = (await http.post("/v1/threads/t/answer", json={})).json()
        assert (again["status"], again["questions"][0]["value"]) == ("waiting", QUESTION)
        done = (await http.post("/v1/threads/t/answer", json={"answer": "yes"})).json()
    assert done["state"] == {"said": ["yes"]}
    # The call that was cut off may have been billed: it is counted at its worst case, and was made
    # again, as no budget is in its way.
    assert done["errors"] == [] and done["tokens"] > 0


def tenant_of(app: Any, tenant: str) -> httpx.AsyncClient:
    """A client whose requests a guard has let in as this tenant's."""

    async def keyed(scope: Any, receive: Any, send: Any) -> None:
        with principal.asking(principal.Principal(tenant, f"key of {tenant}")):
            await app(scope, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(keyed), base_url="http://o")


async def test_runs_are_narrowed_and_told_in_pages(http: httpx.AsyncClient) -> None:
    for at in range(5):
        tags = {"shop": "a" if at % 2 else "b"}
        await http.post("/v1/jobs", json=ASK | {"thread_id": f"t{at}", "tags": tags})

    async def names(**asked: Any) -> list[str]:
        found = await http.get("/v1/threads", params=asked)
        assert found.status_code == 200, found.text
        return [thread["thread_id"] for thread in found.json()["data"]]

    assert await names(limit=2) == ["t0", "t1"]
    assert await names(limit=2, after="t1") == ["t2", "t3"]
    assert await names(order="desc", limit=1) == ["t4"]
    assert await names(tag="shop=a") == ["t1", "t3"]
    assert await names(status="left") == [] and await names(graph="writing") == []
    assert len(await names(graph="asking", status="waiting")) == 5
    page = (await http.get("/v1/threads", params={"limit": 4})).json()
    assert (page["has_more"], page["last_id"]) == (True, "t3")
    for wrong in ({"after": "none"}, {"status": "lost"}, {"tag": "shop"}, {"limit": 0}):
        assert (await http.get("/v1/threads", params=wrong)).status_code == 400


async def test_a_run_that_is_deleted_never_goes_on(http: httpx.AsyncClient) -> None:
    await http.post("/v1/jobs", json=ASK | {"thread_id": "t"})
    gone = await http.delete("/v1/threads/t")
    assert gone.json() == {"id": "t", "object": "thread", "deleted": True}
    assert (await http.delete("/v1/threads/t")).status_code == 404
    assert (await http.post("/v1/threads/t/answer", json={"answer": "y"})).status_code == 404
    again = await http.post("/v1/jobs", json=ASK | {"thread_id": "t"})
    assert again.json()["status"] == "waiting"


async def test_a_tenant_sees_its_own_runs_alone(fleet: Fleet) -> None:
    app = make_app(Service(fleet, GRAPHS))
    async with tenant_of(app, "one") as one, tenant_of(app, "two") as two:
        await one.post("/v1/jobs", json=ASK | {"thread_id": "t"})
        assert len((await one.get("/v1/threads")).json()["data"]) == 1
        assert (await two.get("/v1/threads")).json()["data"] == []
        assert (await two.get("/v1/threads/t")).status_code == 404
        assert (await two.delete("/v1/threads/t")).status_code == 404
        answer = await two.post("/v1/threads/t/answer", json={"answer": "yes"})
        assert answer.status_code == 404
        same = await two.post("/v1/jobs", json=ASK | {"thread_id": "t"})
        assert same.json()["status"] == "waiting"  # beside the other's
        assert (await two.delete("/v1/threads/t")).status_code == 200
        done = await one.post("/v1/threads/t/answer", json={"answer": "yes"})
        assert done.json()["status"] == "complete"


async def test_a_run_is_answered_once_by_its_key_after_a_restart(tmp_path: Path) -> None:
    book, folder = tmp_path / "book.sqlite", tmp_path / "files"

    def opened() -> tuple[Fleet, Filing, httpx.AsyncClient]:
        fleet, _ = scripted_fleet(told, told)
        fleet = Fleet.open("mini", clients=fleet._clients, book=book)
        filing = Filing.open(folder)
        app = make_app(Service(fleet, GRAPHS), HttpSettings(filing=filing))
        transport = httpx.ASGITransport(app)
        return fleet, filing, httpx.AsyncClient(transport=transport, base_url="http://o")

    fleet, filing, http = opened()
    await http.post("/v1/jobs", json=ASK | {"thread_id": "t", "tags": {"shop": "a"}})
    told_of = [json.loads(message.body) for message in filing.due_messages(2**40, 9)]
    assert [(each["type"], each["data"]["id"]) for each in told_of] == [("thread.waiting", "t")]
    await fleet.close()
    filing.close()
    fleet, filing, http = opened()
    (listed,) = (await http.get("/v1/threads", params={"tag": "shop=a"})).json()["data"]
    assert listed["status"] == "waiting" and listed["questions"][0]["value"] == QUESTION
    once = {"Idempotency-Key": "answer of t"}
    path, given = "/v1/threads/t/answer", {"answer": "yes"}
    first = await http.post(path, json=given, headers=once)
    assert first.json()["status"] == "complete"
    await fleet.close()
    filing.close()
    fleet, filing, http = opened()
    second = await http.post(path, json=given, headers=once)
    assert second.content == first.content and second.headers["idempotent-replayed"] == "true"
    other = await http.post(path, json={"answer": "no"}, headers=once)
    assert (other.status_code, other.json()["error"]["code"]) == (422, "IdempotencyKeyReused")
    await fleet.close()
    filing.close()


async def test_a_run_whose_process_died_before_it_was_told_of_is_told_of_once(
    tmp_path: Path,
) -> None:
    fleet, _ = scripted_fleet(told, told)
    fleet = Fleet.open("mini", clients=fleet._clients, book=tmp_path / "book.sqlite")
    filing = Filing.open(tmp_path / "files")
    run = partial(fleet.run, asking, graph_name="asking")
    with asked_by(Principal("acme", "key")):
        await run(Job(text="red"), thread_id="left")  # nobody was told of it
    herald = WaitingHerald(filing, fleet.ledger, has_tenants=True)
    with asked_by(Principal("other", "key")):
        herald.tell(await run(Job(text="red"), thread_id="told"), "asking")
    for _ in range(2):
        await herald.catch_up()
    events = [json.loads(message.body) for message in filing.due_messages(2**40, 9)]
    assert {(each["data"]["tenant"], each["data"]["id"]) for each in events} == {
        ("acme", "left"),
        ("other", "told"),
    }
    assert len(events) == 2 and {each["data"]["graph"] for each in events} == {"asking"}
    with asked_by(Principal("acme", "key")):
        await fleet.forget("left")
    await herald.catch_up()
    assert len(filing.due_messages(2**40, 9)) == 2
    await fleet.close()
    filing.close()
