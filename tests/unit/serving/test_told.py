"""Runs told over HTTP as they go: events of a job, pieces of a graph's answer, errors, silence."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessageChunk
from langgraph.config import get_stream_writer
from langgraph.graph import START, StateGraph

from orchestra import Context, JobState, ask
from orchestra.core.errors import ModelUnavailable
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service
from orchestra.serving.told import event
from orchestra.testing import ScriptedEngine
from tests.asking_graphs import asking, told, writing
from tests.scripted import scripted_fleet
from tests.unit.serving.test_http import Caller, cancelled, is_free

JOB = {"text": "It is red.", "stream": True}
USER = [{"role": "user", "content": "It is red."}]


def said(text: str) -> list[tuple[str, Any]]:
    """The events of a stream; comments are left out."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    events = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [(each["event"], json.loads(each["data"])) for each in events]


def tattling() -> StateGraph[JobState, Context]:
    """A node of the user's own that tells things and returns what JSON has no form for."""

    def tattle(state: JobState) -> dict[str, Any]:
        get_stream_writer()({"bytes": b"\xff", "nan": float("nan"), "what": object})
        return {}

    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("tattle", tattle)
    graph.add_node("write", ask("text", "Write.", derived=True))
    graph.add_edge(START, "tattle")
    graph.add_edge("tattle", "write")
    return graph


def failing() -> StateGraph[JobState, Context]:
    """Nothing but a node of the user's own, which fails."""

    def fail(state: JobState) -> dict[str, Any]:
        raise LookupError("no row for cashmere-jumper-91")

    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("fail", fail)
    graph.add_edge(START, "fail")
    return graph


GRAPHS = {"writing": writing, "asking": asking, "tattling": tattling, "failing": failing}


@pytest.fixture
async def served() -> AsyncIterator[tuple[httpx.AsyncClient, Service, dict[str, ScriptedEngine]]]:
    fleet, engines = scripted_fleet(told, told)
    service = Service(fleet, GRAPHS)
    transport = httpx.ASGITransport(
        make_app(service, HttpSettings(keepalive_s=0.01)), raise_app_exceptions=False
    )
    async with fleet, httpx.AsyncClient(transport=transport, base_url="http://o") as client:
        yield client, service, engines


Served = tuple[httpx.AsyncClient, Service, dict[str, ScriptedEngine]]


async def test_a_job_is_told_as_it_goes_and_ends_with_what_it_gives_at_once(served: Served) -> None:
    http, _, _ = served
    answer = await http.post("/v1/jobs", json=JOB)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = said(answer.text)
    modes = [mode for mode, _ in events]
    assert modes[0] == "plan" and modes[-1] == "result" and modes.count("result") == 1
    assert {"updates", "messages", "call", "spend"} <= set(modes)
    assert events[0][1]["nodes"][0]["node"] == "read"
    pieces = [data for mode, data in events if mode == "messages" and data["node"] == "write"]
    assert "".join(piece["content"] for piece in pieces) == "A red shirt."
    assert {piece["model"] for piece in pieces} == {"r1"}
    assert len({piece["id"] for piece in pieces}) == 1
    whole = (await http.post("/v1/jobs", json={"text": "It is red."})).json()
    result = events[-1][1]
    assert set(result) == set(whole) and result["answer"] == whole["answer"] == "A red shirt."
    spent = [data["cost_usd"] for mode, data in events if mode == "spend"]
    assert spent[-1] == result["cost_usd"] > 0


async def test_modes_that_are_named_are_told_and_no_others(served: Served) -> None:
    http, _, _ = served
    asked = JOB | {"stream_mode": ["values", "custom"], "graph": "tattling"}
    events = said((await http.post("/v1/jobs", json=asked)).text)
    assert {mode for mode, _ in events} == {"values", "custom", "result"}
    tale = next(data for mode, data in events if mode == "custom")
    assert tale == {"bytes": "_w==", "nan": "NaN", "what": "<class 'object'>"}


@pytest.mark.parametrize(
    ("change", "status", "part"),
    [
        ({"stream_mode": ["debug"]}, 400, "stream_mode"),
        ({"stream": False, "stream_mode": ["plan"]}, 400, "set stream to true"),
        ({"graph": "none"}, 404, "served are: writing"),
        ({"budget": {"cost_usd": 0}}, 422, "smallest budget"),
        ({"images": ["/none.png"], "text": None}, 400, "none.png"),
        ({"thread_id": ""}, 400, "thread_id"),
    ],
)
async def test_an_error_before_the_first_event_is_an_ordinary_answer(
    served: Served, change: dict[str, Any], status: int, part: str
) -> None:
    http, _, _ = served
    answer = await http.post("/v1/jobs", json=JOB | change)
    assert answer.status_code == status
    assert part in answer.json()["error"]["message"]
    plan = await http.post("/v1/plan", json={"text": "Hi", "stream": True})
    assert plan.status_code == 400 and "Keys: text, images" in plan.json()["error"]["message"]


