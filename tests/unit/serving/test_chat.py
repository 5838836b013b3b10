"""A chat request as a job and an ask, and a result as a chat answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from orchestra.core.ask import ask
from orchestra.core.call import Turn
from orchestra.core.errors import InvalidSchema, UsageError
from orchestra.core.job import CallRecord, ErrorRecord, Field, Result
from orchestra.serving.chat import answer_of, ask_of, job_of, turns_of
from orchestra.serving.chat_words import ChatRequest

PHOTO = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
FACTS = {"type": "object", "properties": {"colour": {"type": "string"}}}


def request(*messages: Any, **more: Any) -> ChatRequest:
    """A request with these messages; a plain string is the user's."""
    said = [{"role": "user", "content": m} if isinstance(m, str | list) else m for m in messages]
    return ChatRequest.model_validate({"messages": said, **more})


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def held(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "facts", "schema": schema}}


def call(**changes: Any) -> CallRecord:
    record = CallRecord(node="answer", model="r1", instruction="What?", raw="an apple")
    return record.model_copy(update={"input_tokens": 7, "output_tokens": 2, **changes})


def test_the_last_message_is_the_job_with_its_texts_photos_and_extension() -> None:
    told = {"budget": {"cost_usd": "0.01", "latency_ms": 900}, "language": "zh", "data": "local"}
    asked = request("hello", [text("What is"), PHOTO, text("this?")], orchestra=told)
    job = job_of(asked)
    assert (job.text, job.images) == ("What is\nthis?", (PHOTO["image_url"]["url"],))
    assert (str(job.budget.cost_usd), job.budget.latency_ms) == ("0.01", 900)
    assert (job.language, job.data) == ("zh", "local")


def test_earlier_messages_are_turns_and_a_developer_speaks_as_the_system() -> None:
    refusal = {"role": "assistant", "content": None, "refusal": "I cannot tell."}
    asked = request({"role": "developer", "content": "Be brief."}, "Hi", refusal, "And now?")
    assert turns_of(asked) == (
        Turn("system", "Be brief."),
        Turn("user", "Hi"),
        Turn("assistant", "I cannot tell."),
    )


def test_what_cannot_be_asked_is_refused_with_a_cure() -> None:
    with pytest.raises(UsageError, match=r"role 'assistant'.*Put the question last"):
        job_of(request("Hi", {"role": "assistant", "content": "Hello"}))


def test_photos_of_earlier_messages_go_with_the_question_and_each_once() -> None:
    other = {"type": "image_url", "image_url": {"url": "https://shop.example/b.jpg"}}
    answer = {"role": "assistant", "content": "A shirt."}
    asked = request([text("See"), PHOTO], answer, [PHOTO, other, text("And this?")])
    assert job_of(asked).images == (PHOTO["image_url"]["url"], other["image_url"]["url"])
    assert turns_of(asked) == (Turn("user", "See"), Turn("assistant", "A shirt."))


def test_a_photo_asks_for_vision_and_a_question_without_words_gets_some() -> None:
    asked = request([PHOTO])
    question = ask_of(asked, job_of(asked))
    assert (question.capability, question.instruction) == ("vision", "Describe the photo.")
    plain = request("What is it?")
    assert ask_of(plain, job_of(plain)).capability == "text"


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ({}, 256),
        ({"max_tokens": 9}, 9),
        ({"max_tokens": 9, "max_completion_tokens": 5}, 5),
        ({"response_format": held(FACTS)}, ask("text", "?", schema=FACTS).max_tokens),
    ],
)
def test_the_answers_bound_is_the_requests_the_schemas_or_ours(
    given: dict[str, Any], bound: int
) -> None:
    asked = request("What is it?", **given)
    assert ask_of(asked, job_of(asked)).max_tokens == bound


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"type": "json_object"}, "names no schema"),
        ({"type": "json_schema"}, "has no json_schema"),
        (held({"type": "array"}), "'array'.*Wrap it"),
    ],
)
def test_a_form_without_a_usable_schema_says_how_to_give_one(
    form: dict[str, Any], told: str
) -> None:
    asked = request("What is it?", response_format=form)
    with pytest.raises(InvalidSchema, match=told):
        ask_of(asked, job_of(asked))


def test_an_answer_tells_text_usage_and_what_had_no_effect() -> None:
    result = Result(status="complete", calls=(call(reused=True), call(thinking="Hm.")))
    answer = answer_of(request("What?", temperature=0.3, seed=1), result, is_direct=True)
    (choice,) = answer.choices
    assert (choice.message.content, choice.message.reasoning_content) == ("an apple", "Hm.")
    # What was reused was asked as well, and is told apart.
    assert (answer.usage.prompt_tokens, answer.usage.total_tokens) == (14, 18)
    assert answer.usage.prompt_tokens_details.cached_tokens == 7
    assert answer.orchestra.models == ["r1"]
    assert answer.orchestra.notes[0].startswith("temperature, seed had no effect")
    assert choice.finish_reason == "stop"


def test_an_answer_that_was_cut_says_length() -> None:
    result = Result(status="partial", calls=(call(finish="length"),))
    assert answer_of(request("?"), result, is_direct=True).choices[0].finish_reason == "length"


def test_a_graphs_fields_are_json_and_an_abstained_one_is_null() -> None:
    fields = {
        "colour": Field(value="red", source="text"),
        "origin": Field(value=None, source="none", note="not stated"),
    }
    result = Result(status="partial", fields=fields, calls=(call(),))
    content = answer_of(request("?", model="listing"), result, is_direct=False).choices[0].message
    assert json.loads(content.content or "") == {"colour": "red", "origin": None}


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (
            Result(
                status="failed",
                errors=(ErrorRecord(stage="answer", type="AnswerInvalid", message="no JSON"),),
            ),
            "no JSON",
        ),
        (
            Result(status="review", fields={"colour": Field(source="none", note="too dark")}),
            "too dark",
        ),
        (Result(status="review"), "No model could tell."),
    ],
)
def test_a_result_without_an_answer_is_a_refusal_that_says_why(result: Result, why: str) -> None:
    message = answer_of(request("?"), result, is_direct=False).choices[0].message
    assert (message.content, message.refusal) == (None, why)


REFUSED: dict[str, Any] = {
    "n": 2, "stop": ["."], "tools": [{}], "logprobs": True, "presence_penalty": 1,
    "frequency_penalty": 1, "top_k": 4, "audio": {},
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), REFUSED.items())
def test_what_would_change_an_answer_and_is_not_done_is_refused(key: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=key):
        request("What?", **{key: value})


def test_every_form_that_asks_for_nothing_is_taken() -> None:
    nothing = {"n": 1, "stop": [], "tools": [], "logprobs": False}
    nothing |= {"presence_penalty": 0, "frequency_penalty": 0}
    assert request("What?", **nothing, user="me", store=True).messages[0].content == "What?"


def test_a_message_without_content_is_only_an_assistants_refusal() -> None:
    with pytest.raises(ValidationError, match="a message needs content"):
        request({"role": "user", "content": None})
    with pytest.raises(ValidationError, match="a message needs content"):
        request({"role": "assistant", "content": None})
