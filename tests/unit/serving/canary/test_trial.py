"""A canary beside the stable version: which jobs it gets, and when it gets none any more."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import prometheus_client
import pytest

from graphs.answer import build
from orchestra.book.filing.filing import Filing
from orchestra.core.errors import ModelUnavailable
from orchestra.observe import metrics
from orchestra.serving.canary.seen import CANARY, STABLE, Ended, compare
from orchestra.serving.canary.sharing import Sharing
from orchestra.serving.canary.trial import CanaryTrial
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service
from tests.asking_graphs import asking, told
from tests.scripted import first_allowed, scripted_fleet

BODIES = [f'{{"text": "job {number}"}}'.encode() for number in range(2000)]


def ask(number: int) -> dict[str, Any]:
    return {"model": "r1", "messages": [{"role": "user", "content": f"Question {number}?"}]}


def retried() -> float:
    return prometheus_client.REGISTRY.get_sample_value("orchestra_canary_retried_total") or 0


async def pieces() -> AsyncIterator[bytes]:
    """A body over the bound whose length nobody declared."""
    for _ in range(49):
        yield b"0" * 2**20


def failing(call: object) -> str:
    raise ModelUnavailable("It does not answer.")


@asynccontextmanager
async def beside(
    trial: CanaryTrial, second: Any, first: Any = lambda call: "stable"
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a stable version that answers by `first`, and a canary that does by `second`."""
    one, _ = scripted_fleet(first, first)
    two, _ = scripted_fleet(second, second)
    graphs = {"answer": build}
    app = make_app(Service(one, graphs), HttpSettings(canary=Sharing(Service(two, graphs), trial)))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as http:
        yield http
    await one.close()
    await two.close()


def outcomes(count: int, failed: int = 0, seconds: float = 1.0) -> list[Ended]:
    """`count` of them, spread a little around `seconds`."""
    return [
        Ended(0.0, seconds * (0.8 + 0.4 * number / count), number < failed)
        for number in range(count)
    ]


def test_the_same_job_goes_to_the_same_version_and_a_larger_share_keeps_it() -> None:
    small, large = CanaryTrial(10), CanaryTrial(30)
    of_small = {body for body in BODIES if small.version_of(body) == CANARY}
    of_large = {body for body in BODIES if large.version_of(body) == CANARY}
    assert of_small < of_large
    assert 150 < len(of_small) < 250 and 520 < len(of_large) < 680
    assert {CanaryTrial(0).version_of(body) for body in BODIES} == {STABLE}
    assert {CanaryTrial(100).version_of(body) for body in BODIES} == {CANARY}


@pytest.mark.parametrize(
    ("stable", "canary", "what"),
    [
        (outcomes(500, 5), outcomes(50, 25), "failed"),
        (outcomes(500), outcomes(8, 8), "failed"),
        (outcomes(500), outcomes(100, seconds=2.0), "slow"),
        (outcomes(500, 100), outcomes(100, 24), None),  # within noise
        (outcomes(500, 250), outcomes(200, 100), None),  # what the clients send is wrong
        (outcomes(500), outcomes(100, 1), None),
        (outcomes(500), outcomes(100, seconds=1.1), None),
        (outcomes(500, 500), outcomes(100, 100), None),
        (outcomes(500, 50), outcomes(100, seconds=0.2), None),  # better
    ],
)
def test_only_what_is_worse_beyond_noise_is_told(
    stable: list[Ended], canary: list[Ended], what: str | None
) -> None:
    worse = compare(stable, canary)
    assert (worse and worse.what) == what


def test_what_is_older_than_the_window_no_longer_counts() -> None:
    now = 0.0
    trial = CanaryTrial(50, window_s=60, clock=lambda: now)
    for _ in range(100):
        trial.ended(STABLE, 1.0, is_failed=False)
    now = 100.0
    for _ in range(30):
        trial.ended(CANARY, 1.0, is_failed=True)
    assert trial.percent == 50  # nothing of the stable version is left to compare with
    for _ in range(100):
        trial.ended(STABLE, 1.0, is_failed=False)
    trial.ended(CANARY, 1.0, is_failed=True)
    assert trial.percent == 0
    assert trial.why.startswith("failed: 100.0% of 31 requests")


@pytest.mark.parametrize("is_failed", [False, True])
def test_the_first_answer_of_a_canary_may_be_slow_or_fail_by_chance(is_failed: bool) -> None:
    trial = CanaryTrial(50)
    for _ in range(100):
        trial.ended(STABLE, 1.0, is_failed=False)
    trial.ended(CANARY, 30.0, is_failed=is_failed)
    for _ in range(20):
        trial.ended(CANARY, 1.0, is_failed=False)
    assert trial.percent == 50


