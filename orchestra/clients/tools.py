"""Offers tools to a model through a response schema, and reads what it asks for.

A reply to a call with tools has one form whoever gave it: the JSON object
`{"calls": [{"tool": ..., "arguments": {...}}], "answer": ...}`. Engines here are held to it by
`as_schema`; the endpoint client writes a server's own tool calls in the same form (`to_form`), so
that book, caches and records hold one kind of reply.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestra.clients.endpoint_json import object_in
from orchestra.core.call import Call, Tool, ToolCall, Turn
from orchestra.core.card import Card
from orchestra.core.errors import AnswerInvalid

MOST_CALLS = 4
CHARS_PER_TOKEN = 2  # of an answer between quotes; fewer than models need, so that it ends
TOOLS_RULE = (
    "You may use these tools. Fill 'calls' to use some of them and leave 'answer' null; give an "
    "'answer' and no 'calls' when you need none."
)
MARKED_CALL = re.compile(
    r"(?:<tool_call>|\[TOOL_REQUEST\])\s*(\{.*?\})\s*(?:</tool_call>|\[END_TOOL_REQUEST\])",
    re.DOTALL,
)
TOOLS_BYTES = 768  # the rule above and the form's own schema


def knows_tools(card: Card) -> bool:
    """Whether the model behind `card` is offered tools in the words of its own server."""
    endpoint = card.hosting.endpoint
    return endpoint is not None and endpoint.tools == "native"


def as_schema(call: Call) -> Call:
    """`call` for an engine that knows no tools: turns in plain words, the form as its schema."""
    if not call.tools and call.instruction and not any(t.calls or t.answers for t in call.turns):
        return call
    turns = [_plain(turn, call.turns) for turn in call.turns]
    instruction = call.instruction
    if not instruction:  # the results of tools come last, and are what is to be answered
        results = list(itertools.takewhile(lambda turn: turn.answers, reversed(call.turns)))
        last = len(turns) - len(results)
        instruction = "\n\n".join(turn.text for turn in turns[last:])
        turns = turns[:last]
    if not call.tools:
        return replace(call, turns=tuple(turns), instruction=instruction, tools=())
    listed = "\n".join(
        f"- {tool.name}: {tool.description} Arguments: {json.dumps(tool.parameters)}"
        for tool in call.tools
    )
    return replace(
        call,
        instruction=f"{TOOLS_RULE}\n{listed}\n\n{instruction}",
        turns=tuple(turns),
        schema=_form(call.tools, call.tool_choice, call.max_tokens),
        tools=(),
        tool_choice="auto",
    )


def _plain(turn: Turn, turns: Sequence[Turn]) -> Turn:
    if turn.role == "tool":
        names = {call.id: call.name for each in turns for call in each.calls}
        name = names.get(turn.answers, "tool")
        return Turn("user", f"Result of {name}:\n<data>\n{turn.text}\n</data>")
    if turn.calls:
        return Turn("assistant", to_form(turn.text, turn.calls))
    return Turn(turn.role, turn.text)


def _form(tools: Sequence[Tool], choice: str, max_tokens: int) -> dict[str, Any]:
    named = [tool for tool in tools if choice in ("auto", "any", tool.name)]
    options = [_option(tool) for tool in named]
    calls = {
        "type": "array",
        "items": options[0] if len(options) == 1 else {"anyOf": options},
        "minItems": 0 if choice == "auto" else 1,
        "maxItems": MOST_CALLS,
    }
    text = {"type": "string", "maxLength": CHARS_PER_TOKEN * max_tokens}
    answer = {"anyOf": [text, {"type": "null"}]} if choice == "auto" else {"type": "null"}
    definitions: dict[str, Any] = {}
    for tool in named:
        definitions |= tool.parameters.get("$defs", {})
    form = {"type": "object", "properties": {"calls": calls, "answer": answer}}
    return form | ({"$defs": definitions} if definitions else {})


def _option(tool: Tool) -> dict[str, Any]:
    properties: dict[str, Any] = {"tool": {"const": tool.name}}
    if tool.parameters.get("properties"):
        properties["arguments"] = {
            key: value for key, value in tool.parameters.items() if key != "$defs"
        }
    return {"type": "object", "properties": properties}


def to_form(answer: str | None, calls: Sequence[ToolCall]) -> str:
    """The form of a reply as text."""
    listed = [
        {"tool": call.name, "arguments": dict(call.arguments)}
        | ({"id": call.id} if call.id else {})
        for call in calls
    ]
    return json.dumps({"calls": listed, "answer": answer or None}, ensure_ascii=False)


def calls_of(message: Mapping[str, Any]) -> list[ToolCall]:
    """The tool calls of a server's message; an id that it did not give is empty.

    Arguments are JSON in a string, or that JSON itself. Raises `AnswerInvalid` for others.
    """
    listed = message.get("tool_calls") or []
    if not listed and message.get("function_call"):  # the older form of one call
        listed = [{"function": message["function_call"]}]
    return [_asked(call) for call in listed]


def _asked(raw: Mapping[str, Any]) -> ToolCall:
    function = raw["function"]
    arguments = function.get("arguments")
    for _ in range(2):  # some servers write the string of a string
        arguments = _unpacked(arguments, str(function["name"]))
    if not isinstance(arguments, Mapping):
        raise _no_arguments(str(function["name"]), arguments)
    return ToolCall(str(raw.get("id") or ""), str(function["name"]), arguments)


def _unpacked(arguments: Any, name: str) -> Any:
    if not isinstance(arguments, str):
        return arguments or {}
    try:
        return json.loads(arguments.strip() or "{}", strict=False)
    except ValueError as error:
        raise _no_arguments(name, arguments) from error


def _no_arguments(name: str, said: Any) -> AnswerInvalid:
    return AnswerInvalid(
        f"The model asked for the tool {name!r} with arguments {str(said)[:80]!r}, which are no "
        "JSON object. Use a model that was trained on tools, or set hosting.endpoint.tools: schema."
    )


def calls_in(text: str, tools: Sequence[Tool]) -> tuple[str, list[ToolCall]]:
    """What is left of `text`, and the calls of offered tools that a server left standing in it.

    Qwen's and Hermes' templates mark them, and LM Studio's own; a server that is not told so passes
    the marks on.
    """
    offered = {tool.name for tool in tools}
    found: list[ToolCall] = []

    def take(match: re.Match[str]) -> str:
        try:
            raw = json.loads(match.group(1), strict=False)
            call = _asked({"function": raw})
        except (ValueError, KeyError, TypeError, AttributeError, AnswerInvalid):
            return match.group()
        if call.name not in offered:
            return match.group()
        found.append(call)
        return ""

    return MARKED_CALL.sub(take, text).strip(), found


def from_form(text: str, tools: Sequence[Tool], *, prefix: str) -> tuple[str, tuple[ToolCall, ...]]:
    """(answer, calls) of a reply in the form; a call without an id gets `prefix` and its place.

    Raises `AnswerInvalid` for another form, a tool that was not offered, or arguments that are no
    object.
    """
    try:
        form = object_in(text, {"calls", "answer"}) or json.loads(text)
        listed, answer = form.get("calls") or [], form.get("answer") or ""
        calls = tuple(
            ToolCall(
                str(one.get("id") or f"{prefix}{place}"), one["tool"], one.get("arguments") or {}
            )
            for place, one in enumerate(listed)
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnswerInvalid(
            f"The model answered {text[:80]!r}, which neither answers nor asks for a tool. "
            "Use a model that can be held to a schema."
        ) from error
    offered = [tool.name for tool in tools]
    for call in calls:
        if call.name not in offered or not isinstance(call.arguments, Mapping):
            raise AnswerInvalid(
                f"The model asked for the tool {call.name!r} with {str(call.arguments)[:80]!r}; "
                f"offered were {offered!r}. Use a model that was trained on tools."
            )
    return str(answer), calls
