"""A response as server-sent events, each with its number: begun, piece by piece, done."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

from orchestra.serving.problems import reported
from orchestra.serving.responses.responder import Responder, begun
from orchestra.serving.responses.words import (
    OutputMessage,
    OutputRefusal,
    OutputText,
    ResponseAnswer,
    ResponseProblem,
    ResponseRequest,
)
from orchestra.serving.stream import KEEPALIVE, EventStream, Telling


async def response_stream(
    responder: Responder, request: ResponseRequest, idle_s: float
) -> EventStream:
    """The answer as a stream. Raises an error that comes before the first piece."""
    telling = await Telling.begin(lambda tell: responder.answer(request, tell))
    return EventStream(telling, _events(telling, begun(request), idle_s))


async def _events(
    telling: Telling[ResponseAnswer], response: ResponseAnswer, idle_s: float
) -> AsyncIterator[str]:
    told = _ResponseEvents(response)
    for event in told.beginning():
        yield event
    async for piece in telling.pieces(idle_s):
        yield KEEPALIVE if piece is None else told.piece(piece)
    if telling.end is None:
        return
    outcome = telling.end.outcome
    ending = told.failed(outcome) if isinstance(outcome, Exception) else told.ending(outcome)
    for event in ending:
        yield event


class _ResponseEvents:
    """What was told of one response: the same ids in each event."""

    def __init__(self, response: ResponseAnswer) -> None:
        self._response = response
        self._number = 0
        self._text = ""
        self._item = f"msg_{uuid.uuid4().hex}"

    def beginning(self) -> list[str]:
        empty = OutputMessage(id=self._item, status="in_progress", content=[])
        part = OutputText(text="").model_dump()
        return [
            self._event("response.created", response=self._response.model_dump(mode="json")),
            self._event("response.in_progress", response=self._response.model_dump(mode="json")),
            self._event("response.output_item.added", output_index=0, item=empty.model_dump()),
            self._part("response.content_part.added", part=part),
        ]

    def piece(self, text: str) -> str:
        self._text += text
        return self._part("response.output_text.delta", delta=text, logprobs=[])

    def ending(self, answer: ResponseAnswer) -> list[str]:
        """The last events. What was heard is not told again, and never taken back."""
        (message,) = answer.output
        (part,) = message.content
        events: list[str] = []
        if isinstance(part, OutputRefusal) and not self._text:
            events = [
                self._part("response.refusal.delta", delta=part.refusal),
                self._part("response.refusal.done", refusal=part.refusal),
            ]
        else:
            if isinstance(part, OutputText) and not self._text and part.text:
                events.append(self.piece(part.text))
            part = OutputText(text=self._text)
            done = self._part("response.output_text.done", text=self._text, logprobs=[])
            events.append(done)
        item = message.model_copy(update={"id": self._item, "content": [part]})
        own = {"id": self._response.id, "created_at": self._response.created_at, "output": [item]}
        whole = answer.model_copy(update=own)
        kind = "response.incomplete" if whole.status == "incomplete" else "response.completed"
        return [
            *events,
            self._part("response.content_part.done", part=part.model_dump()),
            self._event("response.output_item.done", output_index=0, item=item.model_dump()),
            self._event(kind, response=whole.model_dump(mode="json")),
        ]

    def failed(self, error: Exception) -> list[str]:
        said = reported(error)[1]["error"]
        problem = ResponseProblem(code=said["code"], message=said["message"])
        whole = self._response.model_copy(update={"status": "failed", "error": problem})
        return [self._event("response.failed", response=whole.model_dump(mode="json"))]

    def _part(self, kind: str, **more: Any) -> str:
        return self._event(kind, item_id=self._item, output_index=0, content_index=0, **more)

    def _event(self, kind: str, **more: Any) -> str:
        data = {"type": kind, "sequence_number": self._number, **more}
        self._number += 1
        return f"event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
