"""A chat answer as server-sent events, in OpenAI's chunks.

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

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from orchestra.core.errors import Cancelled
from orchestra.observe.metrics import count_problem
from orchestra.serving.chat import new_id
from orchestra.serving.problems import reported
from orchestra.serving.service import Service
from orchestra.serving.words import ChatAnswer, ChatRequest

Event = str | ChatAnswer | Exception
Queue = asyncio.Queue[Event]
Task = asyncio.Task[None]
DONE = "data: [DONE]\n\n"


class ChatStream(StreamingResponse):
    """An answer that is told while `task` makes it; who stops listening ends the task.

    That must not be left to the generator: one whose reader is gone before the first event never
    runs, and so never comes to its end either.
    """

    def __init__(self, request: ChatRequest, first: Event, queue: Queue, task: Task) -> None:
        super().__init__(self._events(request, first, queue), media_type="text/event-stream")
        self._task = task
        self._is_told = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events; at their end nobody works on the answer any more."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._task.cancel()
            if not self._is_told:
                count_problem(Cancelled.__name__)

    async def _events(self, request: ChatRequest, event: Event, queue: Queue) -> AsyncIterator[str]:
        chunks = _Chunks(request)
        yield chunks.event(chunks.delta({"role": "assistant", "content": ""}))
        is_heard = False
        while isinstance(event, str):
            is_heard = True
            yield chunks.event(chunks.delta({"content": event}))
            event = await queue.get()
        self._is_told = True
        if isinstance(event, Exception):
            yield chunks.event(reported(event)[1])
            return
        for chunk in chunks.ending(event, is_heard=is_heard):
            yield chunks.event(chunk)
        yield DONE


async def chat_stream(service: Service, request: ChatRequest) -> ChatStream:
    """The answer as a stream. Raises an error that comes before the first piece."""
    queue: Queue = asyncio.Queue()

    async def work() -> None:
        try:
            queue.put_nowait(await service.chat(request, queue.put_nowait))
        except Exception as error:  # a graph's own, too: the reader would wait for ever
            queue.put_nowait(error)

    task = asyncio.create_task(work())
    try:
        first = await queue.get()
    except asyncio.CancelledError:
        task.cancel()
        raise
    if isinstance(first, Exception):
        raise first
    return ChatStream(request, first, queue, task)


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

    def ending(self, answer: ChatAnswer, *, is_heard: bool) -> list[dict[str, Any]]:
        """The last chunks: what was not told yet, why it ended, and the usage if asked for."""
        choice = answer.choices[0]
        rest: dict[str, Any] = {}
        if choice.message.refusal is not None:
            rest["refusal"] = choice.message.refusal
        elif not is_heard:
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
