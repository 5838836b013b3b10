"""Webhooks of batches and of runs that wait, as a receiver with OpenAI's client reads them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from openai import InvalidWebhookSignatureError, OpenAI

from graphs.answer import build
from orchestra.access.webhooks import new_webhook_secret
from orchestra.serving.courier import KEPT_S, Courier, Webhook
from orchestra.serving.http import HttpSettings, make_app
from orchestra.serving.service import Service
from tests.asking_graphs import asking
from tests.batch_service import Served, ask, jsonl

SECRET = new_webhook_secret()


class Receiver:
    """Takes what is posted to it; the first `refusals` times it answers with 503."""

    def __init__(self, refusals: int = 0) -> None:
        self.came: list[tuple[bytes, dict[str, str]]] = []
        self.refusals = refusals

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw = (await receive())["body"]
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.came.append((raw, headers))
        status = 503 if len(self.came) <= self.refusals else 204
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[Webhook]:
    config = uvicorn.Config(receiver, host="127.0.0.1", port=0, lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield Webhook(f"http://127.0.0.1:{port}/hook", SECRET)
    server.should_exit = True
    await task


async def test_ends_of_batches_and_runs_that_wait_are_told_signed() -> None:
    receiver, one = Receiver(), Served(None)
    async with listening(receiver) as hook:
        graphs = {"answer": build, "asking": asking}
        app = make_app(Service(one.fleet, graphs), HttpSettings(filing=one.filing, webhook=hook))
        one.http._transport.app = app  # type: ignore[attr-defined]
        async with app.router.lifespan_context(app):
            begun = await one.begin(jsonl(ask(0)))
            await one.until(begun["id"], "completed")
            waiting = await one.http.post("/v1/jobs", json={"text": "red", "graph": "asking"})
            thread = waiting.json()["thread_id"]
            async with asyncio.timeout(60):
                while len(receiver.came) < 2:
                    await asyncio.sleep(0.02)
    client = OpenAI(api_key="none", webhook_secret=SECRET)
    events = {}
    for raw, headers in receiver.came:
        event: Any = client.webhooks.unwrap(raw, headers)
        events[event.type] = event
        assert headers["webhook-id"] == event.id
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.unwrap(raw + b" ", headers)
    assert events["batch.completed"].data.id == begun["id"]
    assert events["thread.waiting"].data.id == thread
    assert "red" not in str(receiver.came)
    assert one.filing.due_messages(2**40, 9) == []
    await one.fleet.close()


async def test_a_message_that_was_not_taken_is_told_again_until_it_is_too_old() -> None:
    receiver, one = Receiver(refusals=1), Served(None)
    async with listening(receiver) as hook:
        courier = Courier(one.filing, hook)
        one.filing.post('{"type": "batch.failed"}', 0)
        with one.filing.transaction():
            one.filing._write("UPDATE outbox SET created = unixepoch()")
        await courier.deliver()
        (kept,) = one.filing.due_messages(2**40, 9)
        assert (len(receiver.came), kept.tries) == (1, 1)
        await courier.deliver()  # its time has not come
        assert len(receiver.came) == 1
        with one.filing.transaction():
            one.filing._write("UPDATE outbox SET due = 0")
        await courier.deliver()
        assert one.filing.due_messages(2**40, 9) == [] and len(receiver.came) == 2
        assert {headers["webhook-id"] for _, headers in receiver.came} == {kept.id}
        one.filing.post('{"type": "batch.failed"}', 0)
        with one.filing.transaction():
            one.filing._write(f"UPDATE outbox SET created = unixepoch() - {KEPT_S + 1}")
        await courier.deliver()
        assert one.filing.due_messages(2**40, 9) == [] and len(receiver.came) == 2
    await one.fleet.close()
