"""Collects the events of one streamed answer, and passes its text on as it comes.

The shape follows OpenAI's reference for `chat.completion.chunk`.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestra.clients.endpoint_answer import (
    FAILED,
    Spoken,
    billed,
    error_within,
    finish_of,
    named_in,
    parts_of,
    thoughts_of,
    whole_calls,
)
from orchestra.clients.endpoint_events import Characters, NoEvent, events
from orchestra.clients.endpoint_refusal import ErrorInside, masked
from orchestra.clients.endpoint_schema import tokens_of
from orchestra.clients.endpoint_thoughts import Thoughts
from orchestra.clients.endpoint_usage import fuller, reported_in
from orchestra.core.call import OnPiece
from orchestra.core.errors import AnswerInvalid, ModelUnavailable


@dataclass(slots=True)
class Stream:
    """One answer as it comes."""

    on_piece: OnPiece
    thoughts: Thoughts
    spoken: Spoken = field(default_factory=Spoken)
    chars: int = 0
    _text: Characters = field(default_factory=Characters)
    _thinking: Characters = field(default_factory=Characters)
    _began: bool = False
    _calls: dict[Any, dict[str, Any]] = field(default_factory=dict)

    async def collect(self, chunks: AsyncIterable[bytes]) -> Spoken:
        """Read all events, passing on the answer's text.

        Raises `ErrorInside` where the server says that it failed, and `ModelUnavailable` (the call
        may be billed) when the stream breaks off.
        """
        done = False
        try:
            async for event in events(chunks):
                done = event is None
                if event is not None:
                    self._take(event)
        except NoEvent as broken:
            raise self._broken_off(f"in {masked(str(broken), None)[-60:]!r}") from broken
        except (KeyError, TypeError, AttributeError, ValueError) as odd:
            raise self._broken_off(f"in an event of no known shape ({odd})") from odd
        if not done and self.spoken.finish is None:
            raise self._broken_off("without an end")
        self._pass_on(self.thoughts.feed(self._text.feed("", last=True)))
        self._pass_on(self.thoughts.end())
        spoken = self.spoken
        spoken.text = self.thoughts.answer
        spoken.thinking += self._thinking.feed("", last=True) + self.thoughts.thinking
        try:
            calls = {"tool_calls": list(self._calls.values())}
            spoken.calls = whole_calls(calls, spoken.finish)
        except AnswerInvalid as invalid:
            raise billed(invalid, spoken.usage) from invalid.__cause__
        return spoken

    def _broken_off(self, how: str) -> ModelUnavailable:
        return ModelUnavailable(
            f"The answer broke off after {self.chars} characters, {how}. Look at the server's "
            "log; the call may have been billed.",
            may_have_spent=True,
        )

    def _take(self, event: Mapping[str, Any]) -> None:
        failure = error_within(event)
        if failure is not None:
            heard = self.chars if self._began else None
            raise ErrorInside(event, heard=heard, usage=reported_in(event))
        spoken = self.spoken
        spoken.usage = fuller(spoken.usage, reported_in(event))
        spoken.model = spoken.model or named_in(event)
        for choice in (event.get("choices") or [])[:1]:
            self._began = True
            delta = choice.get("delta") or choice.get("message") or {}
            text, aside = parts_of(delta.get("content"))
            spoken.thinking += self._thinking.feed(thoughts_of(delta) or aside)
            spoken.refusal += str(delta.get("refusal") or "")
            spoken.tokens += tokens_of((choice.get("logprobs") or {}).get("content"))
            spoken.finish = finish_of(choice) or spoken.finish
            for call in delta.get("tool_calls") or ():
                self._join(call)
            text = self._text.feed(text)
            self.chars += len(text)
            self._pass_on(self.thoughts.feed(text))
            if spoken.finish in FAILED:
                failure = error_within(choice) or spoken.finish
                raise ErrorInside(failure, heard=self.chars, usage=spoken.usage)

    def _join(self, piece: Mapping[str, Any]) -> None:
        """Add a piece to the tool call that it belongs to: by place, else by id, else the last."""
        name = piece.get("index")
        if name is None:
            name = piece.get("id") or next(reversed(self._calls), 0)
        known = self._calls.setdefault(name, {"function": {}})
        known["id"] = known.get("id") or piece.get("id")
        for key, value in (piece.get("function") or {}).items():
            before = known["function"].get(key)
            joins = key == "arguments" and isinstance(before, str) and isinstance(value, str)
            known["function"][key] = before + value if joins else value or before

    def _pass_on(self, piece: str) -> None:
        if piece:
            self.on_piece(piece)
