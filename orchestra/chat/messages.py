"""Translates LangChain's messages and tools to a query, and a result to its message.

Message and block shapes are those of langchain-core 1 (`HumanMessage`, `ToolMessage`, standard
content blocks) and of OpenAI's `image_url` parts. A block of another kind is refused by name:
nothing a user sends is dropped in silence.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.utils.function_calling import convert_to_openai_tool

from orchestra.clients.tools import from_form
from orchestra.core.ask import Ask
from orchestra.core.call import Tool, ToolCall, Turn
from orchestra.core.errors import DeadlineExceeded, OrchestraError, UsageError
from orchestra.core.job import Result
from orchestra.graph.query import Query
from orchestra.graph.translation import Tools

ROLES = {"system": "system", "human": "user", "user": "user", "ai": "assistant", "tool": "tool"}
# What LangChain passes along for its own tracing.
UNUSED = frozenset({"ls_structured_output_format", "stream", "strict"})
# What a model thought, or asked for, stands elsewhere in its message.
PASSED_OVER = frozenset({"reasoning", "thinking", "tool_call", "tool_use", "non_standard"})


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages as a query needs them: what was said before, and what is to be answered.

    `text` is the last message, or empty where the results of tools come last. `photos` are those
    of all messages, in order: `turns` say which belong to them, and the rest to `text`.
    """

    turns: tuple[Turn, ...]
    text: str
    photos: tuple[str, ...]


def conversation_of(messages: Sequence[BaseMessage]) -> Conversation:
    """Read a conversation. Raises `UsageError` for what no model could be shown."""
    if not messages:
        raise UsageError("The conversation is empty. Give the model at least one message.")
    if messages[-1].type not in ("human", "user", "tool"):
        raise UsageError(
            f"The last message is of type {messages[-1].type!r}; it must be the user's or the "
            "result of a tool. Put the question last."
        )
    turns = tuple(_turn(message) for message in messages)
    photos = tuple(photo for message in messages for photo in _photos(message))
    if turns[-1].role == "tool":
        return Conversation(turns, "", photos)
    text = turns[-1].text or ("Describe the photo." if turns[-1].photos else "")
    return Conversation(turns[:-1], text, photos)


def _turn(message: BaseMessage) -> Turn:
    role = ROLES.get(message.type)
    if role is None:
        raise UsageError(
            f"A message is of type {message.type!r}; known are {sorted(ROLES)!r}. Use one of "
            "langchain_core.messages."
        )
    text, photos = _text(message), len(_photos(message))
    if photos and role != "user":
        raise UsageError(
            f"A message of type {message.type!r} holds a photo; only the user's may. Send it in a "
            "HumanMessage."
        )
    if isinstance(message, AIMessage):
        calls = tuple(
            ToolCall(call["id"] or "", call["name"], call["args"]) for call in message.tool_calls
        )
        return Turn("assistant", text, calls=calls)
    if isinstance(message, ToolMessage):
        return Turn("tool", text, answers=message.tool_call_id)
    return Turn(role, text, photos=photos)  # type: ignore[arg-type]  # one of the literals


def _blocks(message: BaseMessage) -> list[Mapping[str, Any]]:
    if isinstance(message.content, str):
        return [{"type": "text", "text": message.content}]
    return [
        {"type": "text", "text": block} if isinstance(block, str) else block
        for block in message.content
    ]


def _text(message: BaseMessage) -> str:
    texts: list[str] = []
    for block in _blocks(message):
        kind = block.get("type")
        if kind == "text":
            texts.append(str(block.get("text", "")))
        elif kind not in ("image_url", "image") and kind not in PASSED_OVER:
            raise UsageError(
                f"A message holds a block of type {kind!r}; models here read text and photos. "
                "Send 'text' and 'image_url' blocks."
            )
    return "\n".join(texts)


def _photos(message: BaseMessage) -> list[str]:
    return [
        _photo(block) for block in _blocks(message) if block.get("type") in ("image_url", "image")
    ]


def _photo(block: Mapping[str, Any]) -> str:
    """The photo of a block as a job names it: an address, a path or a data URI."""
    place = block.get("image_url") or block.get("url")
    if isinstance(place, Mapping):
        place = place.get("url")
    data = block.get("base64") or block.get("data")
    if place is None and data is not None:
        place = f"data:{block.get('mime_type', 'image/jpeg')};base64,{data}"
    if not isinstance(place, str):
        raise UsageError(
            f"A photo's block has keys {sorted(block)!r} and names no photo. Give 'url', 'base64', "
            "or {'type': 'image_url', 'image_url': {'url': ...}}."
        )
    return place


