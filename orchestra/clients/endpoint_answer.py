"""Reads what a server answers to a chat request, whole or as a stream of events, as a reply.

Shapes follow OpenAI's reference for `chat.completion` and `chat.completion.chunk`, and the event
stream format of the HTML standard as far as chat servers use it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestra.clients.endpoint_schema import Token, confidences, read_answer, tokens_of
from orchestra.clients.endpoint_usage import fuller, hidden_tokens, reported_in, usage_of
from orchestra.clients.tools import to_form
from orchestra.core.call import Call, OnPiece, Reply, ToolCall, Usage, thinking_cure
from orchestra.core.errors import (
    AnswerInvalid,
    AnswerTruncated,
    ModelError,
    ModelUnavailable,
    ThoughtTruncated,
)
from orchestra.core.text import sanitise

DONE = "[DONE]"  # the last event of a stream
UNKNOWN = Usage(is_bound=True)
THINK_OPEN, THINK_CLOSE = "<think>", "</think>"


@dataclass(slots=True)
class Thoughts:
    """Parts what a model thinks from what it answers, in one text or piece by piece.

    `inside`: the chat template opens the thought, so that the text holds only `</think>`.
    """

    inside: bool = False
    thinking: str = ""
    answer: str = ""
    _held: str = ""
    _began: bool = False

    def feed(self, piece: str) -> str:
        """What of `piece`, and of what was held back, is certainly answer."""
        self._held += piece
        if not self._began and not self.inside:
            if THINK_OPEN.startswith(self._held.lstrip()):
                return ""  # it may still become a thought
            self._began = True
            if self._held.lstrip().startswith(THINK_OPEN):
                self.inside = True
                self._held = self._held.lstrip().removeprefix(THINK_OPEN)
        if self.inside:
            thought, closed, rest = self._held.partition(THINK_CLOSE)
            if not closed:
                return ""
            self.thinking += thought.strip()
            self.inside, self._began, self._held = False, True, rest
        return self._answered(self._held)

    def end(self) -> str:
        """What is left at the end: an answer, though a thought was expected."""
        left = self._held
        if self.inside and self._began:
            self.thinking, left = left.strip(), ""  # it opened a thought and never closed it
        return self._answered(left)

    def _answered(self, text: str) -> str:
        text, self._held = text if self.answer else text.lstrip(), ""
        self.answer += text
        return text


def part_thoughts(text: str) -> tuple[str, str]:
    """(thinking, answer) of a whole text; a lone `</think>` ends a thought too."""
    lone = THINK_CLOSE in text and not text.lstrip().startswith(THINK_OPEN)
    thoughts = Thoughts(inside=lone)
    thoughts.feed(text)
    thoughts.end()
    return thoughts.thinking, thoughts.answer


@dataclass(slots=True)
class Spoken:
    """What a server said, whole or collected from a stream."""

    text: str = ""
    thinking: str = ""
    finish: str | None = None
    refusal: str = ""
    tokens: list[Token] = field(default_factory=list)
    usage: Mapping[str, Any] | None = None
    calls: list[ToolCall] = field(default_factory=list)

    @classmethod
    def of(cls, answer: Any) -> Spoken:
        """Read a `chat.completion`. Raises `AnswerInvalid` for anything else."""
        try:
            choice = answer["choices"][0]
            message = choice["message"]
            thinking, text = part_thoughts(message.get("content") or "")
            return cls(
                text=text,
                thinking=message.get("reasoning_content") or message.get("reasoning") or thinking,
                finish=choice.get("finish_reason"),
                refusal=message.get("refusal") or "",
                tokens=tokens_of((choice.get("logprobs") or {}).get("content")),
                usage=reported_in(answer),
                calls=[asked_call(call) for call in message.get("tool_calls") or []],
            )
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            invalid = AnswerInvalid(
                f"The server answered {str(answer)[:120]!r}, which is no chat completion "
                f"({type(error).__name__}). Check that hosting.endpoint.url ends before "
                "'/chat/completions' of an OpenAI-compatible server."
            )
            raise billed(invalid, usage_of(reported_in(answer), UNKNOWN, answered=False)) from error


def asked_call(raw: Mapping[str, Any]) -> ToolCall:
    """A tool call as servers write it: its arguments are JSON in a string."""
    function = raw["function"]
    return ToolCall(str(raw["id"]), function["name"], json.loads(function["arguments"] or "{}"))


def billed(error: ModelError, usage: Usage) -> ModelError:
    """`error`, which now says what its call used, where the server reported that."""
    error.used = None if usage.is_bound else usage
    return error


def reply_of(spoken: Spoken, call: Call, most: Usage) -> Reply:
    """The reply that `spoken` gives to `call`; `most` stands in for usage that is not reported.

    Raises `AnswerTruncated` or `AnswerInvalid`, with what the call used as far as that is known.
    """
    answered = bool(spoken.text.strip() or spoken.thinking or spoken.calls or spoken.refusal)
    usage = usage_of(spoken.usage, most, answered=answered)
    try:
        return _reply_of(spoken, call, usage)
    except ModelError as error:
        billed(error, usage)
        raise


def _reply_of(spoken: Spoken, call: Call, usage: Usage) -> Reply:
    text = spoken.text.strip()
    if spoken.refusal or spoken.finish == "content_filter":
        why = spoken.refusal[:200] or "its filter held the answer back"
        raise AnswerInvalid(f"The model refuses to answer: {why!r}. Ask another model.")
    cut = spoken.finish == "length"
    if cut and _is_all_thought(spoken, call, text):
        raise ThoughtTruncated(
            f"The model was still thinking after the {call.written_tokens} tokens that it may "
            f"write, so there is no answer. {thinking_cure(call)}"
        )
    if cut and (call.schema is not None or not text or call.tools):
        raise AnswerTruncated(
            f"The answer needs more than max_tokens={call.max_tokens!r}; it was {text[-60:]!r} "
            f"(after {len(spoken.thinking)} characters of thinking). Raise max_tokens."
        )
    if call.tools:
        text = to_form(text, spoken.calls)
    if call.schema is None:
        finish = "length" if cut else "stop"
        return Reply(text, text, usage=usage, finish=finish, thinking=spoken.thinking)
    value, abstained = read_answer(call.schema, text, sanitise(call.text or ""))
    scores = confidences(call.schema, spoken.tokens)
    for name in abstained:
        scores.pop(name, None)  # it was of the value that was refused
    thinking = spoken.thinking
    return Reply(text, value, scores, usage, thinking=thinking, abstained=abstained)


def _is_all_thought(spoken: Spoken, call: Call, text: str) -> bool:
    """Whether a cut answer is nothing but thought.

    A template may open the thought; then a cut one holds no mark, and only the card tells that
    this model thinks.
    """
    if spoken.thinking or hidden_tokens(spoken.usage):
        return not text
    return call.thinking_tokens > 0


@dataclass(slots=True)
class Stream:
    """One answer as it comes."""

    on_piece: OnPiece
    thoughts: Thoughts
    spoken: Spoken = field(default_factory=Spoken)
    chars: int = 0

    async def collect(self, lines: AsyncIterator[str]) -> Spoken:
        """Read all events, passing on the answer's text.

        Raises `ModelUnavailable` (the call may be billed) when the stream breaks off or says that
        the server failed.
        """
        done = False
        async for line in lines:
            data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
            done = data == DONE
            if done:
                break
            if data:
                self._take(_event(data))
        if not done and self.spoken.finish is None:
            raise ModelUnavailable(
                f"The answer broke off after {self.chars} characters. Look at the server's "
                "log; the call may have been billed.",
                may_have_spent=True,
            )
        self._pass_on(self.thoughts.end())
        self.spoken.text = self.thoughts.answer
        self.spoken.thinking += self.thoughts.thinking
        return self.spoken

    def _take(self, event: Mapping[str, Any]) -> None:
        spoken = self.spoken
        spoken.usage = fuller(spoken.usage, reported_in(event))
        for choice in (event.get("choices") or [])[:1]:
            delta = choice.get("delta") or {}
            spoken.thinking += delta.get("reasoning_content") or delta.get("reasoning") or ""
            spoken.refusal += delta.get("refusal") or ""
            spoken.tokens += tokens_of((choice.get("logprobs") or {}).get("content"))
            spoken.finish = choice.get("finish_reason") or spoken.finish
            piece = delta.get("content") or ""
            self.chars += len(piece)
            self._pass_on(self.thoughts.feed(piece))

    def _pass_on(self, piece: str) -> None:
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
