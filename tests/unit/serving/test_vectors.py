"""POST /v1/embeddings over scripted engines, and by OpenAI's own client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from openai import AsyncOpenAI, BadRequestError

from graphs.answer import build
from orchestra.core.call import Call, Reply, Usage
from orchestra.core.float_text import text_to_floats
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from tests.scripted import scripted_fleet


def answer(call: Call) -> Any:
    rows = [[len(text), 0.1] for text in call.texts]
    return Reply("", None, usage=Usage(len(call.texts) * 4), vectors=np.array(rows, np.float32))


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    fleet, _ = scripted_fleet(answer)
    app = make_app(Service(fleet, {"answer": build}))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://orchestra") as client:
        yield client
    await fleet.close()


@pytest.mark.parametrize("model", ["auto", "e5"])
async def test_openais_client_gets_vectors_and_usage(http: httpx.AsyncClient, model: str) -> None:
    reached: Any = http  # the client's types may be of another httpx
    client = AsyncOpenAI(base_url="http://orchestra/v1", api_key="none", http_client=reached)
    made = await client.embeddings.create(model=model, input=["red", "green"])
    assert made.model == "e5" and [entry.index for entry in made.data] == [0, 1]
    assert made.data[1].embedding == pytest.approx([5, 0.1])
    assert (made.usage.prompt_tokens, made.usage.total_tokens) == (8, 8)
    plain = await client.embeddings.create(model=model, input="red", encoding_format="float")
    assert plain.data[0].embedding == pytest.approx([3, 0.1])
    with pytest.raises(BadRequestError, match="token ids are not read"):
        await client.embeddings.create(model=model, input=[[1, 2, 3]])


async def test_base64_holds_float32_and_the_cost_is_told(http: httpx.AsyncClient) -> None:
    asked = {"input": "red", "encoding_format": "base64", "dimensions": 2}
    said = (await http.post("/v1/embeddings", json=asked)).json()
    assert text_to_floats(said["data"][0]["embedding"]).tolist() == [3, np.float32(0.1)]
    assert said["orchestra"]["cost_usd"] > 0 and said["object"] == "list"


@pytest.mark.parametrize(
    ("change", "status", "part"),
    [
        ({"model": "none"}, 404, "Use one of: auto, answer"),
        ({"model": "r1"}, 400, "makes no vectors"),
        ({"model": "answer"}, 404, "There is no model 'answer'"),
        ({"input": []}, 400, "input"),
        ({"input": ""}, 400, "input"),
        ({"input": ["a", ""]}, 400, "input[1] is '', which has no vector"),
        ({"input": [1, 2]}, 400, "token ids are not read"),
        ({"input": ["a"] * 2049}, 400, "at most 2048"),
        ({"dimensions": 7}, 400, "have 2 numbers"),
        ({"encoding_format": "int8"}, 400, "encoding_format"),
        ({"colour": "red"}, 400, "colour"),
        ({"orchestra": {"budget": {"cost_usd": 0}}}, 422, "smallest budget"),
        ({"orchestra": {"budget": {"latency_ms": 0}}}, 504, "latency_ms=0"),
    ],
)
async def test_a_bad_request_says_what_to_do(
    http: httpx.AsyncClient, change: dict[str, Any], status: int, part: str
) -> None:
    said = await http.post("/v1/embeddings", json={"input": "red", **change})
    assert said.status_code == status
    assert part in said.json()["error"]["message"]


async def test_tags_of_the_header_are_checked(http: httpx.AsyncClient) -> None:
    said = await http.post(
        "/v1/embeddings", json={"input": "a"}, headers={"X-Orchestra-Tag": "no pair"}
    )
    assert said.status_code == 400
