"""OpenAI's chat completion as it is asked and answered.

Source of the shapes: OpenAI's public API reference, "Create chat completion". A key that is not
listed is refused by name, and so is a value that would change the answer and is not done here;
a null asks for nothing. What has no effect stands in the answer's notes: nothing that was asked
for is dropped in silence.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, model_validator
from pydantic import Field as Attribute

from orchestra.core.job import Field, Question
from orchestra.serving.words import Extension, Received

MOST_TOKENS = 10_000_000  # more than any model's context
Empty = Annotated[list[Any], Attribute(max_length=0)]
NoText = Annotated[str, Attribute(max_length=0)]
Bound = Annotated[int, Attribute(ge=1, le=MOST_TOKENS)]


class TextPart(Received):
    """A piece of text in a message."""

    type: Literal["text"]
    text: str


class RefusalPart(Received):
    """An answer that was refused, as it came."""

    type: Literal["refusal"]
    refusal: str


class ImageUrl(Received):
    """A photo: an http(s) address or a data URI. `detail` is accepted and has no effect."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(Received):
    """A photo in a message."""

    type: Literal["image_url"]
    image_url: ImageUrl


Part = Annotated[TextPart | ImagePart | RefusalPart, Attribute(discriminator="type")]


class ChatMessage(Received):
    """One message of the conversation.

    An answer may be sent back as it came: its `refusal` stands for a content that is null, and
    its `reasoning_content` is not shown to a model again.
    """

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    # Of an answer that is sent back, in the one form that says nothing.
    annotations: Empty | None = None
    audio: None = None
    function_call: None = None
    tool_calls: Empty | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and (self.role != "assistant" or self.refusal is None):
            raise ValueError("a message needs content")
        return self


class NamedSchema(Received):
    """The JSON schema of an answer."""

    name: str
    schema_: dict[str, Any] = Attribute(alias="schema")
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Received):
    """How the answer is held to a form."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: NamedSchema | None = None


class StreamOptions(Received):
    """Whether a last chunk tells the usage."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class ChatRequest(Received):
    """Body of POST /v1/chat/completions. `model` is a card, a graph, or `auto`."""

    model: str = "auto"
    messages: list[ChatMessage] = Attribute(min_length=1)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    response_format: ResponseFormat | None = None
    max_tokens: Bound | None = None
    max_completion_tokens: Bound | None = None
    orchestra: Extension = Extension()
    # Accepted, with a note in the answer: how tokens are drawn is the card's to say.
    temperature: float | None = Attribute(default=None, ge=0, le=2)
    top_p: float | None = Attribute(default=None, ge=0, le=1)
    seed: int | None = Attribute(default=None, ge=-(2**63), lt=2**63)
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    verbosity: Literal["low", "medium", "high"] | None = None
    # Accepted in the one form that asks for nothing.
    n: Literal[1] | None = None
    stop: NoText | Empty | None = None
    tools: list[Any] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    functions: Empty | None = None
    function_call: Literal["none", "auto"] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    logit_bias: Annotated[dict[str, Any], Attribute(max_length=0)] | None = None
    presence_penalty: Literal[0] | None = None
    frequency_penalty: Literal[0] | None = None
    modalities: Annotated[list[Literal["text"]], Attribute(max_length=1)] | None = None
    audio: None = None
    prediction: None = None
    web_search_options: None = None
    # Noted in the book with what the answer cost, as the tags of a job are.
    metadata: dict[str, str] | None = None
    # Accepted; they concern the caller's own books, or a vendor's.
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    store: bool | None = None

    @model_validator(mode="after")
    def _calls_no_tool(self) -> Self:
        if self.tools and self.tool_choice != "none":
            raise ValueError(
                f"tools holds {len(self.tools)}, and no tool is called here: leave them out, give "
                "tool_choice 'none', or let a graph call them"
            )
        return self


class CachedTokens(BaseModel):
    """Tokens of prompts whose replies were taken over: they were not paid for again."""

    cached_tokens: int = 0


class TokenUsage(BaseModel):
    """Tokens of an answer's calls, whoever paid for them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: CachedTokens = CachedTokens()


class ThinkingTokens(BaseModel):
    """Of the tokens that were written, those of thinking: they are not told apart."""

    reasoning_tokens: int = 0


class AnswerExtension(BaseModel):
    """Orchestra's own part of an answer. `cached` calls came from the cache, saving `saved_usd`.

    One whose status is "waiting" asks `questions`; POST /v1/threads/THREAD_ID/answer goes on.
    """

    status: str
    cost_usd: float
    saved_usd: float = 0.0
    cached: int = 0
    models: list[str]
    seconds: float
    notes: list[str] = []
    fields: dict[str, Field] = {}
    plan: dict[str, Any] = {}
    thread_id: str | None = None
    questions: list[Question] = []


class AnswerMessage(BaseModel):
    """The answer; `refusal` says why there is none."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    reasoning_content: str | None = None


class ChatChoice(BaseModel):
    """The one choice there is."""

    index: int = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: Literal["stop", "length"] = "stop"


class ChatAnswer(BaseModel):
    """Answer of POST /v1/chat/completions."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage
    orchestra: AnswerExtension
