"""Requests with keys, without, and with wrong ones, over a real book."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from orchestra.access.secret import id_of
from orchestra.book.book import Book
from orchestra.book.keys.key_messages import RevokeKey, SetKey
from orchestra.book.keys.terms import KeyTerms
from orchestra.serving.guards import keys as guard
from orchestra.serving.guards.keys import Access
from tests.keyed import JOB, bearer, keyed_fleet, made, served, tenant

CHAT = {"messages": [{"role": "user", "content": "What is it?"}]}
ADMIN = {"scope": {"routes": ["admin", "metrics"]}}


class Served(NamedTuple):
    http: httpx.AsyncClient
    book: Book  # as another process has it


@pytest.fixture
async def open_door(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Served]:
    monkeypatch.setattr(guard, "FIRST_WAIT_S", 0.0)
    fleet = keyed_fleet(tmp_path / "book.sqlite")
    with Book.open(tmp_path / "book.sqlite", exclusive=False) as book:
        tenant(book, "acme")
        tenant(book, "other")
        async with served(fleet) as http:
            yield Served(http, book)


async def test_a_key_lets_in_and_what_is_spent_stands_under_its_tenant(open_door: Served) -> None:
    key = made(open_door.book, "acme")
    answer = await open_door.http.post("/v1/jobs", json=JOB, headers=bearer(key))
    assert answer.status_code == 200, answer.text
    cost = answer.json()["cost_usd"]
    used = await open_door.http.get(
        "/v1/usage", params={"by": "tenant,key,graph,model"}, headers=bearer(key)
    )
    (line,) = used.json()["lines"]
    assert (line["tenant"], line["key"], line["graph"]) == ("acme", id_of(key), "answer")
    assert line["cost_usd"] == used.json()["total"]["cost_usd"] == cost > 0


async def test_whatever_is_wrong_with_a_key_is_told_alike(open_door: Served) -> None:
    good, revoked = made(open_door.book, "acme"), made(open_door.book, "acme")
    with open_door.book.transaction(is_shared=True):
        open_door.book.do(RevokeKey(id_of(revoked)))
    unknown = f"orc_{'0' * 12}_{good.split('_', 2)[2]}"
    wrong = good[:-8] + ("A" * 8)
    tried = [{}, *map(bearer, (revoked, unknown, wrong, "", "x" * 9000, "sk-1", "orc_", "é_ü_x"))]
    tried += [{"Authorization": good}, {"Authorization": "Basic abc"}, {"x-api-key": wrong}]
    tried += [{**bearer(good), "api-key": wrong}]  # two different ones are none
    answers = [
        await open_door.http.post("/v1/jobs", json=JOB, headers=_raw(headers)) for headers in tried
    ]
    assert {(answer.status_code, answer.text) for answer in answers} == {(401, answers[0].text)}
    assert answers[0].headers["WWW-Authenticate"] == "Bearer"
    assert good[18:] not in answers[0].text
    assert not open_door.book.places()  # nobody came so far that anything was opened
    for headers in (bearer(good), {"x-api-key": good}, {"api-key": good}):
        assert (await open_door.http.post("/v1/jobs", json=JOB, headers=headers)).is_success


def _raw(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]


async def test_only_what_tells_how_it_stands_is_open(open_door: Served) -> None:
    for path in ("/healthz", "/docs", "/openapi.json"):
        assert (await open_door.http.get(path)).status_code == 200
    shut = ("/v1/models", "/metrics", "/v1/threads", "/v1/usage", "/v1/keys", "/none", "/v1/none")
    for path in shut:
        assert (await open_door.http.get(path)).status_code == 401
    key = made(open_door.book, "acme")
    for path in ("/metrics", "/v1/keys", "/v1/tenants"):
        refused = await open_door.http.get(path, headers=bearer(key))
        assert refused.status_code == 403
        assert "it may for: chat, jobs, embeddings, batches, threads" in refused.text
    assert (await open_door.http.get("/none", headers=bearer(key))).status_code == 404


async def test_a_running_server_hears_of_what_another_process_changes(open_door: Served) -> None:
    key = made(open_door.book, "acme")

    async def status() -> int:
        return (await open_door.http.post("/v1/jobs", json=JOB, headers=bearer(key))).status_code

    assert await status() == 200
    with open_door.book.transaction(is_shared=True):
        open_door.book.do(SetKey(id_of(key), KeyTerms.model_validate({"scope": {"routes": []}})))
    assert await status() == 403
    with open_door.book.transaction(is_shared=True):
        open_door.book.do(SetKey(id_of(key), KeyTerms()))
    assert await status() == 200
    with open_door.book.transaction(is_shared=True):
        open_door.book.do(RevokeKey(id_of(key)))
    assert await status() == 401


async def test_keys_are_made_rotated_and_revoked_over_http(open_door: Served) -> None:
    http, admin = open_door.http, bearer(made(open_door.book, "other", ADMIN))
    asked = {"tenant": "acme", "days": 30, "terms": {"name": "shop"}}
    new = (await http.post("/v1/keys", json=asked, headers=admin)).json()
    assert new["state"] == "valid" and new["expires"]
    first, id = new["key"], new["id"]
    listed = await http.get("/v1/keys", params={"tenant": "acme"}, headers=admin)
    assert [one["id"] for one in listed.json()["data"]] == [id]
    assert "digest" not in listed.text and first not in listed.text

    async def status(key: str) -> int:
        return (await http.post("/v1/jobs", json=JOB, headers=bearer(key))).status_code

    hour = {"overlap_hours": 1}
    second = (await http.post(f"/v1/keys/{id}/rotate", json=hour, headers=admin)).json()["key"]
    assert [await status(first), await status(second)] == [200, 200]
    none = {"overlap_hours": 0}
    third = (await http.post(f"/v1/keys/{id}/rotate", json=none, headers=admin)).json()["key"]
    assert [await status(key) for key in (first, second, third)] == [401, 401, 200]
    assert (await http.delete(f"/v1/keys/{id}", headers=admin)).json()["state"] == "revoked"
    assert await status(third) == 401
    again = await http.post(f"/v1/keys/{id}/rotate", json=hour, headers=admin)
    assert again.status_code == 400 and "revoked" in again.text


@pytest.mark.parametrize(
    ("scope", "asked", "part"),
    [
        ({"models": ["vl"]}, {"model": "r1"}, "it may use the models: vl"),
        ({"graphs": []}, {"model": "answer"}, "may not use the graph 'answer'"),
        ({"models": ["none"]}, {"model": "auto"}, "has none of them"),
    ],
)
async def test_what_a_key_may_not_use_is_refused_with_what_it_may(
    open_door: Served, scope: dict[str, Any], asked: dict[str, Any], part: str
) -> None:
    key = made(open_door.book, "acme", {"scope": scope})
    answer = await open_door.http.post(
        "/v1/chat/completions", json={**CHAT, **asked}, headers=bearer(key)
    )
    assert answer.status_code == 403 and part in answer.json()["error"]["message"]


async def test_a_key_of_some_models_is_planned_and_shown_only_those(open_door: Served) -> None:
    key = made(open_door.book, "acme", {"scope": {"models": ["r1", "v3"], "graphs": ["answer"]}})
    names = (await open_door.http.get("/v1/models", headers=bearer(key))).json()["data"]
    assert {entry["id"] for entry in names} <= {"auto", "answer", "r1", "v3"}
    for model in ("r1", "auto"):
        chat = await open_door.http.post(
            "/v1/chat/completions", json={**CHAT, "model": model}, headers=bearer(key)
        )
        assert chat.json()["orchestra"]["models"] == ["r1"]


async def test_rates_and_what_is_under_way_are_bounded_together(open_door: Served) -> None:
    bounds = {"bounds": {"requests_per_minute": 3}}
    first, second = (made(open_door.book, "acme", bounds) for _ in range(2))
    headers = bearer(first)
    asked = [open_door.http.post("/v1/jobs", json=JOB, headers=headers) for _ in range(8)]
    answers = await asyncio.gather(*asked)
    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [429] * 5
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert "of 3 that it may make" in refused.text
    assert (await open_door.http.post("/v1/jobs", json=JOB, headers=bearer(second))).is_success
    # A reader of state is not counted.
    assert (await open_door.http.get("/v1/models", headers=headers)).is_success


async def test_who_is_at_the_most_under_way_waits_for_an_end(open_door: Served) -> None:
    key = made(open_door.book, "acme", {"bounds": {"concurrent": 2}})
    asked = [open_door.http.post("/v1/jobs", json=JOB, headers=bearer(key)) for _ in range(6)]
    statuses = [answer.status_code for answer in await asyncio.gather(*asked)]
    assert statuses.count(200) == 2 and statuses.count(429) == 4
    assert (await open_door.http.post("/v1/jobs", json=JOB, headers=bearer(key))).is_success


async def test_two_tenants_see_neither_each_others_runs_nor_use(open_door: Served) -> None:
    one, two = made(open_door.book, "acme"), made(open_door.book, "other")
    costs = []
    for key in (one, two):
        named = {**JOB, "thread_id": "same"}
        answer = await open_door.http.post("/v1/jobs", json=named, headers=bearer(key))
        assert answer.json()["thread_id"] == "same"
        costs.append(answer.json()["cost_usd"])
    # The same call of another tenant is paid for by it, as if nobody had made it before.
    assert costs[0] == costs[1] > 0
    for key, name in ((one, "acme"), (two, "other")):
        used = (await open_door.http.get("/v1/usage", headers=bearer(key))).json()
        assert [line["tenant"] for line in used["lines"]] == [name]


async def test_who_guesses_waits_longer_each_time_and_is_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guessers = guard.Guessers()
    waits = [guessers._count("a", 0.0) for _ in range(9)]
    assert waits == sorted(waits) and waits[-1] == guard.MOST_WAIT_S > waits[0]
    assert guessers._count("b", 0.0) == waits[0]
    assert guessers._count("a", guard.FORGIVEN_S + 1) == waits[0]
    for number in range(guard.MOST_ADDRESSES + 10):
        guessers._count(f"n{number}", 0.0)
    assert len(guessers._failed) == guard.MOST_ADDRESSES


async def test_a_server_without_keys_has_its_ceiling_of_a_day(tmp_path: Path) -> None:
    fleet = keyed_fleet(tmp_path / "book.sqlite")
    async with served(fleet, Access(day_micro=1)) as http:
        assert (await http.post("/v1/jobs", json=JOB)).json()["cost_usd"] == 0.000001
        answer = await http.post("/v1/jobs", json=JOB)
        assert answer.status_code == 402 and int(answer.headers["Retry-After"]) <= 86_400
        assert "The server has no money left for this day: $0.000001 of" in answer.text
        assert "at 00:00 UTC" in answer.text
        assert (await http.get("/v1/keys")).status_code == 404


async def test_terms_that_are_no_object_are_refused(open_door: Served) -> None:
    admin = bearer(made(open_door.book, "acme", ADMIN))
    for path in ("/v1/keys/abc", "/v1/tenants/acme"):
        for body in (b"null", b"[]", b"[1]", b"1", b'"a"', b"false"):
            sent = {**admin, "Content-Type": "application/json"}
            answer = await open_door.http.post(path, content=body, headers=sent)
            assert answer.status_code == 400 and "It takes an object" in answer.text
