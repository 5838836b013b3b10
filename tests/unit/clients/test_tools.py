"""Tools as a schema and as a server's own words: one form of reply, whoever gave it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from orchestra.clients.endpoint import EndpointClient
from orchestra.clients.tools import as_schema, from_form, to_form
from orchestra.core.call import Call, Tool, ToolCall, Turn
from orchestra.core.errors import AnswerInvalid
from tests.servers.fake_server import FakeServer, Said, chat, endpoint_card, serving
from workers.decoding.shape import read_schema

NUMBERS = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
TOOLS = (Tool("add", "Add.", NUMBERS), Tool("now", "The time.", {"type": "object"}))
ASK = Call("1 + 2?", tools=TOOLS)
RESULT = Call(
    "",
    turns=(
        Turn("user", "1 + 2?"),
        Turn("assistant", "", calls=(ToolCall("c1", "add", {"a": 1, "b": 2}),)),
        Turn("tool", "3", answers="c1"),
    ),
    tools=TOOLS,
)


@asynccontextmanager
async def asked(call: Call, *script: Said) -> AsyncIterator[tuple[str, FakeServer]]:
    with serving(*script) as server:
        client = EndpointClient(endpoint_card(server.url))
        try:
            yield (await client.complete(call)).text, server
        finally:
            await client.close()


def calling(name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"tool_calls": [{"id": "c1", "type": "function", "function": function}]}


def test_an_engine_is_held_to_calls_of_the_offered_tools_or_an_answer() -> None:
    plain = as_schema(ASK)
    assert plain.tools == () and plain.schema is not None
    assert "- add: Add." in plain.instruction and plain.instruction.endswith("1 + 2?")
    shape = dict(read_schema(plain.schema).properties)
    assert set(shape) == {"calls", "answer"}
    assert [dict(option.properties)["tool"][0].values for option in shape["calls"][0].items] == [
        ("add",),
        ("now",),
    ]


def test_a_chosen_tool_has_to_be_called() -> None:
    plain = as_schema(replace(ASK, tool_choice="now"))
    assert plain.schema is not None
    calls = plain.schema["properties"]["calls"]
    assert calls["minItems"] == 1
    assert calls["items"]["properties"] == {"tool": {"const": "now"}}
    assert plain.schema["properties"]["answer"] == {"type": "null"}


def test_the_result_of_a_tool_is_what_an_engine_is_asked_about_as_data() -> None:
    plain = as_schema(RESULT)
    assert plain.instruction.endswith("Result of add:\n<data>\n3\n</data>")
    assert [turn.role for turn in plain.turns] == ["user", "assistant"]
    assert json.loads(plain.turns[1].text)["calls"][0]["tool"] == "add"


def test_a_call_without_tools_or_results_stays_as_it_is() -> None:
    call = Call("Hello.")
    assert as_schema(call) is call


async def test_a_server_is_offered_tools_in_its_own_words() -> None:
    said = chat(None, message=calling("add", '{"a": 1, "b": 2}'), finish="tool_calls")
    async with asked(ASK, said) as (text, server):
        body = server.asked[0]
        assert [tool["function"]["name"] for tool in body["tools"]] == ["add", "now"]
        assert body["tool_choice"] == "auto"
        assert from_form(text, TOOLS, prefix="x") == (
            "",
            (ToolCall("c1", "add", {"a": 1, "b": 2}),),
        )


async def test_a_server_is_given_results_as_messages_of_the_tool() -> None:
    async with asked(RESULT, chat("It is 3.")) as (text, server):
        messages = server.asked[0]["messages"]
        assert [message["role"] for message in messages] == ["user", "assistant", "tool"]
        assert messages[1]["tool_calls"][0]["function"]["arguments"] == '{"a": 1, "b": 2}'
        assert messages[2]["tool_call_id"] == "c1"
        assert from_form(text, TOOLS, prefix="x") == ("It is 3.", ())


async def test_a_servers_arguments_that_are_no_json_are_an_invalid_answer() -> None:
    with pytest.raises(AnswerInvalid):
        async with asked(ASK, chat(None, message=calling("add", "{1"))):
            pass


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "[]",
        '{"calls": [{"arguments": {}}]}',
        '{"calls": [{"tool": "multiply", "arguments": {}}]}',
        '{"calls": [{"tool": "add", "arguments": "1"}]}',
    ],
)
def test_a_reply_of_another_form_or_an_unknown_tool_is_refused(text: str) -> None:
    with pytest.raises(AnswerInvalid):
        from_form(text, TOOLS, prefix="x")


def test_calls_without_an_id_get_one_each() -> None:
    text = to_form(None, (ToolCall("", "now", {}), ToolCall("", "now", {})))
    assert [call.id for call in from_form(text, TOOLS, prefix="n-")[1]] == ["n-0", "n-1"]
