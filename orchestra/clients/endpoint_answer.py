"""Reads what a server answers to a chat request, as a reply.

The shape follows OpenAI's reference for `chat.completion`, and what servers that call themselves
compatible make of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from orchestra.clients.endpoint_events import whole_characters
from orchestra.clients.endpoint_refusal import ErrorInside
from orchestra.clients.endpoint_schema import Token, confidences, read_answer, tokens_of
from orchestra.clients.endpoint_thoughts import part_thoughts
from orchestra.clients.endpoint_usage import hidden_tokens, reported_in, usage_of
from orchestra.clients.tools import calls_in, calls_of, to_form
from orchestra.core.call import Call, Reply, Served, ToolCall, Usage, thinking_cure
from orchestra.core.errors import (
    AnswerInvalid,
    AnswerRefused,
    AnswerTruncated,
    ModelError,
    ThoughtTruncated,
)
from orchestra.core.text import sanitise

# Reasons to end, as servers and those behind gateways name them.
CUT = frozenset({"length", "max_tokens", "model_length", "model_context_window_exceeded"})
FILTERED = frozenset(
    {"content_filter", "refusal", "safety", "sensitive", "recitation", "prohibited_content"}
)
FAILED = frozenset({"error", "abort", "network_error", "insufficient_system_resource"})
UNKNOWN = Usage(is_bound=True)
MODEL_NAME = re.compile(r"[\w.:/@+-]{1,128}")


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
    model: str = ""

    @classmethod
    def of(cls, answer: Any) -> Spoken:
        """Read a `chat.completion`.

        Raises `AnswerInvalid` for anything else, and `ErrorInside` for one that is an error.
        """
        if error_within(answer) is not None:
            raise ErrorInside(answer)
        try:
            return cls._of(answer, answer["choices"][0])
        except AnswerInvalid as invalid:
            raise billed(invalid, reported_in(answer)) from invalid.__cause__
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            invalid = AnswerInvalid(
                f"The server answered {str(answer)[:120]!r}, which is no chat completion "
                f"({type(error).__name__}). Check that hosting.endpoint.url ends before "
                "'/chat/completions' of an OpenAI-compatible server."
            )
            raise billed(invalid, reported_in(answer)) from error

    @classmethod
    def _of(cls, answer: Mapping[str, Any], choice: Mapping[str, Any]) -> Spoken:
        message = choice.get("message") or choice["delta"]
        said, aside = parts_of(message.get("content"))
        thinking, text = part_thoughts(whole_characters(said))
        finish, usage = finish_of(choice), reported_in(answer)
        if finish in FAILED:
            raise ErrorInside(error_within(choice) or finish, heard=len(text), usage=usage)
        return cls(
            text=text,
            thinking=whole_characters(thoughts_of(message) or aside or thinking),
            finish=finish,
            refusal=str(message.get("refusal") or ""),
            tokens=tokens_of((choice.get("logprobs") or {}).get("content")),
            usage=usage,
            calls=whole_calls(message, finish),
            model=named_in(answer),
        )


def named_in(answer: Mapping[str, Any]) -> str:
    """The model that an answer, or an event of one, says it is by; empty for what is no name."""
    name = answer.get("model")
    return name if isinstance(name, str) and MODEL_NAME.fullmatch(name) else ""


def whole_calls(message: Mapping[str, Any], finish: str | None) -> list[ToolCall]:
    """The tool calls of a message; none of one that was cut, as its last one may be half."""
    try:
        return calls_of(message)
    except AnswerInvalid:
        if finish != "length":
            raise
        return []


def billed(error: ModelError, reported: Mapping[str, Any] | None) -> ModelError:
    """`error`, which now says what its call used, where the server reported that."""
    usage = usage_of(reported, UNKNOWN, answered=False)
    error.used = None if usage.is_bound else usage
    return error


def error_within(answer: Any) -> Any:
    """What an answer under a status of success says of an error, or None.

    Old vLLM and its kin mark an error by `object`, DashScope by a code beside its message.
    """
    if not isinstance(answer, Mapping) or answer.get("choices"):
        found = answer.get("error") if isinstance(answer, Mapping) else None
        return found or None
    if answer.get("object") == "error" or ("message" in answer and "code" in answer):
        return answer
    return answer.get("error") or None


def finish_of(choice: Mapping[str, Any]) -> str | None:
    """Why a choice ended, in one word for each reason."""
    finish = str(choice.get("finish_reason") or "").casefold()
    if finish in CUT:
        return "length"
    return "content_filter" if finish in FILTERED else finish or None


def thoughts_of(message: Mapping[str, Any]) -> str:
    """What a server tells apart as thinking, under any of the names in use."""
    named = (message.get(name) for name in ("reasoning_content", "reasoning", "thinking"))
    found = next((each for each in named if each), "")
    return "".join(parts_of(found))


def parts_of(content: Any) -> tuple[str, str]:
    """(text, thinking) of a message's content: text, a list of parts, or JSON that was parsed."""
    if content is None or isinstance(content, str):
        return content or "", ""
    if isinstance(content, list):
        parts = [_part(part) for part in content]
        return "".join(text for text, _ in parts), "".join(thought for _, thought in parts)
    if isinstance(content, Mapping) and isinstance(content.get("text"), str):
        return content["text"], ""
    return json.dumps(content, ensure_ascii=False), ""


