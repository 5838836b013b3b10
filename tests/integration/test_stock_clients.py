"""Clients that people have, unchanged, against our HTTP face over loopback; models are scripted.

Of Open WebUI, an application, the calls that its backend makes are written down here as its
documentation and source tell them: the list of models, a streamed chat with its usual keys and the
photos of earlier messages, and the chats by which it names a conversation.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
import uvicorn
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from openai import OpenAI
from PIL import Image
from pydantic import BaseModel, SecretStr

from graphs.answer import build
from orchestra.core.call import Call, Reply, Usage
from orchestra.serving.http import make_app
from orchestra.serving.service import Service
from tests.asking_graphs import asking
from tests.batch_service import CHAT, ask, jsonl
from tests.scripted import scripted_fleet

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network as it is imported


def answer(call: Call) -> Any:
    if call.texts:
        rows = np.array([[len(text), 1.0] for text in call.texts], np.float32)
        return Reply("", None, usage=Usage(len(call.texts) * 4), vectors=rows)
    if call.schema is not None:
        return {name: "red" for name in call.schema["properties"]}
    return f"{len(call.images)} photos, {call.instruction}" if call.images else "a red shirt"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    fleet, _ = scripted_fleet(answer, answer)
    app = make_app(Service(fleet, {"answer": build, "asking": asking}))
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    server.should_exit = True
    thread.join(30)


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=url, api_key="none", max_retries=0) as client:
        yield client


NO_KEY = SecretStr("none")
USER: Any = [{"role": "user", "content": "What is it?"}]


def photo() -> str:
    file = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


class Facts(BaseModel):
    colour: str


def test_openais_client_chats_whole_streamed_parsed_and_about_photos(client: OpenAI) -> None:
    assert "r1" in [model.id for model in client.models.list()]
    assert client.models.retrieve("r1").id == "r1"
    whole = client.chat.completions.create(model="r1", messages=USER, temperature=0.2, n=1)
    assert whole.choices[0].message.content == "a red shirt"
    assert whole.usage is not None and whole.usage.prompt_tokens_details is not None
    streamed = client.chat.completions.create(
        model="r1", messages=USER, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(streamed)
    told = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(told) == "a red shirt"
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens > 0
    parsed = client.chat.completions.parse(model="r1", messages=USER, response_format=Facts)
    assert parsed.choices[0].message.parsed == Facts(colour="red")
    said: Any = whole.choices[0].message.model_dump()
    seen: Any = [
        {"type": "text", "text": "And this?"},
        {"type": "image_url", "image_url": {"url": photo()}},
    ]
    more = [*USER, said, {"role": "user", "content": seen}]
    shown = client.chat.completions.create(model="vl", messages=more)
    assert shown.choices[0].message.content == "1 photos, And this?"


def test_openais_client_gets_responses_whole_streamed_and_parsed(client: OpenAI) -> None:
    whole = client.responses.create(model="r1", input="What is it?", instructions="Be brief.")
    assert (whole.output_text, whole.status) == ("a red shirt", "completed")
    assert whole.usage is not None and whole.usage.total_tokens > 0
    events = list(client.responses.create(model="r1", input="What is it?", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    told = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert told == "a red shirt" and last.type == "response.completed"
    assert last.response.output_text == told
    assert last.response.id == events[0].response.id  # type: ignore[union-attr]
    with client.responses.stream(model="r1", input="What is it?") as stream:
        assert stream.get_final_response().output_text == "a red shirt"
    parsed = client.responses.parse(model="r1", input="Colour?", text_format=Facts)
    assert parsed.output_parsed == Facts(colour="red")
    raw = base64.b64decode(photo().partition(",")[2])
    file = client.files.create(file=("a.png", raw), purpose="vision")
    content: Any = [
        {"type": "input_text", "text": "And this?"},
        {"type": "input_image", "file_id": file.id, "detail": "auto"},
    ]
    asked: Any = [{"role": "user", "content": "Hi"}, *(item.model_dump() for item in whole.output)]
    shown = client.responses.create(
        model="vl", input=[*asked, {"role": "user", "content": content}]
    )
    assert shown.output_text == "1 photos, And this?"
    with pytest.raises(openai.BadRequestError, match="send the whole conversation as input"):
        client.responses.create(model="r1", input="And?", previous_response_id=whole.id)
    with pytest.raises(openai.NotFoundError, match="Use one of: auto"):
        client.responses.create(model="gpt", input="Hi", stream=True)


def test_openais_client_reads_our_refusals(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="less than or equal to 2") as refused:
        client.chat.completions.create(model="r1", messages=USER, temperature=99)
    assert (refused.value.param, refused.value.code) == ("temperature", "InvalidRequest")
    with pytest.raises(openai.NotFoundError, match="Use one of: auto, answer"):
        client.chat.completions.create(model="gpt", messages=USER)
    with pytest.raises(openai.NotFoundError, match="no file"):
        client.files.retrieve("file-none")


def test_openais_client_makes_vectors(client: OpenAI) -> None:
    made = client.embeddings.create(model="auto", input=["red", "green"])
    assert [entry.embedding[0] for entry in made.data] == [3, 5]


def test_openais_client_sends_files_and_runs_batches(client: OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(jsonl(ask(0), ask(1, n=3)))
    file = client.files.create(
        file=path, purpose="batch", expires_after={"anchor": "created_at", "seconds": 7200}
    )
    assert (file.filename, file.expires_at) == ("in.jsonl", file.created_at + 7200)
    assert client.files.retrieve(file.id).bytes == path.stat().st_size
    assert client.files.content(file.id).content == path.read_bytes()
    batch = client.batches.create(
        input_file_id=file.id,
        endpoint=CHAT,
        completion_window="24h",
        metadata={"shop": "a"},
        extra_headers={"Idempotency-Key": "once"},
    )
    while batch.status not in ("completed", "failed"):
        time.sleep(0.05)
        batch = client.batches.retrieve(batch.id)
    counts = batch.request_counts
    assert counts is not None and (counts.completed, counts.failed) == (1, 1)
    assert batch.metadata == {"shop": "a"} and batch.usage is not None
    assert batch.output_file_id is not None and batch.error_file_id is not None
    (line,) = client.files.content(batch.output_file_id).text.splitlines()
    said = json.loads(line)
    assert said["custom_id"] == "row-0"
    assert said["response"]["body"]["choices"][0]["message"]["content"] == "a red shirt"
    assert [each.id for each in client.batches.list(limit=1)] == [batch.id]
    names = {each.id for each in client.files.list(limit=1)}  # in pages of one
    assert {file.id, batch.output_file_id, batch.error_file_id} <= names
    with pytest.raises(openai.BadRequestError, match="completed already"):
        client.batches.cancel(batch.id)
    assert client.files.delete(file.id).deleted


async def test_langchains_client_chats_streams_and_fills_a_schema(url: str) -> None:
    model = ChatOpenAI(
        base_url=url, api_key=NO_KEY, model="r1", temperature=0.7, max_retries=0, seed=1,
        reasoning_effort="low", max_completion_tokens=64, stream_usage=True,
    )  # fmt: skip
    said = await model.ainvoke("What is it?")
    assert said.content == "a red shirt" and said.usage_metadata is not None
    pieces = [piece async for piece in model.astream("What is it?")]
    assert "".join(str(piece.content) for piece in pieces) == "a red shirt"
    facts: Any = await model.with_structured_output(Facts, method="json_schema").ainvoke("Colour?")
    assert facts == Facts(colour="red")
    seen = [
        {"type": "text", "text": "See?"},
        {"type": "image_url", "image_url": {"url": photo()}},
    ]
    vision = ChatOpenAI(base_url=url, api_key=NO_KEY, model="vl", max_retries=0)
    shown = await vision.ainvoke([HumanMessage(seen)])
    assert shown.content == "1 photos, See?"
    other = ChatOpenAI(
        base_url=url, api_key=NO_KEY, model="r1", use_responses_api=True, max_retries=0
    )
    assert (await other.ainvoke("What is it?")).text == "a red shirt"
    pieces = [piece async for piece in other.astream("What is it?")]
    assert "".join(piece.text for piece in pieces) == "a red shirt"
    vectors = OpenAIEmbeddings(
        base_url=url, api_key=NO_KEY, model="auto", check_embedding_ctx_length=False
    )
    assert (await vectors.aembed_query("red"))[0] == 3


@pytest.mark.filterwarnings("ignore")  # its own, of pydantic and of its clients
async def test_litellms_client_chats_streams_fills_a_schema_and_makes_vectors(url: str) -> None:
    import litellm  # after the variable above

    to: Any = {"api_base": url, "api_key": "none", "num_retries": 0}
    said: Any = await litellm.acompletion(
        model="openai/r1", messages=USER, temperature=0.2, max_tokens=64, user="u", **to
    )
    assert said.choices[0].message.content == "a red shirt"
    assert said.usage.total_tokens > 0
    stream: Any = await litellm.acompletion(
        model="openai/r1", messages=USER, stream=True, stream_options={"include_usage": True}, **to
    )
    pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(pieces) == "a red shirt"
    facts: Any = await litellm.acompletion(
        model="openai/r1", messages=USER, response_format=Facts, **to
    )
    assert Facts.model_validate_json(facts.choices[0].message.content) == Facts(colour="red")
    made: Any = await litellm.aembedding(model="openai/auto", input=["red"], **to)
    assert made.data[0]["embedding"][0] == 3
    with pytest.raises(litellm.exceptions.BadRequestError, match="send it again for another"):
        await litellm.acompletion(model="openai/r1", messages=USER, n=2, **to)


def test_a_ui_lists_models_streams_and_names_a_conversation(url: str) -> None:
    headers = {
        "Authorization": "Bearer none", "Content-Type": "application/json",
        "HTTP-Referer": "https://openwebui.com/", "X-Title": "Open WebUI",
    }  # fmt: skip
    with httpx.Client(base_url=url, headers=headers, timeout=60) as ui:
        listed = ui.get("/models").json()["data"]
        assert {"id", "object", "created", "owned_by"} <= set(listed[0])
        seen = [
            {"type": "text", "text": "What is on it?"},
            {"type": "image_url", "image_url": {"url": photo()}},
        ]
        talk: list[Any] = [{"role": "system", "content": "Be brief."}]
        for question in (seen, "And its colour?"):
            talk.append({"role": "user", "content": question})
            asked = {
                "model": "vl", "messages": talk, "stream": True, "temperature": 0.8, "top_p": 0.9,
                "max_tokens": 128, "frequency_penalty": 0, "presence_penalty": 0.0, "seed": 42,
                "stop": [], "logit_bias": {}, "stream_options": {"include_usage": True},
            }  # fmt: skip
            with ui.stream("POST", "/chat/completions", json=asked) as answer:
                assert answer.headers["content-type"].startswith("text/event-stream")
                lines = [line for line in answer.iter_lines() if line]
            assert lines[-1] == "data: [DONE]"
            chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
            told = "".join(
                c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"]
            )
            assert told.startswith("1 photos, ")  # also where only the first message had it
            talk.append({"role": "assistant", "content": told})
        task = "### Task:\nGenerate a concise, 3-5 word title.\n### Output:\nJSON format"
        named = {
            "model": "r1", "messages": [{"role": "user", "content": task}], "stream": False,
            "max_completion_tokens": 1000,
        }  # fmt: skip
        title = ui.post("/chat/completions", json=named).json()
        assert title["choices"][0]["message"]["content"] == "a red shirt"
        assert ui.get("/models/").status_code == 200
