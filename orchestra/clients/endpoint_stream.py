"""Collects a streamed chat answer: server-sent events into what was said; knows no connection.

Events follow OpenAI's `chat.completion.chunk`, and the event stream format of the HTML standard
as far as chat servers use it: `data:` lines, and `[DONE]` at the end.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestra.clients.endpoint_confidence import tokens_of
from orchestra.clients.endpoint_messages import Spoken, Thoughts
from orchestra.core.call import OnPiece
from orchestra.core.errors import ModelUnavailable

DONE = "[DONE]"


@dataclass(slots=True)
class Stream:
    """One answer as it comes. `opens_inside`: this model's template opens the thought."""

    on_piece: OnPiece
    opens_inside: bool = False
    spoken: Spoken = field(default_factory=Spoken)
    raw: str = ""
    _thoughts: Thoughts = field(default_factory=Thoughts)

    async def collect(self, lines: AsyncIterator[str]) -> Spoken:
        """Read all events, passing on the answer's text.

        Raises `ModelUnavailable` (the call may be billed) when the stream breaks off or says that
        the server failed.
        """
        self._thoughts = Thoughts(inside=self.opens_inside)
        done = False
        async for line in lines:
            data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
            if data == DONE:
                done = True
                break
            if data:
                self._take(_event(data))
        if not done and self.spoken.finish is None:
            raise ModelUnavailable(
                f"The answer broke off after {len(self.raw)} characters. Look at the server's "
                "log; the call may have been billed.",
                may_have_spent=True,
            )
        self._tell(self._thoughts.end())
        self.spoken.text = self._thoughts.answer
        self.spoken.thinking += self._thoughts.thinking
        return self.spoken

    def _take(self, event: Mapping[str, Any]) -> None:
        spoken = self.spoken
        spoken.usage = event.get("usage") or spoken.usage
        for choice in (event.get("choices") or [])[:1]:
            delta = choice.get("delta") or {}
            spoken.thinking += delta.get("reasoning_content") or delta.get("reasoning") or ""
            spoken.refusal += delta.get("refusal") or ""
            spoken.tokens += tokens_of((choice.get("logprobs") or {}).get("content"))
            spoken.finish = choice.get("finish_reason") or spoken.finish
            piece = delta.get("content") or ""
            self.raw += piece
            self._tell(self._thoughts.feed(piece) if piece else "")

    def _tell(self, piece: str) -> None:
        if piece:
            self.on_piece(piece)


def _event(data: str) -> Mapping[str, Any]:
    try:
        event = json.loads(data)
    except json.JSONDecodeError:
        event = None
    if not isinstance(event, Mapping) or event.get("error"):
        raise ModelUnavailable(
            f"The server broke off its answer with {data[:200]!r}. Look at its log; the call may "
            "have been billed.",
            may_have_spent=True,
        )
    return event
