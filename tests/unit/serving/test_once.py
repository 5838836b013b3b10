"""Requests that are sent again under one `Idempotency-Key`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from orchestra.core.call import Call
from orchestra.core.errors import ModelUnavailable
from tests.batch_service import CHAT, Served, served
from tests.unit.serving.test_threads import tenant_of

ONCE = {"Idempotency-Key": "k1"}


def chat(words: str = "What is it?", **more: Any) -> dict[str, Any]:
    asked = {"model": "r1", "messages": [{"role": "user", "content": words}]}
    return {**asked, "orchestra": {"cache": False}, **more}


@pytest.fixture
async def here() -> AsyncIterator[Served]:
    async with served() as one:
        yield one


@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_request_has_the_same_answer_and_is_made_once(
    here: Served, stream: bool
) -> None:
    asked = chat(stream=stream)
    first = await here.http.post(CHAT, json=asked, headers=ONCE)
    again = await here.http.post(CHAT, json=asked, headers=ONCE)
    assert first.status_code == 200 and again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    other = await here.http.post(CHAT, json=asked, headers={"Idempotency-Key": "k2"})
    assert other.content != first.content  # another id
    changed = await here.http.post(CHAT, json=chat("And that?"), headers=ONCE)
    assert (changed.status_code, changed.json()["error"]["code"]) == (422, "IdempotencyKeyReused")


async def test_a_key_is_its_tenants_and_lasts_a_day(here: Served) -> None:
    async with tenant_of(here.app, "one") as one, tenant_of(here.app, "two") as two:
        first = await one.post(CHAT, json=chat(), headers=ONCE)
        other = await two.post(CHAT, json=chat(), headers=ONCE)
        assert "idempotent-replayed" not in other.headers and other.content != first.content
        with here.filing.transaction():
            here.filing._write("UPDATE answers SET until = until - 86400")
        later = await one.post(CHAT, json=chat(), headers=ONCE)
        assert "idempotent-replayed" not in later.headers


async def test_one_that_comes_while_the_first_is_under_way_is_told_so(here: Served) -> None:
    here.engine.delay_s = 0.5
    first = asyncio.create_task(here.http.post(CHAT, json=chat(), headers=ONCE))
    while not here.engine.calls:
        await asyncio.sleep(0.01)
    second = await here.http.post(CHAT, json=chat(), headers=ONCE)
    assert (second.status_code, second.headers["retry-after"]) == (409, "1")
    assert (await first).status_code == 200
    third = await here.http.post(CHAT, json=chat(), headers=ONCE)
    assert third.content == (await first).content


async def test_what_may_turn_out_otherwise_is_not_kept(here: Served) -> None:
    fails = True

    def answer(call: Call) -> Any:
        return ModelUnavailable("It rests. Ask later.") if fails else "ok"

    here.engine.answer = answer
    for stream in (False, True):
        refused = await here.http.post(CHAT, json=chat(stream=stream), headers=ONCE)
        assert refused.status_code == 503
    fails = False
    assert (await here.http.post(CHAT, json=chat(), headers=ONCE)).status_code == 200


@pytest.mark.parametrize(("key", "told"), [("", "1 to 255"), ("k" * 256, "256 characters")])
async def test_a_key_that_is_none_is_refused(here: Served, key: str, told: str) -> None:
    answer = await here.http.post(CHAT, json=chat(), headers={"Idempotency-Key": key})
    assert answer.status_code == 400 and told in answer.json()["error"]["message"]
    sent = await here.http.post("/v1/files", files={"file": ("a", b"a")}, headers=ONCE)
    assert sent.status_code == 400 and "no effect on files" in sent.text
