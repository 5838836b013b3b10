"""A real second server: `transformers serve` on a bundled checkpoint, mixed with the mini fleet.

That server ignores `response_format` and reports no log-probabilities, so the node that it
answers asks for free text; what it does with a schema is tested as what it is: a typed error.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
import yaml
from langgraph.graph import END, START, StateGraph
from PIL import Image
from pydantic import BaseModel

from orchestra import Budget, Context, Fleet, Job, JobState, ask
from orchestra.fleet.source import load_fleet
from orchestra.graph.query import Query, answer_query

pytestmark = pytest.mark.filterwarnings("ignore")
ROOT = Path(__file__).parents[2]
START_S = 120
TEXT = "name: Red Apple\ndescription: A red apple from Italy."
# How the checkpoint's chat template marks an answer; without it the server repeats the prompt.
RESPONSE = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|assistant|>",
    "fields": {"content": {"close": ["<|end|>"], "content": "text"}},
}


class Seen(BaseModel):
    colour: str | None


def build(prompt: str = "Extract what the text states.") -> StateGraph[JobState, Context]:
    """The photo is looked at by mini, the text read by whatever model is best for text."""
    graph = StateGraph(JobState, context_schema=Context)
    graph.add_node("look", ask("vision", "Describe the product shown.", schema=COLOURS))
    graph.add_node("read", ask("text", prompt, max_tokens=120))
    graph.add_edge(START, "look")
    graph.add_edge(START, "read")
    graph.add_edge("look", END)
    graph.add_edge("read", END)
    return graph


COLOURS = {"type": "object", "properties": {"colour": {"enum": ["red", "green", "yellow", None]}}}


@dataclass
class Served:
    """The server's process, where it listens, and the fleet that reaches it."""

    process: subprocess.Popen[bytes]
    url: str
    fleet: str

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=30)


def checkpoint(folder: Path) -> Path:
    """The text checkpoint, with a line that tells the server how its answers are marked."""
    copy = folder / "r1"
    shutil.copytree(ROOT / "workers" / "checkpoints" / "r1", copy)
    config = copy / "tokenizer_config.json"
    raw = json.loads(config.read_text(encoding="utf-8")) | {"response_template": RESPONSE}
    config.write_text(json.dumps(raw), encoding="utf-8")
    return copy