async def test_a_good_canary_keeps_its_share_and_says_that_it_answered() -> None:
    trial = CanaryTrial(50)
    async with beside(trial, lambda call: "canary") as http:
        answers = [await http.post("/v1/chat/completions", json=ask(n)) for n in range(60)]
        again = [await http.post("/v1/chat/completions", json=ask(n)) for n in range(60)]
    said = [(a.json()["choices"][0]["message"]["content"]) for a in answers]
    assert [a.headers["X-Orchestra-Version"] for a in answers] == said
    assert set(said) == {"stable", "canary"} and min(map(said.count, set(said))) > 15
    assert [a.headers["X-Orchestra-Version"] for a in again] == said
    assert trial.percent == 50


async def test_a_canary_that_fails_loses_its_share_with_a_line_and_a_metric(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def returned() -> float:
        return prometheus_client.REGISTRY.get_sample_value("orchestra_canary_returned_total") or 0

    trial, before, tried = CanaryTrial(30), returned(), retried()
    async with beside(trial, failing) as http:
        with caplog.at_level(logging.WARNING, "orchestra.serving"):
            codes = [
                (await http.post("/v1/chat/completions", json=ask(n))).status_code
                for n in range(120)
            ]
    assert trial.percent == 0 and returned() == before + 1
    assert set(codes) == {200}  # nothing was charged, so the stable version answered them
    assert 3 <= retried() - tried <= 12
    (line,) = [one for one in caplog.records if "canary" in one.getMessage()]
    assert vars(line)["orchestra_type"] == "CanaryReturned"
    assert vars(line)["orchestra_canary_share"] == 1.0
    assert b"orchestra_canary_percent 0.0" in metrics.exposition()


async def test_a_job_of_the_canary_that_comes_to_no_whole_answer_counts_as_failed() -> None:
    trial = CanaryTrial(30)
    async with beside(trial, failing, first_allowed) as http:
        for number in range(80):
            job = {"text": f"Origin: Italy {number}. Where is it from?"}
            await http.post("/v1/jobs", json=job)
    assert trial.percent == 0 and trial.why.startswith("failed")


async def test_what_is_no_work_and_what_is_too_long_is_answered_as_without_a_canary() -> None:
    async with beside(CanaryTrial(100), lambda call: "canary") as http:
        ready = await http.get("/readyz")
        plan = await http.post("/v1/plan", json={"text": "hi"})
        large = await http.post("/v1/jobs", content=pieces())
    assert (ready.status_code, plan.status_code, large.status_code) == (200, 200, 413)
    assert "X-Orchestra-Version" not in ready.headers


async def test_what_the_canary_fails_for_nothing_is_answered_by_the_stable_version() -> None:
    async with beside(CanaryTrial(100), failing, first_allowed) as http:
        job = {"text": "Origin: Italy. Where is it from?"}
        whole = await http.post("/v1/jobs", json=job)
        named = await http.post("/v1/jobs", json=job | {"thread_id": "mine"})
        chat = await http.post("/v1/chat/completions", json=ask(1))
        streamed = await http.post("/v1/chat/completions", json=ask(1) | {"stream": True})
        wrong = await http.post("/v1/jobs", json={"text": 1})
    assert [a.json()["status"] for a in (whole, named)] == ["complete"] * 2
    for answer in (whole, named, chat, streamed, wrong):
        assert answer.headers["X-Orchestra-Version"] == "stable"
    assert (chat.status_code, streamed.status_code, wrong.status_code) == (200, 200, 400)


async def test_what_was_charged_is_told_as_the_canary_answered_it() -> None:
    trial = CanaryTrial(100)
    async with beside(trial, lambda call: "no JSON", first_allowed) as http:
        answer = await http.post("/v1/jobs", json={"text": "Origin: Italy. Where is it from?"})
    assert answer.headers["X-Orchestra-Version"] == "canary"
    assert answer.json()["status"] == "failed" and answer.json()["cost_usd"] > 0


async def test_a_run_that_waits_in_the_canary_is_told_as_one_of_the_stable_version_is() -> None:
    one, _ = scripted_fleet(told, told)
    two, _ = scripted_fleet(told, told)
    filing, graphs = Filing.open(None), {"asking": asking}
    second = Sharing(Service(two, graphs), CanaryTrial(100))
    app = make_app(Service(one, graphs), HttpSettings(canary=second, filing=filing))
    transport = httpx.ASGITransport(app)
    async with one, two, httpx.AsyncClient(transport=transport, base_url="http://o") as http:
        waits = await http.post("/v1/jobs", json={"text": "It is red.", "thread_id": "t"})
    assert waits.json()["status"] == "waiting"
    (message,) = filing.due_messages(2**40, 9)
    assert json.loads(message.body)["data"]["id"] == "t"
