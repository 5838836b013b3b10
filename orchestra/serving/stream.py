"""A chat answer as server-sent events, in OpenAI's chunks; it decides nothing.

A question to one model is told as it is decoded; a graph's answer exists only at its end and
comes as one piece. An error before the first piece is an ordinary error response; one after it
ends the stream with an event that holds the error.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

from orchestra.errors import Cancelled, OrchestraError
from orchestra.observe.log import log_problem
from orchestra.observe.metrics import count_problem
from orchestra.serving.chat import new_id
from orchestra.serving.problems import problem
from orchestra.serving.service import Service
from orchestra.serving.words import ChatAnswer, ChatRequest

Event = str | ChatAnswer | OrchestraError
DONE = "data: [DONE]\n\n"


async def chat_stream(service: Service, request: ChatRequest) -> AsyncIterator[str]:
    """The events of an answer. Raises an error that comes before the first piece."""
    queue: asyncio.Queue[Event] = asyncio.Queue()

    async def work() -> None:
        try:
            queue.put_nowait(await service.chat(request, queue.put_nowait))
        except OrchestraError as error:
            queue.put_nowait(error)

    task = asyncio.create_task(work())
    try:
        first = await queue.get()
    except asyncio.CancelledError:
        task.cancel()
        raise
    if isinstance(first, OrchestraError):
        raise first
    return _events(request, first, queue, task)


async def _events(
    request: ChatRequest, first: Event, queue: asyncio.Queue[Event], task: asyncio.Task[None]
) -> AsyncIterator[str]:
    """The chunks; a reader that goes away cancels the work."""
    chunks = _Chunks(request)
    try:
        yield chunks.event(chunks.delta({"role": "assistant", "content": ""}))
        event, told = first, False
        while isinstance(event, str):
            told = True
            yield chunks.event(chunks.delta({"content": event}))
            event = await queue.get()
        if isinstance(event, OrchestraError):
            status, said = problem(event)
            count_problem(event.kind)
            log_problem(event.kind, status)
            yield f"data: {json.dumps(said, ensure_ascii=False)}\n\n"
            return
        for chunk in chunks.ending(event, told=told):
            yield chunks.event(chunk)
        yield DONE
    except (asyncio.CancelledError, GeneratorExit):
        count_problem(Cancelled.__name__)
        raise
    finally:
        task.cancel()


class _Chunks:
    """Chunks of one answer: the same id and time in each."""

    def __init__(self, request: ChatRequest) -> None:
        self._model = request.model
        self._usage = bool(request.stream_options and request.stream_options.include_usage)
        self._id, self._created = new_id(), int(time.time())

    def delta(self, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        """One chunk with a change to the message."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._chunk([choice])

    def ending(self, answer: ChatAnswer, *, told: bool) -> list[dict[str, Any]]:
        """The last chunks: what was not told yet, why it ended, and the usage if asked for."""
        choice = answer.choices[0]
        rest: dict[str, Any] = {}
        if choice.message.refusal is not None:
            rest["refusal"] = choice.message.refusal
        elif not told:
            rest["content"] = choice.message.content
        chunks = [self.delta(rest)] if rest else []
        last = self.delta({}, choice.finish_reason)
        last["orchestra"] = answer.orchestra.model_dump(mode="json")
        chunks.append(last)
        if self._usage:
            chunks.append(self._chunk([]) | {"usage": answer.usage.model_dump()})
        return chunks

    def event(self, chunk: dict[str, Any]) -> str:
        """One server-sent event."""
        return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"

    def _chunk(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }
