"""LangChain messages and tools as questions: nothing is lost, what cannot be shown is refused."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from orchestra.chat.messages import conversation_of, tools_of
from orchestra.core.errors import UsageError

CALL = {"name": "add", "args": {"a": 1}, "id": "c1"}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_turns_keep_roles_calls_and_what_they_answer() -> None:
    talk = conversation_of(
        [
            SystemMessage("Be brief."),
            HumanMessage("1 + 2?"),
            AIMessage("", tool_calls=[CALL]),
            ToolMessage("3", tool_call_id="c1"),
        ]
    )
    assert [turn.role for turn in talk.turns] == ["system", "user", "assistant", "tool"]
    assert talk.turns[2].calls[0].arguments == {"a": 1}
    assert talk.turns[3].answers == "c1"
    assert talk.text == ""


@pytest.mark.parametrize(
    ("block", "place"),
    [
        ({"type": "image_url", "image_url": {"url": "http://a/b.jpg"}}, "http://a/b.jpg"),
        (
            {"type": "image_url", "image_url": "data:image/png;base64,AA"},
            "data:image/png;base64,AA",
        ),
        ({"type": "image", "url": "shirt.png"}, "shirt.png"),
        (
            {"type": "image", "base64": "AA", "mime_type": "image/png"},
            "data:image/png;base64,AA",
        ),
        (
            {"type": "image", "source_type": "base64", "data": "AA", "mime_type": "image/png"},
            "data:image/png;base64,AA",
        ),
    ],
)
def test_photos_of_all_forms_are_named(block: dict[str, Any], place: str) -> None:
    talk = conversation_of([HumanMessage([block, {"type": "text", "text": "What is it?"}])])
    assert (talk.photos, talk.text) == ((place,), "What is it?")


def test_a_photo_of_an_earlier_message_belongs_to_its_turn() -> None:
    photo = {"type": "image_url", "image_url": {"url": "a.jpg"}}
    talk = conversation_of([HumanMessage([photo]), AIMessage("A shirt."), HumanMessage("Red?")])
    assert talk.photos == ("a.jpg",)
    assert [turn.photos for turn in talk.turns] == [1, 0]


def test_a_photo_without_words_is_asked_about() -> None:
    talk = conversation_of([HumanMessage([{"type": "image", "url": "a.jpg"}])])
    assert talk.text == "Describe the photo."


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "empty"),
        ([AIMessage("Hello.")], "type 'ai'"),
        ([ChatMessage(content="x", role="critic"), HumanMessage("y")], "type 'chat'"),
        ([HumanMessage([{"type": "audio", "base64": "AA"}])], "'audio'"),
        ([HumanMessage([{"type": "image"}])], "names no photo"),
        ([SystemMessage([{"type": "image", "url": "a.jpg"}]), HumanMessage("x")], "photo"),
    ],
)
def test_what_no_model_could_be_shown_is_refused_by_name(messages: list[Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        conversation_of(messages)


@pytest.mark.parametrize(
    ("choice", "read"),
    [
        (None, "auto"),
        ("any", "any"),
        ("required", "any"),
        (True, "any"),
        ("add", "add"),
        ({"type": "function", "function": {"name": "add"}}, "add"),
    ],
)
def test_tools_are_read_with_their_choice(choice: Any, read: str) -> None:
    tools = tools_of([add], choice)
    assert tools.choice == read
    assert tools.offered[0].name == "add"
    assert set(tools.offered[0].parameters["properties"]) == {"a", "b"}


def test_no_tool_is_offered_when_none_is_chosen() -> None:
    assert tools_of([add], "none").offered == ()


def test_a_choice_that_is_no_tool_is_refused() -> None:
    with pytest.raises(UsageError, match=r"'multiply'.*'add'"):
        tools_of([add], "multiply")
