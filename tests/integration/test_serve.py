"""The bundled fleet on a real Ray Serve, asked by the clients that people have."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from PIL import Image

from examples import approval
from graphs.listing import build
from orchestra import Fleet, Job, serve
from orchestra.cluster.owned import own_cluster, served
from orchestra.cluster.processes import descendants
from orchestra.core.card import FleetFile
from orchestra.fleet.source import load_fleet
from tests.servers.fake_server import endpoint_card
from workers.encoder.encoder import shared_encoder
from workers.synthetic.drawn import RESERVED_SEED, draw_product

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
KINDS = (("Apple", "green"), ("Lemon", "yellow"), ("shirt", "red"), ("Tomato", "red"))
FACTS = {
    "type": "object",
    "properties": {
        "category": {"type": ["string", "null"]},
        "colour": {"type": "string", "enum": ["red", "green"]},
    },
    "required": ["category", "colour"],
    "additionalProperties": False,
}


def photo(number: int) -> str:
    """A drawn product as a data URI."""
    kind, colour = KINDS[number % len(KINDS)]
    image = draw_product(kind, colour, seed=RESERVED_SEED + number, size=128)
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def jobs(count: int) -> list[Job]:
    """Texts, photos and both, in two languages, no two the same."""
    made: list[Job] = []
    for number in range(count):
        kind, colour = KINDS[number % len(KINDS)]
        english = f"{colour} {kind}, lot {number}. Origin: Italy, ca {100 + number} g."
        chinese = f"品牌：晴川，产地：中国，净含量：{number + 1}件。"
        text = None if number % 5 == 4 else chinese if number % 3 == 2 else english
        images = [photo(number)] if number % 5 in (0, 4) else []
        made.append(Job(text=text, images=images))
    return made


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    os.environ["PYTHONPATH"] = str(ROOT)
    with own_cluster(cpus=4), served(port):
        from ray import serve as ray_serve

        ray_serve.run(
            serve(build)({"fleet": "mini", "graphs": "answer,examples.approval:build"}),
            name="listing",
        )
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as made:
        yield made


def test_a_batch_runs_behind_serve(client: OpenAI) -> None:
    body = {"model": "r1", "messages": [{"role": "user", "content": "2 + 3 = ?"}]}
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body}
    content = json.dumps(line).encode()
    file = client.files.create(file=("in.jsonl", content), purpose="batch")
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    while batch.status not in ("completed", "failed"):
        time.sleep(0.1)
        batch = client.batches.retrieve(batch.id)
    assert batch.output_file_id is not None
    (said,) = client.files.content(batch.output_file_id).text.splitlines()
    answer = json.loads(said)["response"]["body"]
    assert answer["choices"][0]["message"]["content"]


async def test_the_same_100_jobs_give_the_same_plans_and_answers(url: str) -> None:
    wanted = jobs(100)
    async with Fleet.open("mini") as fleet:
        here = [(await fleet.run(build, job)).model_dump(mode="json") for job in wanted]
    async with httpx.AsyncClient(base_url=url, timeout=120) as http:
        for job, mine in zip(wanted, here, strict=True):
            answer = await http.post("/v1/jobs", json=job.model_dump(mode="json"))
            theirs = answer.json()
            assert (theirs["status"], theirs["plan"]) == (mine["status"], mine["plan"])
            for name, field in mine["fields"].items():
                other = theirs["fields"][name]
                assert (other["value"], other["source"]) == (field["value"], field["source"])
                assert other["confidence"] == pytest.approx(field["confidence"], abs=1e-3)


def test_openai_asks_about_a_photo_and_a_graph_writes_a_listing(client: OpenAI) -> None:
    seen = client.chat.completions.create(
        model="auto",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": photo(0)}},
                ],
            }
        ],
    )
    assert seen.choices[0].message.content
    image_tokens = load_fleet("mini")[0].card("vl").limits.image_tokens
    assert seen.usage is not None and seen.usage.prompt_tokens > image_tokens > 0
    listing = client.chat.completions.create(
        model="listing",
        messages=[{"role": "user", "content": "Granny Smith apple from Italy, 180 g."}],
        extra_body={"orchestra": {"budget": {"cost_usd": "0.01"}}},
    )
    assert "Italy" in (listing.choices[0].message.content or "")
    assert {model.id for model in client.models.list()} >= {"auto", "listing", "answer", "r1"}
    assert client.models.retrieve("r1").id == "r1"


async def test_openai_gets_the_vectors_of_this_process_and_so_does_a_fleet_of_endpoints(
    client: OpenAI, url: str
) -> None:
    texts = ["Red cotton shirt", "红色棉衬衫"]
    here = shared_encoder().vectors(texts)
    made = client.embeddings.create(model="auto", input=texts)
    assert made.model == "e5" and made.usage.total_tokens == made.usage.prompt_tokens > 10
    assert np.allclose([entry.embedding for entry in made.data], here, atol=1e-5)
    far = endpoint_card(f"{url}/v1", capabilities=["encode"], endpoint={"model": "e5"})
    async with Fleet(FleetFile(name="far", models=(far,)), ROOT) as fleet:
        assert np.allclose(await fleet.encode(texts), here, atol=1e-5)
    with pytest.raises(BadRequestError, match="makes no vectors"):
        client.embeddings.create(model="r1", input=texts)


def test_openai_streams_and_holds_an_answer_to_a_schema(client: OpenAI) -> None:
    pieces = list(
        client.chat.completions.create(
            model="r1",
            messages=[{"role": "user", "content": "A red apple from Italy"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    whole = client.chat.completions.create(
        model="r1", messages=[{"role": "user", "content": "A red apple from Italy"}]
    )
    told = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    # r1 puts JSON around its words, which is taken off, and so they are told once they are whole.
    assert len(pieces) >= 4 and told == whole.choices[0].message.content
    assert told and not told.startswith("{")
    assert pieces[-1].usage is not None and pieces[-1].usage.completion_tokens > 0
    held = client.chat.completions.create(
        model="r1",
        messages=[{"role": "user", "content": "Red cotton shirt"}],
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "facts", "schema": FACTS, "strict": True},
        },
    )
    assert '"colour":"' in (held.choices[0].message.content or "")


async def test_a_run_is_told_waits_and_goes_on_with_one_of_two_answers(url: str) -> None:
    asked = {
        "graph": "approval",
        "text": approval.TEXT,
        "images": [photo(number) for number in range(3)],
        "budget": approval.BUDGET.model_dump(mode="json"),
        "thread_id": "shirts/7",
        "stream": True,
    }
    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        told = (await client.post("/v1/jobs", json=asked)).text.strip().split("\n\n")
        events = [block.split("\n") for block in told if not block.startswith(":")]
        assert (events[0][0], events[-1][0]) == ("event: plan", "event: result")
        assert {"event: messages", "event: call", "event: spend"} <= {mode for mode, _ in events}
        first = json.loads(events[-1][1].removeprefix("data: "))
        assert first["status"] == "waiting"
        (thread,) = (await client.get("/v1/threads")).json()["data"]
        assert (thread["thread_id"], thread["graph"]) == ("shirts/7", "approval")
        assert thread["questions"] == first["questions"]
        answers = await asyncio.gather(
            *(
                client.post("/v1/threads/shirts/7/answer", json={"answer": answer})
                for answer in ("Ann", "Bob")
            )
        )
        (late,) = [answer for answer in answers if answer.status_code != 200]
        # It is taken while the other goes on, and nobody's once that has ended; which, the network
        # decides. tests/unit/serving/test_threads.py has each alone.
        refused = (late.status_code, late.json()["error"]["code"])
        assert refused in ((409, "ThreadTaken"), (404, "UnknownThread"))
        after = await client.post("/v1/threads/shirts/7/answer", json={"answer": "Eve"})
        assert (after.status_code, after.json()["error"]["code"]) == (404, "UnknownThread")
        done = next(answer.json() for answer in answers if answer.status_code == 200)
        assert done["state"]["decision"] in ("Ann", "Bob")
        assert first["cost_usd"] == done["cost_usd"] <= 0.001 and done["tokens"] <= 6000
        assert (await client.get("/v1/threads")).json()["data"] == []


def test_langchain_works_unchanged(url: str) -> None:
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    model = ChatOpenAI(model="vl", base_url=f"{url}/v1", api_key=SecretStr("none"))
    answer = model.invoke(
        [
            (
                "user",
                [
                    {"type": "text", "text": "What colour is this?"},
                    {"type": "image_url", "image_url": {"url": photo(2)}},
                ],
            )
        ]
    )
    assert "red" in str(answer.content)


def test_curl_posts_text_and_photo(url: str, tmp_path: Path) -> None:
    body = tmp_path / "job.json"
    job = Job(text="Green apple from Italy", images=[photo(0)])
    body.write_text(job.model_dump_json(), encoding="utf-8")
    said = subprocess.run(
        ["curl", "-s", f"{url}/v1/jobs", "-H", "Content-Type: application/json", "-d", f"@{body}"],
        capture_output=True,
        check=True,
        timeout=120,
        text=True,
    ).stdout
    assert '"status":"complete"' in said and '"source":"both"' in said


def test_bad_requests_say_what_to_do(client: OpenAI, url: str) -> None:
    with pytest.raises(NotFoundError, match="Use one of: auto"):
        client.chat.completions.create(model="none", messages=[{"role": "user", "content": "hi"}])
    with pytest.raises(BadRequestError, match="could not be fetched from a public address"):
        client.chat.completions.create(
            model="vl",
            messages=[
                {
                    "role": "user",
                    "content": [{"type": "image_url", "image_url": {"url": "http://127.0.0.1/x"}}],
                }
            ],
        )
    late = httpx.post(f"{url}/v1/jobs", json={"text": "hi", "budget": {"latency_ms": 0}})
    assert (late.status_code, late.json()["error"]["code"]) == (504, "DeadlineExceeded")
    unknown = httpx.post(url, json={"txt": "A red apple"})
    assert unknown.status_code == 400 and "txt" in unknown.json()["error"]["message"]
    empty = httpx.post(url, json={"text": ""})
    assert (empty.status_code, empty.json()["error"]["code"]) == (400, "EmptyJob")
    large = httpx.post(url, content=b"0" * (49 << 20), headers={"Content-Type": "application/json"})
    assert (large.status_code, large.json()["error"]["code"]) == (413, "BodyTooLarge")


async def test_readyz_names_a_model_whose_only_replica_died_and_is_ready_again(url: str) -> None:
    (victim,) = (one for one in descendants(os.getpid()) if "ServeReplica:listing:vl" in one.title)
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        assert (await http.get("/readyz")).status_code == 200
        victim.kill()
        while (state := await http.get("/readyz")).status_code == 200:
            await asyncio.sleep(0.1)
        assert (state.status_code, state.json()["status"]) == (503, "not ready")
        models = state.json()["models"]
        assert models["r1"] == "ready" and "no replica runs" in models["vl"]
        while (await http.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.2)
        job = Job(text="Green apple from Italy", images=[photo(0)]).model_dump(mode="json")
        assert (await http.post("/v1/jobs", json=job)).json()["status"] == "complete"


def test_a_drawn_photo_is_an_image() -> None:
    with Image.open(io.BytesIO(base64.b64decode(photo(1).partition(",")[2]))) as image:
        assert image.size == (128, 128)
