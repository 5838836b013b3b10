"""Tools in the words of OpenAI's chat requests: offers, earlier calls, results; knows no HTTP."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from orchestra.core.call import Call, Tool, ToolCall, Turn


def turn_message(turn: Turn, content: Any) -> dict[str, Any]:
    """One earlier message; `content` is its text, with its photos if it has any."""
    message: dict[str, Any] = {"role": turn.role, "content": content}
    if turn.role == "tool":
        message["tool_call_id"] = turn.answers
    if turn.calls:
        message["content"] = turn.text or None
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": json.dumps(dict(call.arguments), ensure_ascii=False),
                },
            }
            for call in turn.calls
        ]
    return message


def offer(tool: Tool) -> dict[str, Any]:
    """A tool as a request offers it."""
    told = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": told}


def choice_of(choice: str) -> Any:
    """Which of the tools may be asked for."""
    if choice in ("auto", "any"):
        return {"auto": "auto", "any": "required"}[choice]
    return {"type": "function", "function": {"name": choice}}


def asked_call(raw: Mapping[str, Any]) -> ToolCall:
    """A tool call as servers write it: its arguments are JSON in a string."""
    function = raw["function"]
    return ToolCall(str(raw["id"]), function["name"], json.loads(function["arguments"] or "{}"))


def tools_bytes(call: Call) -> int:
    """Bytes of the tools that are offered, and of the arguments of earlier calls."""
    size = sum(len(json.dumps(offer(tool), ensure_ascii=False).encode()) for tool in call.tools)
    asked = [each for turn in call.turns for each in turn.calls]
    return size + sum(len(json.dumps(dict(each.arguments)).encode()) for each in asked)
