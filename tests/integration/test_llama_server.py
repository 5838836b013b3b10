"""A third real server: llama.cpp's own, on the bundled text checkpoint written as GGUF.

It holds a model to a schema, reports log-probabilities and refuses in its own words, so the client
meets here what `tests/replay/llamacpp.yaml` tells from reports.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from orchestra import Context, Fleet, Job, JobState, ask
from orchestra.clients.endpoint import EndpointClient
from orchestra.clients.tools import from_form
from orchestra.core.call import Call, Reply, Tool
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import AccessRefused, AnswerInvalid, OrchestraError, PromptTooLong
from tests.gguf_file import write_gguf

ROOT = Path(__file__).parents[2]
KEY_NAME, KEY = "LLAMA_TEST_KEY", "let-me-in"
TEXT = "name: Red Apple\ndescription: A red apple from Italy."
SPAN = {"type": "string", "x-span": True}
READ = Call("Extract what the text states.", text=TEXT, max_tokens=120)


class Facts(BaseModel):
    colour: str | None
    origin: str | None


@dataclass(frozen=True)
class Served:
    """Where the server answers."""

    url: str

    def card(self, **endpoint: Any) -> Card:
        """The card of its model, which asks for nothing in particular."""
        places = {"url": f"{self.url}/v1", "model": "r1", "api_key_env": KEY_NAME}
        return Card.model_validate(
            {
                "name": "llama",
                "role": "text",
                "capabilities": ["text"],
                "price": {"as_of": "2026-11-01", "usd_per_million_output_tokens": 1},
                "profile": {"origin": "estimated", "fixed_ms": 10},
                "hosting": {
                    "memory_gib": 0,
                    "schema_in_prompt": False,
                    "endpoint": {**places, **endpoint},
                },
                "limits": {"context_tokens": 1024},
            }
        )


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("llama")
    write_gguf(ROOT / "workers" / "checkpoints" / "r1", folder / "r1.gguf")
    command = [
        sys.executable,
        str(ROOT / "tests" / "servers" / "llama_server.py"),
        str(folder / "r1.gguf"),
        KEY,
    ]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdin=-1, stdout=-1, stderr=log, text=True) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http"), (folder / "log").read_text(errors="replace")[-2000:]
        try:
            yield Served(address)
        finally:
            process.stdin.close()
            process.wait(timeout=30)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_NAME, KEY)


async def answer(served: Served, call: Call, **options: Any) -> Reply | OrchestraError:
    client = EndpointClient(served.card())
    try:
        return await client.complete(call, **options)
    except OrchestraError as error:
        return error
    finally:
        await client.close()


def build() -> StateGraph[JobState, Context]:
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("read", ask("text", "Extract what the text states.", schema=Facts))
    graph.add_edge(START, "read")
    graph.add_edge("read", END)
    return graph


async def test_a_graph_reads_facts_with_evidence_and_confidence_from_the_server(
    served: Served,
) -> None:
    file = FleetFile(name="llama", models=(served.card(),))
    async with Fleet(file, Path()) as fleet:
        result = await fleet.run(build, Job(text=TEXT))
    assert result.status == "complete", result.errors
    assert {name: field.value for name, field in result.fields.items()} == {
        "colour": "Red", "origin": "Italy",
    }  # fmt: skip
    assert all(0 < (field.confidence or 0) <= 1 for field in result.fields.values())
    assert all(field.evidence for field in result.fields.values())
    (call,) = result.calls
    assert call.cost_usd == Decimal(call.output_tokens) / 1_000_000 > 0


async def test_what_it_streams_is_what_it_answers(served: Served) -> None:
    heard: list[str] = []
    streamed = await answer(served, READ, on_piece=heard.append)
    whole = await answer(served, READ)
    assert isinstance(streamed, Reply) and isinstance(whole, Reply)
    assert len(heard) > 1 and "".join(heard).strip() == streamed.text == whole.text
    assert streamed.usage == whole.usage and not whole.usage.is_bound


async def test_its_refusals_are_errors_of_their_kind_in_its_words(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = await answer(served, Call("Read.", text="red apple " * 2000, max_tokens=20))
    assert isinstance(long, PromptTooLong) and "context" in str(long)
    monkeypatch.setenv(KEY_NAME, "of-another-door")
    refused = await answer(served, Call("Say hello.", max_tokens=20))
    assert isinstance(refused, AccessRefused) and repr(KEY_NAME) in str(refused)
    assert "of-another-door" not in str(refused)


async def test_what_it_is_not_held_to_costs_that_field_alone(served: Served) -> None:
    small = {"type": "string", "pattern": "^[a-z]+(?<!d)$"}  # it passes over a look-behind
    schema = {"type": "object", "properties": {"name": SPAN, "colour": small}}
    reply = await answer(served, replace(READ, schema=schema))
    assert isinstance(reply, Reply), reply
    assert reply.value == {"name": "Red Apple", "colour": None}
    assert "which does not match" in reply.abstained["colour"]


async def test_a_schema_that_it_cannot_compile_is_asked_for_in_the_prompt(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    many = {"type": "array", "items": {"type": "string"}, "minItems": 5000}
    schema = {"type": "object", "properties": {"colour": SPAN, "tags": many}}
    reply = await answer(served, replace(READ, schema=schema))
    assert "does not take 'json_schema' (Failed to initialize samplers" in caplog.text
    assert isinstance(reply, Reply | AnswerInvalid), reply  # the tiny model reads no schemas


async def test_a_model_that_needs_no_tool_answers(served: Served) -> None:
    tool = Tool("now", "The time.", {"type": "object", "properties": {}})
    reply = await answer(served, Call("Say hello.", tools=(tool,), max_tokens=60))
    assert isinstance(reply, Reply), reply
    text, calls = from_form(reply.text, (tool,), prefix="made-")
    assert text and not calls
