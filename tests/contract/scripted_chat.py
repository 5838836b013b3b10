"""A chat model of LangChain that says what it is told to, word by word, and asks for tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk


class ScriptedChat(GenericFakeChatModel):
    """Says its messages in turn, whatever tools it is offered.

    LangChain's own fake forgets the tools that a message asks for when it is streamed.
    """

    def bind_tools(self, tools: Any, **options: Any) -> Any:
        return self

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **options: Any,
    ) -> Iterator[ChatGenerationChunk]:
        said = next(self.messages)
        message = AIMessage(said) if isinstance(said, str) else said
        for word in message.text.split(" "):
            yield ChatGenerationChunk(message=AIMessageChunk(content=f"{word} "))
        for place, call in enumerate(message.tool_calls):
            asked = tool_call_chunk(
                name=call["name"],
                args=json.dumps(call["args"]),
                id=call["id"],
                index=place,
            )
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[asked]))


def says(*messages: AIMessage | str) -> ScriptedChat:
    """A model that says these."""
    return ScriptedChat(messages=iter(messages))


def calls(tool: str, **arguments: Any) -> AIMessage:
    """A message that asks for a tool."""
    call = {"name": tool, "args": arguments, "id": f"{tool}-1"}
    return AIMessage("Let me see.", tool_calls=[call])