async def test_an_error_after_the_first_event_is_the_last_one(served: Served) -> None:
    http, _, _ = served
    answer = await http.post("/v1/jobs", json=JOB | {"graph": "failing"})
    events = said(answer.text)
    assert events[0][0] == "plan"
    mode, data = events[-1]
    assert (mode, data["error"]["code"]) == ("error", "InternalError")
    assert "cashmere" not in answer.text


async def test_who_hangs_up_ends_the_run() -> None:
    fleet, engines = scripted_fleet(told, told, delay_s=30.0)
    service = Service(fleet, GRAPHS)
    before = cancelled()
    caller = Caller("/v1/jobs", JOB, lambda: bool(engines["r1"].calls))
    await caller.call(make_app(service))
    assert caller.sent[0]["status"] == 200
    assert b"event: plan" in b"".join(each.get("body", b"") for each in caller.sent)
    assert cancelled() == before + 1
    engines["r1"].answer = lambda call: "two words"
    assert await is_free(service, engines["r1"])
    await fleet.close()


async def test_silence_is_filled_with_comments(served: Served) -> None:
    http, _, engines = served
    engines["r1"].delay_s = 0.2
    answer = await http.post("/v1/jobs", json=JOB | {"stream_mode": ["plan"]})
    assert "\n\n: still at work\n\n" in answer.text
    assert [mode for mode, _ in said(answer.text)] == ["plan", "result"]
    # A graph of two calls: the second one's silence comes after the first piece.
    asked = {"model": "writing", "messages": USER, "stream": True}
    chat = await http.post("/v1/chat/completions", json=asked)
    assert chat.text.endswith("data: [DONE]\n\n")


def deltas(text: str) -> list[str]:
    """The pieces of content of a streamed chat."""
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line.startswith("data")]
    chunks = [json.loads(line) for line in lines if line != "[DONE]"]
    found = [
        chunk["choices"][0]["delta"].get("content") for chunk in chunks if chunk.get("choices")
    ]
    return [piece for piece in found if piece]


async def test_a_graphs_answer_is_heard_as_it_is_decoded_and_no_other_node(served: Served) -> None:
    http, _, _ = served
    asked = {"model": "writing", "messages": USER, "stream": True}
    chat = (await http.post("/v1/chat/completions", json=asked)).text
    assert deltas(chat) == ["A", " red", " shirt."]
    again = (await http.post("/v1/chat/completions", json=asked | {"stream": False})).json()
    assert again["choices"][0]["message"]["content"] == "A red shirt."


def broken_off(failure: Exception) -> Any:
    """An engine whose free answers break off after a piece."""

    class Breaking(ScriptedEngine):
        def generate(self, calls: Any, is_cancelled: Any = None, on_text: Any = None) -> Any:
            if calls[0].schema is None:
                on_text(0, "A red")
                raise failure
            return super().generate(calls, is_cancelled, on_text)

    return Breaking(told)


async def test_an_answer_that_breaks_off_ends_with_its_error_and_is_not_begun_again() -> None:
    from orchestra import Fleet
    from orchestra.clients.inprocess import InProcessClient

    engine = broken_off(ModelUnavailable("The model is gone. Try again."))
    fleet = Fleet.open("mini", clients={"r1": InProcessClient("r1", lambda: engine)})
    transport = httpx.ASGITransport(make_app(Service(fleet, GRAPHS)))
    async with fleet, httpx.AsyncClient(transport=transport, base_url="http://o") as http:
        asked = {"model": "writing", "messages": USER, "stream": True}
        chat = (await http.post("/v1/chat/completions", json=asked)).text
    assert deltas(chat) == ["A red"]
    last = json.loads(chat.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["code"] == "ModelUnavailable"


def test_an_event_has_one_line_of_data_whatever_is_told() -> None:
    piece = AIMessageChunk(content="a\nb", id="run-1")
    told = event("messages", (piece, {"langgraph_node": "write", "ls_model_name": "big"}))
    assert told.count("\n") == 3
    assert said(told) == [
        ("messages", {"content": "a\nb", "node": "write", "model": "big", "id": "run-1"})
    ]
    loop: dict[str, Any] = {}
    loop["self"] = loop
    assert said(event("custom", loop))[0][1] == {"self": "{'self': {...}}"}
