"""What is counted, under which labels, and in which formats it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx
import prometheus_client
import pytest
from prometheus_client.parser import text_string_to_metric_families

from graphs.answer import build
from orchestra.app import Fleet
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.call import Call, Client
from orchestra.core.job import CallRecord, ErrorRecord, Result
from orchestra.observe import metrics
from orchestra.observe.answers import Times, count_answer
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from orchestra.testing import ScriptedEngine


def value(name: str, **labels: str) -> float:
    return prometheus_client.REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """The HTTP face over the `mini` cards, with engines that answer two words."""

    def told(call: Call) -> Any:
        if call.schema is None:
            return "two words"
        return {name: call.text for name in call.schema["properties"]}

    near = {name: InProcessClient(name, lambda: ScriptedEngine(told)) for name in ("r1", "vl")}
    clients: dict[str, Client] = {**near}
    opened = Fleet.open("mini", clients=clients)

    async def lost() -> dict[str, str]:
        return {"vl": "no replica runs"}

    service = Service(opened, {"answer": build}, lost)
    transport = httpx.ASGITransport(make_app(service), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as client:
        yield client
    await opened.close()
    for client in near.values():
        await client.close()


def test_metrics_count_jobs_calls_seconds_dollars_tokens_errors_and_problems() -> None:
    call = CallRecord(node="look", model="tested", instruction="?", seconds=0.3)
    call = call.model_copy(update={"input_tokens": 70, "output_tokens": 3})
    paid = call.model_copy(update={"cost_usd": Decimal("0.002")})
    saved = {"reused": True, "cached": True, "saved_usd": Decimal("0.25")}
    cached, reused = call.model_copy(update=saved), call.model_copy(update={"reused": True})
    error = ErrorRecord(stage="look", type="AnswerTruncated", message="cut")
    failed = call.model_copy(update={"error": error})
    over = paid.model_copy(update={"cost_usd": Decimal(14), "overrun_usd": Decimal(13)})
    lost = failed.model_copy(update={"cost_usd": Decimal("0.5"), "presumed": True})
    for one in (over, lost):
        metrics.count_result(
            Result(status="failed", calls=(one.model_copy(update={"model": "greedy"}),))
        )
    assert value("orchestra_cost_usd_total", model="greedy") == pytest.approx(14.5)
    assert value("orchestra_overrun_usd_total", model="greedy") == pytest.approx(13)
    assert value("orchestra_presumed_usd_total", model="greedy") == pytest.approx(0.5)
    calls = (paid, reused, failed, cached)
    result = Result(status="partial", calls=calls, seconds=0.7, errors=(error,))
    jobs = value("orchestra_jobs_total", status="partial")
    long = value("orchestra_job_seconds_sum")
    problems = value("orchestra_problems_total", type="RateLimited")
    errors = value("orchestra_errors_total", type="AnswerTruncated")
    shares = value("orchestra_deadline_share_sum")
    metrics.count_result(result, deadline_ms=1000)
    metrics.count_problem("RateLimited")
    assert value("orchestra_jobs_total", status="partial") == jobs + 1
    assert value("orchestra_job_seconds_sum") == pytest.approx(long + 0.7)
    assert value("orchestra_deadline_share_sum") == pytest.approx(shares + 0.7)
    assert value("orchestra_problems_total", type="RateLimited") == problems + 1
    assert value("orchestra_errors_total", type="AnswerTruncated") == errors + 1
    outcomes = {
        outcome: value("orchestra_model_calls_total", model="tested", outcome=outcome)
        for outcome in ("answered", "reused", "cached", "AnswerTruncated")
    }
    assert outcomes == {"answered": 1.0, "reused": 1.0, "cached": 1.0, "AnswerTruncated": 1.0}
    assert value("orchestra_model_call_seconds_sum", model="tested") == pytest.approx(1.2)
    assert value("orchestra_cost_usd_total", model="tested") == pytest.approx(0.002)
    assert value("orchestra_saved_usd_total", model="tested") == pytest.approx(0.25)
    assert value("orchestra_tokens_total", model="tested", way="in") == 140  # of no reused one
    assert value("orchestra_tokens_total", model="tested", way="out") == 6
    assert b'orchestra_tokens_total{model="tested",way="in"} 140.0' in metrics.exposition()


def test_an_answer_s_first_token_and_the_others_are_counted_apart() -> None:
    count_answer("counted apart", Times(1.0, 11, first_s=0.5, batch=4, waited_s=0.125))
    assert value("orchestra_time_to_first_token_seconds_sum", model="counted apart") == 0.5
    assert value("orchestra_time_per_token_seconds_sum", model="counted apart") == 0.05
    assert value("orchestra_batch_size_sum", model="counted apart") == 4
    assert value("orchestra_engine_queue_seconds_sum", model="counted apart") == 0.125
    count_answer("tells nothing", Times(1.0, 11))  # of a server that tells nothing
    assert value("orchestra_time_to_first_token_seconds_count", model="tells nothing") == 0
    assert value("orchestra_batch_size_count", model="tells nothing") == 0


async def test_whatever_is_asked_makes_no_series(http: httpx.AsyncClient) -> None:
    async def series() -> set[str]:
        text = (await http.get("/metrics")).text
        found = (s for family in text_string_to_metric_families(text) for s in family.samples)
        return {str((s.name, sorted(s.labels.items()))) for s in found if "orchestra" in s.name}

    async def ask(number: int) -> None:
        word = f"word{number}"
        job = {"text": f"A red {word}", "tags": {"customer": word}}
        await http.post("/v1/jobs", json=job)
        said = [{"role": "user", "content": word}]
        await http.post("/v1/chat/completions", json={"model": word, "messages": said})
        await http.post("/v1/jobs", json={**job, "graph": word, "thread_id": word})
        await http.get(f"/v1/threads/{word}")
        await http.get(f"/{word}")

    await ask(0)
    before = await series()
    for number in range(1, 20):
        await ask(number)
    assert await series() == before
    assert not any("word" in one for one in before)


def test_types_of_errors_are_bounded_whatever_raises_them() -> None:
    bounded = metrics.Bounded(2)
    assert [bounded.of(kind) for kind in ("a", "b", "c", "a")] == ["a", "b", "other", "a"]


async def test_a_model_that_nothing_hosts_is_known_by_the_next_scrape(
    http: httpx.AsyncClient,
) -> None:
    await http.get("/metrics")
    lost = {name: value("orchestra_model_lost", model=name) for name in ("vl", "r1")}
    assert lost == {"vl": 1.0, "r1": 0.0}


async def test_a_call_is_timed_and_what_is_reused_is_counted_by_kind(
    http: httpx.AsyncClient,
) -> None:
    def counts() -> list[float]:
        return [
            value("orchestra_time_to_first_token_seconds_count", model="r1"),
            value("orchestra_batch_size_sum", model="r1"),
            value("orchestra_cache_total", kind="book", outcome="miss"),
        ]

    before = counts()
    await http.post("/v1/jobs", json={"text": "A green shirt"})
    assert counts() == [number + 1 for number in before]