def write_fleet(folder: Path, url: str, model: str) -> str:
    """`served` behind the server, falling back on mini's `r1`, beside mini's `vl`."""
    mini, place = load_fleet("mini")
    cards = [card.model_dump(mode="json", exclude_defaults=True) for card in mini.models]
    for card in cards:
        card["hosting"]["checkpoint"] = str((place / card["hosting"]["checkpoint"]).resolve())
    served = {
        "name": "served",
        "role": "text",
        "capabilities": ["text"],
        "quality": {"text": {"score": 99, "origin": "estimated"}},
        "profile": {"origin": "estimated", "fixed_ms": 1},
        "price": {
            "as_of": "2026-11-01",
            "usd_per_million_input_tokens": 2,
            "usd_per_million_output_tokens": 8,
        },
        "hosting": {
            "memory_gib": 0,
            "endpoint": {
                "url": "${SERVED_URL:-" + url + "}",
                "model": model,
                "structured": "prompt",
                "logprobs": False,
                "attempts": 2,
            },
        },
        "limits": {"context_tokens": 1024},
        "fallback": "r1",
    }
    path = folder / "mixed.yaml"
    path.write_text(yaml.safe_dump({"name": "mixed", "models": [served, *cards]}), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("served")
    model = checkpoint(folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "hub").mkdir()
    command = [str(Path(sys.executable).with_name("transformers")), "serve", str(model)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    environment = {**os.environ, "HF_HUB_CACHE": str(folder / "hub"), "OMP_NUM_THREADS": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_healthy(process, url, folder / "log")
        yield Served(process, f"{url}/v1", write_fleet(folder, f"{url}/v1", str(model)))
    finally:
        process.kill()
        process.wait(timeout=30)


def wait_until_healthy(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in range(START_S * 5):
        if process.poll() is not None:
            pytest.fail(f"transformers serve ended: {log.read_text(errors='replace')[-2000:]}")
        try:
            if httpx.get(f"{url}/health", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    pytest.fail(f"transformers serve did not start in {START_S} s: {log.read_text()[-2000:]}")


@pytest.fixture
def apple(tmp_path: Path) -> str:
    path = tmp_path / "apple.png"
    Image.new("RGB", (64, 64), "red").save(path)
    return str(path)


async def test_one_graph_asks_mini_for_the_photo_and_the_server_for_the_text(
    served: Served, apple: str
) -> None:
    async with Fleet.open(served.fleet) as fleet:
        result = await fleet.run(build, Job(text=TEXT, images=[apple]))
    assert result.status == "complete", result.errors
    look, read = sorted(result.calls, key=lambda call: call.node)
    assert (look.model, read.model) == ("vl", "served")
    assert json.loads(result.answer or "")["origin"] == "Italy"
    reported = Decimal(2 * read.input_tokens + 8 * read.output_tokens) / 1_000_000
    assert read.cost_usd == reported > 0
    assert look.cost_usd + read.cost_usd == result.cost_usd
    assert result.cost_usd <= Decimal(str(result.plan["total"]["cost_usd"]))
    node = next(n for n in result.plan["nodes"] if n["node"] == "read")
    assert node["fallback"]["model"] == "r1"


async def test_an_answer_is_heard_as_the_server_decodes_it(served: Served) -> None:
    heard: list[str] = []
    question = Query(ask("text", "x", question=True, max_tokens=40), model="served")
    async with Fleet.open(served.fleet) as fleet:
        result = await answer_query(fleet, question, Job(text="Say what it is."), heard.append)
    assert not result.errors
    assert len(heard) > 1 and "".join(heard).strip() == result.answer


async def test_a_deadline_is_kept_and_the_worst_case_counted(served: Served) -> None:
    async with Fleet.open(served.fleet) as fleet:
        await fleet.run(build, Job(text=TEXT))
        for latency_ms in (15, 30, 60, 120, 240):  # a busy machine may not even come to ask
            text = f"{TEXT} It is sweet, {latency_ms} g."
            job = Job(text=text, budget=Budget(latency_ms=latency_ms))
            result = await fleet.run(build, job)
            if result.calls:
                break
    assert [error.type for error in result.errors] == ["DeadlineExceeded"]
    (call,) = result.calls
    assert call.model == "served"
    assert call.cost_usd + fallback_usd(result.plan) == Decimal(str(worst_usd(result.plan)))


def worst_usd(plan: object) -> float:
    return plan["nodes"][0]["cost_usd"]  # type: ignore[index]


def fallback_usd(plan: object) -> Decimal:
    return Decimal(str(plan["nodes"][0]["fallback"]["cost_usd"]))  # type: ignore[index]


async def test_a_server_that_ignores_schemas_gives_an_error_and_no_wrong_value(
    served: Served,
) -> None:
    def strict() -> StateGraph[JobState, Context]:
        graph = StateGraph(JobState, context_schema=Context)
        graph.add_node("read", ask("text", "Extract what the text states.", schema=Seen))
        graph.add_edge(START, "read")
        graph.add_edge("read", END)
        return graph

    async with Fleet.open(served.fleet) as fleet:
        result = await fleet.run(strict, Job(text=TEXT))
    assert [error.type for error in result.errors] == ["AnswerInvalid"]
    assert not result.fields


async def test_when_the_server_is_killed_minis_own_model_answers(
    served: Served, apple: str
) -> None:
    async with Fleet.open(served.fleet) as fleet:
        before = await fleet.run(build, Job(text=TEXT))
        assert before.calls[0].model == "served"
        served.kill()
        result = await fleet.run(build, Job(text=TEXT + " It is sweet.", images=[apple]))
    assert result.status == "complete", result.errors
    assert {call.model for call in result.calls} == {"served", "r1", "vl"}
    assert json.loads(result.answer or "")["origin"] == "Italy"
    assert any("answered by the fallback r1" in note for note in result.notes)
    assert result.cost_usd <= Decimal(str(result.plan["total"]["cost_usd"]))
