"""Turns a result into LangChain's message: text, tool calls, usage, and cost; it calls nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from orchestra.clients.tools import read
from orchestra.core.call import ToolCall
from orchestra.core.errors import DeadlineExceeded, OrchestraError
from orchestra.core.job import Result
from orchestra.graph.job_run import Tools


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; `told` is Orchestra's own part of it, `finish` why it ended."""

    text: str
    finish: str
    told: Mapping[str, Any]
    calls: tuple[ToolCall, ...] = ()
    model: str = ""
    thinking: str = ""
    usage: tuple[int, int] = (0, 0)


def answered(result: Result, tools: Tools, *, prefix: str) -> Answer:
    """The answer of a result without errors. Raises `AnswerInvalid` for one that is in no form.

    `prefix` begins the ids of tool calls that the model gave none.
    """
    call = result.calls[-1]
    text, calls = call.raw or "", ()
    if tools.offered:
        text, calls = read(text, tools.offered, prefix=prefix)
    paid = [each for each in result.calls if not each.reused]
    return Answer(
        text=text,
        finish="tool_calls" if calls else call.finish,
        told={
            "status": result.status,
            "cost_usd": float(result.cost_usd),
            "reused": call.reused,
            "cached": call.cached,
            "notes": list(result.notes),
            "plan": dict(result.plan),
        },
        calls=calls,
        model=call.model,
        thinking=call.thinking,
        usage=(
            sum(each.input_tokens for each in paid),
            sum(each.output_tokens for each in paid),
        ),
    )


def stopped(failure: OrchestraError) -> Answer:
    """The answer that ends a conversation for which no budget or time is left."""
    is_late = isinstance(failure, DeadlineExceeded)
    limit = "deadline" if is_late else "budget"
    text = f"Stopped at the {limit}; what was found so far stands above. {failure}"
    told = {"status": "partial", "cost_usd": 0.0, "error": failure.kind, "notes": [str(failure)]}
    return Answer(text=text, finish=limit, told=told)


def chat_result(answer: Answer, stop: Sequence[str] | None) -> ChatResult:
    """The answer as LangChain's result; `stop` cuts its text where one of the words begins."""
    text = answer.text
    for word in stop or ():
        text = text.partition(word)[0] if word else text
    message = AIMessage(
        text,
        tool_calls=[
            tool_call(name=call.name, args=dict(call.arguments), id=call.id)
            for call in answer.calls
        ],
        **_beside(answer),
    )
    return ChatResult(generations=[ChatGeneration(message=message)])


def last_chunk(answer: Answer, told: str, stop: Sequence[str] | None) -> ChatGenerationChunk:
    """The end of a stream: what was not `told` yet, tool calls, usage and cost."""
    text = str(chat_result(answer, stop).generations[0].message.content)
    message = AIMessageChunk(
        content=text.removeprefix(told),
        tool_call_chunks=[
            tool_call_chunk(
                name=call.name, args=json.dumps(dict(call.arguments)), id=call.id, index=place
            )
            for place, call in enumerate(answer.calls)
        ],
        **_beside(answer),
        chunk_position="last",
    )
    return ChatGenerationChunk(message=message)


def _beside(answer: Answer) -> dict[str, Any]:
    sent, made = answer.usage
    return {
        "usage_metadata": UsageMetadata(
            input_tokens=sent, output_tokens=made, total_tokens=sent + made
        ),
        "additional_kwargs": ({"reasoning_content": answer.thinking} if answer.thinking else {}),
        "response_metadata": {
            "model_name": answer.model,
            "finish_reason": answer.finish,
            "orchestra": dict(answer.told),
        },
    }