def tools_of(offered: Sequence[Any] | None, choice: Any) -> Tools:
    """Tools and the choice among them as LangChain binds them. Raises `UsageError`."""
    tools = tuple(_tool(convert_to_openai_tool(tool)["function"]) for tool in offered or ())
    chosen = _choice(choice)
    if not tools or chosen == "none":
        return Tools()
    names = [tool.name for tool in tools]
    if chosen not in ("auto", "any", *names):
        raise UsageError(
            f"tool_choice={choice!r} names no tool; bound are {names!r}. Use one of them, 'auto', "
            "'any' or 'none'."
        )
    return Tools(tools, chosen)


def _tool(function: Mapping[str, Any]) -> Tool:
    return Tool(
        function["name"],
        function.get("description", ""),
        function.get("parameters") or {"type": "object", "properties": {}},
    )


def _choice(choice: Any) -> str:
    if isinstance(choice, Mapping):
        return str(choice.get("function", {}).get("name", choice.get("type")))
    if choice is None or choice is False:
        return "auto"
    return "any" if choice in (True, "required") else str(choice)


def bound_tools(kwargs: dict[str, Any]) -> Tools:
    """The tools that `bind_tools` bound. Raises `UsageError` for a parameter that has no effect."""
    tools = tools_of(kwargs.pop("tools", None), kwargs.pop("tool_choice", None))
    unknown = sorted(set(kwargs) - UNUSED)
    if unknown:
        raise UsageError(
            f"The parameters {unknown!r} have no effect here: how tokens are drawn stands on the "
            "model's card. Leave them out."
        )
    return tools


def query_of(
    talk: Conversation, tools: Tools, *, node: str, max_tokens: int, calls: int = 1
) -> Query:
    """What is asked: of a model that reads text, or of one that sees where there are photos."""
    ask = Ask(
        capability="vision" if talk.photos else "text",
        instruction="",  # the conversation is the instruction
        schema_json=None,
        max_tokens=max_tokens,
        reads="image" if talk.photos else "text",
        derived=True,
        question=True,
    )
    return Query(ask, talk.turns, tools=tools, node=node, calls=calls)


def answer_of(result: Result, tools: Tools, *, prefix: str) -> AIMessage:
    """The message of a result without errors. Raises `AnswerInvalid` for one that is in no form.

    `prefix` begins the ids of tool calls that the model gave none.
    """
    call = result.calls[-1]
    text, calls = call.raw or "", ()
    if tools.offered:
        text, calls = from_form(text, tools.offered, prefix=prefix)
    paid = [each for each in result.calls if not each.reused]
    return AIMessage(
        text,
        tool_calls=[
            tool_call(name=each.name, args=dict(each.arguments), id=each.id) for each in calls
        ],
        additional_kwargs={"reasoning_content": call.thinking} if call.thinking else {},
        usage_metadata=_usage(
            sum(each.input_tokens for each in paid), sum(each.output_tokens for each in paid)
        ),
        response_metadata={
            "model_name": call.model,
            "finish_reason": "tool_calls" if calls else call.finish,
            "orchestra": {
                "status": result.status,
                "cost_usd": float(result.cost_usd),
                "reused": call.reused,
                "cached": call.cached,
                "notes": list(result.notes),
                "plan": dict(result.plan),
            },
        },
    )


def stop_message(failure: OrchestraError) -> AIMessage:
    """The message that ends a conversation for which no budget or time is left."""
    limit = "deadline" if isinstance(failure, DeadlineExceeded) else "budget"
    ours = {"status": "partial", "cost_usd": 0.0, "error": failure.kind, "notes": [str(failure)]}
    return AIMessage(
        f"Stopped at the {limit}; what was found so far stands above. {failure}",
        usage_metadata=_usage(0, 0),
        response_metadata={"model_name": "", "finish_reason": limit, "orchestra": ours},
    )


def _usage(sent: int, written: int) -> UsageMetadata:
    return UsageMetadata(input_tokens=sent, output_tokens=written, total_tokens=sent + written)


def cut_at(message: AIMessage, stop: Sequence[str] | None) -> AIMessage:
    """`message` with its text cut where one of the words of `stop` begins."""
    text = str(message.content)
    for word in stop or ():
        text = text.partition(word)[0] if word else text
    return message.model_copy(update={"content": text})


def last_chunk(message: AIMessage, heard: str) -> ChatGenerationChunk:
    """The end of a stream: what was not `heard` yet, tool calls, usage and cost."""
    chunk = AIMessageChunk(
        content=str(message.content).removeprefix(heard),
        tool_call_chunks=[
            tool_call_chunk(
                name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=place
            )
            for place, call in enumerate(message.tool_calls)
        ],
        usage_metadata=message.usage_metadata,
        additional_kwargs=message.additional_kwargs,
        response_metadata=message.response_metadata,
        chunk_position="last",
    )
    return ChatGenerationChunk(message=chunk)
