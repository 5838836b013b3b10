"""OpenAI's responses as they are asked for and answered.

Source of the shapes: OpenAI's public API reference, "Responses". What would need a conversation to
be kept is refused with the cure; what a chat refuses is refused here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel
from pydantic import Field as Attribute

from orchestra.serving.chat_words import AnswerExtension, Bound, CachedTokens, Empty, ThinkingTokens
from orchestra.serving.words import Extension, Received

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Status = Literal["completed", "incomplete", "in_progress", "failed"]


class InputText(Received):
    """A piece of text that is asked about, or of an answer that is sent back."""

    type: Literal["input_text", "output_text"]
    text: str
    annotations: Empty | None = None
    logprobs: Empty | None = None


class InputRefusal(Received):
    """An answer that was refused, as it came."""

    type: Literal["refusal"]
    refusal: str


class InputImage(Received):
    """A photo: an http(s) address or a data URI, or a file that was sent with purpose `vision`."""

    type: Literal["input_image"]
    image_url: str | None = None
    file_id: str | None = Attribute(default=None, max_length=200)
    detail: Literal["auto", "low", "high", "original"] | None = None


Content = Annotated[InputText | InputImage | InputRefusal, Attribute(discriminator="type")]


class InputMessage(Received):
    """One message of the conversation; an answer may be sent back as it came."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Content]
    id: str | None = None
    status: Literal["in_progress", "completed", "incomplete"] | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class TextFormat(Received):
    """How the answer is held to a form."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema_: dict[str, Any] | None = Attribute(default=None, alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextConfig(Received):
    """The form of the answer. `verbosity` is accepted, with a note."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(Received):
    """How long to think: accepted, with a note. No summary of it is made."""

    effort: Effort | None = None
    summary: Literal["auto"] | None = None
    generate_summary: None = None


class ResponseStreamOptions(Received):
    """Pieces are never padded."""

    include_obfuscation: Literal[False] | None = None


class ResponseRequest(Received):
    """Body of POST /v1/responses. `model` is a card, a graph, or `auto`."""

    model: str = "auto"
    input: str | list[InputMessage] = Attribute(min_length=1)
    instructions: str | None = None
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None
    text: TextConfig | None = None
    max_output_tokens: Bound | None = None
    orchestra: Extension = Extension()
    # Accepted, with a note in the answer.
    temperature: float | None = Attribute(default=None, ge=0, le=2)
    top_p: float | None = Attribute(default=None, ge=0, le=1)
    reasoning: Reasoning | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    store: bool | None = None
    # Accepted in the one form that asks for nothing.
    background: Literal[False] | None = None
    conversation: None = None
    include: (
        Annotated[list[Literal["reasoning.encrypted_content"]], Attribute(max_length=1)] | None
    ) = None
    max_tool_calls: int | None = Attribute(default=None, ge=0, lt=2**31)
    parallel_tool_calls: bool | None = None
    previous_response_id: None = None
    prompt: None = None
    tools: Empty | None = None
    tool_choice: Literal["none", "auto"] | None = None
    top_logprobs: Literal[0] | None = None
    truncation: Literal["disabled"] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None


class OutputText(BaseModel):
    """The text of an answer."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[Any] = []
    logprobs: list[Any] = []


class OutputRefusal(BaseModel):
    """Why there is none."""

    type: Literal["refusal"] = "refusal"
    refusal: str


class OutputMessage(BaseModel):
    """The one message of an answer."""

    id: str
    type: Literal["message"] = "message"
    status: Literal["completed", "incomplete", "in_progress"]
    role: Literal["assistant"] = "assistant"
    content: list[OutputText | OutputRefusal]


class InputDetails(CachedTokens):
    """Of the tokens that were sent; none are written to a cache of prompts."""

    cache_write_tokens: int = 0


class ResponseUse(BaseModel):
    """Tokens of an answer's calls, whoever paid for them."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: ThinkingTokens = ThinkingTokens()
    total_tokens: int


class Incomplete(BaseModel):
    """Why an answer is cut."""

    reason: Literal["max_output_tokens"] = "max_output_tokens"


class ResponseProblem(BaseModel):
    """Why a stream failed."""

    code: str
    message: str


class ResponseAnswer(BaseModel):
    """Answer of POST /v1/responses. It is not kept: there is nothing to get or to go on from."""

    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None = None
    status: Status
    error: ResponseProblem | None = None
    incomplete_details: Incomplete | None = None
    background: Literal[False] = False
    instructions: str | None = None
    max_output_tokens: int | None = None
    model: str
    output: list[OutputMessage]
    parallel_tool_calls: bool = False
    previous_response_id: None = None
    reasoning: dict[str, Any] | None = None
    store: Literal[False] = False
    temperature: float | None = None
    text: dict[str, Any]
    tool_choice: Literal["none", "auto"] = "none"
    tools: list[Any] = []
    top_p: float | None = None
    truncation: Literal["disabled"] = "disabled"
    usage: ResponseUse | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    orchestra: AnswerExtension | None = None
