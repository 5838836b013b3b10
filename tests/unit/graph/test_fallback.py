"""A node whose model is unavailable asks the fallback: money, deadline, notes, and who may not."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from orchestra import Budget, Context, Job, JobState, Result, ask
from orchestra.app import Fleet
from orchestra.clients.inprocess import InProcessClient
from orchestra.core.ask import ask as ask_node
from orchestra.core.call import Call
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import (
    AccessRefused,
    AnswerInvalid,
    AnswerRefused,
    Cancelled,
    ModelUnavailable,
)
from orchestra.graph.query import Query, answer_query
from orchestra.testing import ScriptedEngine
from tests.scripted import scripted_fleet
from tests.servers.fake_server import Said, chat, endpoint_card, failing, serving, streamed

JOB = Job(text="A red shirt.")


class Facts(BaseModel):
    colour: str | None


def build() -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Extract what the text states.", schema=Facts))
    graph.add_edge(START, "read")
    graph.add_edge("read", END)
    return graph


def near(**changes: Any) -> Card:
    parts: dict[str, Any] = {
        "name": "near",
        "role": "text",
        "capabilities": ["text"],
        "price": {"as_of": "2026-11-01", "usd_per_cpu_second": "0.01"},
        "profile": {"origin": "measured", "fixed_ms": 1000},
        "hosting": {"memory_gib": 1, "worker": "tests.stub_worker:StubWorker"},
        "limits": {"context_tokens": 4000},
    }
    return Card.model_validate(parts | changes)


def red(call: Call) -> Any:
    return {"colour": "red"}


@asynccontextmanager
async def fleet_of(
    url: str, answer: Any = red, **changes: Any
) -> AsyncIterator[tuple[Fleet, ScriptedEngine]]:
    """`far` behind `url`, which falls back on `near`, an engine that answers by `answer`."""
    quality = {"text": {"score": 90, "origin": "vendor"}}
    endpoint = {"attempts": 1} | changes.pop("endpoint", {})
    far = endpoint_card(url, fallback="near", quality=quality, endpoint=endpoint, **changes)
    file = FleetFile(name="two", models=(far, near()))
    engine = ScriptedEngine(answer)
    clients: Any = {"near": InProcessClient("near", lambda: engine)}
    async with Fleet(file, Path(), clients=clients) as fleet:
        yield fleet, engine


async def run(*script: Said, job: Job = JOB, **changes: Any) -> tuple[Result, int, Fleet]:
    with serving(*script) as server:
        async with fleet_of(server.url, **changes) as (fleet, engine):
            result = await fleet.run(build, job)
            return result, len(engine.calls), fleet


def nobody() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}/v1"


async def test_an_available_model_answers_and_is_paid_by_reported_usage() -> None:
    result, asked, _ = await run(
        chat('{"colour":"red"}', usage={"prompt_tokens": 40, "completion_tokens": 9})
    )
    assert (result.fields["colour"].value, result.fields["colour"].model) == ("red", "far")
    assert asked == 0 and result.notes == ()
    assert result.cost_usd == Decimal("0.000040") and result.tokens == 49


async def test_a_model_that_is_not_there_is_free_and_its_fallback_answers() -> None:
    async with fleet_of(nobody()) as (fleet, _):
        result = await fleet.run(build, JOB)
    assert (result.status, result.fields["colour"].model) == ("complete", "near")
    first, second = result.calls
    assert first.error is not None and first.error.type == "ModelUnavailable"
    assert (first.cost_usd, second.error) == (0, None)
    assert "read was answered by the fallback near: far was unavailable" in result.notes[0]
    assert result.cost_usd == second.cost_usd > 0


async def test_a_model_that_keeps_failing_is_not_tried_before_its_fallback() -> None:
    async with fleet_of(nobody(), endpoint={"failures_in_row": 2, "rest_s": 60}) as (fleet, engine):
        first = await fleet.run(build, JOB)
        second = await fleet.run(build, Job(text="A red hat."))
    assert first.fields["colour"].value == second.fields["colour"].value == "red"
    assert "cannot be reached" in first.notes[0]
    assert "failed 2 times in a row" in second.notes[0] and "tried again in" in second.notes[0]
    assert len(engine.calls) == 2


async def test_models_read_the_schema_unless_their_card_says_that_they_do_not() -> None:
    with serving(failing(503, "loading")) as server:
        async with fleet_of(server.url) as (fleet, engine):
            await fleet.run(build, JOB)
    assert '"colour"' in server.asked[0]["messages"][0]["content"]
    assert engine.calls[0].schema_in_prompt
    fleet, engines = scripted_fleet()
    async with fleet:
        await fleet.run(build, JOB)
    assert [call.schema_in_prompt for call in engines["r1"].calls] == [False]


class Brand(BaseModel):
    colour: str | None
    brand: str | None


async def test_a_field_without_evidence_abstains_and_the_others_are_kept_and_reused() -> None:
    graph = StateGraph(JobState, context_schema=Context)
    for node in ("one", "two"):
        graph.add_node(node, ask("text", "Extract what the text states.", schema=Brand))
    graph.add_edge(START, "one")
    graph.add_edge("one", "two")
    graph.add_edge("two", END)
    with serving(chat('{"colour":"red","brand":"Nike"}')) as server:
        async with fleet_of(server.url) as (fleet, _):
            result = await fleet.run(lambda: graph, JOB)
    assert (result.status, result.errors) == ("complete", ())
    assert result.fields["colour"].value == "red"
    brand = result.fields["brand"]
    assert (brand.value, brand.source) == (None, "none")
    assert brand.note == "the model said 'Nike', which the text does not"
    # The second call is the first one's reply out of the book: it abstains just the same.
    assert [call.reused for call in result.calls] == [False, True]


async def test_a_call_that_may_have_been_billed_is_paid_beside_its_fallback() -> None:
    result, asked, _ = await run(Said({}, 500))
    first, second = result.calls
    assert asked == 1 and result.fields["colour"].value == "red"
    assert first.cost_usd > 0 and second.cost_usd > 0
    assert (first.presumed, second.presumed) == (True, False)
    assert "far reports no usage" in result.notes[1]
    ceiling = Decimal(str(result.plan["total"]["cost_usd"]))
    assert first.cost_usd + second.cost_usd == result.cost_usd <= ceiling


async def test_a_rate_limit_of_the_server_asks_the_fallback_too() -> None:
    result, asked, _ = await run(failing(429, "busy"))
    assert asked == 1 and "RateLimited" in result.notes[0]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (failing(401, "no"), AccessRefused),
        (chat("It is red."), AnswerInvalid),
        (chat(None, finish="content_filter"), AnswerRefused),
    ],
)
async def test_other_failures_are_told_and_not_covered_up(said: Said, kind: type) -> None:
    result, asked, _ = await run(said)
    assert asked == 0 and result.errors[0].type == kind.__name__


async def test_a_value_of_another_type_is_a_field_that_abstains_and_names_it() -> None:
    result, asked, _ = await run(chat('{"colour":5}'))
    field = result.fields["colour"]
    assert asked == 0 and not result.errors and not field.answered
    assert field.note == "the model said '5', which is not of type string"


async def test_no_fallback_is_asked_when_no_time_is_left() -> None:
    late = Job(text="A red shirt.", budget=Budget(latency_ms=300))
    result, asked, _ = await run(chat("{}", pause_s=5), job=late)
    assert asked == 0 and result.errors[0].type == "DeadlineExceeded"
    assert result.cost_usd > 0  # the server was at work, so its worst case is counted


async def test_a_fallback_that_fails_tells_both_failures() -> None:
    def down(call: Call) -> Any:
        raise ModelUnavailable("no memory")

    async with fleet_of(nobody(), answer=down) as (fleet, _):
        result = await fleet.run(build, JOB)
    assert result.status == "failed" and "no memory" in result.errors[0].message
    assert "asked the fallback near in vain" in result.notes[0]


async def test_a_model_without_fallback_shows_before_any_work() -> None:
    file = FleetFile(name="one", models=(endpoint_card(nobody(), endpoint={"attempts": 1}),))
    async with Fleet(file, Path()) as fleet:
        with pytest.raises(ModelUnavailable, match="cannot be reached"):
            await fleet.run(build, JOB)


async def test_what_was_heard_is_not_said_again_by_another_model() -> None:
    heard: list[str] = []
    node = ask_node("text", "Say hello.", question=True)
    with serving(streamed("hel", finish=None)) as server:
        async with fleet_of(server.url) as (fleet, engine):
            result = await answer_query(fleet, Query(node), JOB, heard.append)
    assert (heard, engine.calls) == (["hel"], [])
    assert result.errors[0].type == "ModelUnavailable"


async def test_unreported_usage_and_a_card_that_promises_too_little_are_noted() -> None:
    result, _, _ = await run(chat('{"colour":"red"}', usage=None))
    assert "far reports no usage" in result.notes[0] and result.cost_usd > 0
    result, _, _ = await run(
        chat('{"colour":"red"}', usage={"prompt_tokens": 3999, "completion_tokens": 1})
    )
    assert "counted 3999 prompt tokens" in result.notes[0]


async def test_a_text_is_cut_to_what_the_context_holds_beside_the_schema() -> None:
    long = Job(text="A red shirt. " + "It is made of good cotton. " * 60)
    result, _, _ = await run(chat('{"colour":"red"}'), job=long, limits={"context_tokens": 500})
    assert result.fields["colour"].model == "far"
    assert "read the first" in result.notes[0]
    sent = result.calls[0].data or ""
    assert 0 < len(sent) < 1000


async def test_a_local_job_never_reaches_a_card_elsewhere() -> None:
    local = Job(text="A red shirt.", data="local")
    result, asked, _ = await run(chat('{"colour":"red"}'), job=local, data_goes_to="eu")
    assert asked == 1 and [call.model for call in result.calls] == ["near"]
    result, asked, _ = await run(chat('{"colour":"red"}'), job=local)
    assert asked == 0 and [call.model for call in result.calls] == ["far"]


async def test_a_fallback_may_not_take_a_local_job_elsewhere() -> None:
    home = near(name="home", fallback="away", quality={"text": {"score": 9, "origin": "vendor"}})
    with serving(chat('{"colour":"red"}')) as server:
        away = endpoint_card(server.url, name="away", data_goes_to="eu")

        def down(call: Call) -> Any:
            raise ModelUnavailable("no memory")

        clients: Any = {"home": InProcessClient("home", lambda: ScriptedEngine(down))}
        file = FleetFile(name="two", models=(home, away))
        async with Fleet(file, Path(), clients=clients) as fleet:
            result = await fleet.run(build, Job(text="A red shirt.", data="local"))
        assert result.status == "failed" and not server.asked


async def test_a_fleet_closes_its_endpoints() -> None:
    with serving() as server:
        async with fleet_of(server.url) as (fleet, _):
            client = fleet.client("far")
            await client.prepare()
        with pytest.raises(Cancelled):
            await client.complete(Call("x"))