def _part(part: Any) -> tuple[str, str]:
    if not isinstance(part, Mapping):
        return parts_of(part)
    kind = str(part.get("type") or "text")
    inside = part.get("text") or part.get(kind) or part.get("summary") or ""
    text = "".join(parts_of(inside))
    return ("", text) if kind.startswith(("think", "reason", "summary")) else (text, "")


def reply_of(spoken: Spoken, call: Call, most: Usage) -> Reply:
    """The reply that `spoken` gives to `call`; `most` stands in for usage that is not reported.

    Raises `AnswerTruncated`, `AnswerInvalid` or `AnswerRefused`, with what the call used as far as
    that is known.
    """
    answered = bool(spoken.text.strip() or spoken.thinking or spoken.calls or spoken.refusal)
    usage = usage_of(spoken.usage, most, answered=answered)
    try:
        return replace(_reply_of(spoken, call, usage), served=Served(model=spoken.model))
    except ModelError as error:
        error.used = None if usage.is_bound else usage
        raise


def _reply_of(spoken: Spoken, call: Call, usage: Usage) -> Reply:
    text = spoken.text.strip()
    if spoken.refusal or spoken.finish == "content_filter":
        why = spoken.refusal[:200] or "its filter held the answer back"
        raise AnswerRefused(
            f"The model refuses to answer: {why!r}. Ask another model.", may_have_spent=True
        )
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
        text = _form_of(text, spoken, call)
    if call.schema is None:
        if not text:
            raise AnswerInvalid(
                f"The model answered nothing (finish_reason {spoken.finish!r}, after "
                f"{len(spoken.thinking)} characters of thinking). Ask again, or another model."
            )
        finish = "length" if cut else "stop"
        return Reply(text, text, usage=usage, finish=finish, thinking=spoken.thinking)
    text = text or spoken.thinking.strip()  # vLLM takes an answer without a thought for one
    value, abstained = read_answer(call.schema, text, sanitise(call.text or ""))
    scores = confidences(call.schema, spoken.tokens)
    for name in abstained:
        scores.pop(name, None)  # it was of the value that was refused
    thinking = spoken.thinking
    return Reply(text, value, scores, usage, thinking=thinking, abstained=abstained)


def _form_of(text: str, spoken: Spoken, call: Call) -> str:
    """The form of tool calls; those that a server left in the text are found there."""
    calls = spoken.calls
    if not calls:
        text, calls = calls_in(text, call.tools)
    return to_form(text, calls)


def _is_all_thought(spoken: Spoken, call: Call, text: str) -> bool:
    """Whether a cut answer is nothing but thought.

    A template may open the thought; then a cut one holds no mark, and only the card tells that
    this model thinks.
    """
    if spoken.thinking or hidden_tokens(spoken.usage):
        return not text
    return call.thinking_tokens > 0
