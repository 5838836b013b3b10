"""What a run tells, as server-sent events: one for each chunk, the result or an error last."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from orchestra.core.job import Result, Word, plain_json
from orchestra.routing.plan import Plan
from orchestra.serving.problems import reported
from orchestra.serving.stream import KEEPALIVE, KEEPALIVE_S, EventStream, Telling, TellPiece


async def run_stream(
    start: Callable[[Callable[[str, Any], None]], Any], idle_s: float = KEEPALIVE_S
) -> EventStream:
    """A run that `start` begins, given who hears it. Raises an error before the first event."""

    async def work(tell: TellPiece) -> Result:
        # Written as it is told: a state may change before it is sent.
        return await start(lambda mode, chunk: tell(event(mode, chunk)))

    telling = await Telling.begin(work)
    return EventStream(telling, _events(telling, idle_s))


async def _events(telling: Telling[Result], idle_s: float) -> AsyncIterator[str]:
    async for piece in telling.pieces(idle_s):
        yield KEEPALIVE if piece is None else piece
    if telling.end is None:
        return
    outcome = telling.end.outcome
    if isinstance(outcome, Exception):
        yield event("error", reported(outcome)[1])
    else:
        yield event("result", outcome)


def event(mode: str, chunk: Any) -> str:
    """One chunk of `mode` as an event, with its data as JSON."""
    if isinstance(chunk, Word):
        data = chunk.model_dump_json()
    else:
        data = json.dumps(_plain(mode, chunk), ensure_ascii=False)
    return f"event: {mode}\ndata: {data}\n\n"


def _plain(mode: str, chunk: Any) -> Any:
    if isinstance(chunk, Plan):
        return chunk.public()
    if mode == "messages":
        return _piece(*chunk)
    return plain_json(chunk)


def _piece(message: Any, about: dict[str, Any]) -> dict[str, Any]:
    """A piece of a model's message: its text, its node, which model says it, in which message."""
    told = getattr(message, "response_metadata", {}).get("model_name")
    return {
        "content": plain_json(message.content),
        "node": about.get("langgraph_node"),
        "model": told or about.get("ls_model_name"),
        "id": message.id,
    }
