"""What goes over HTTP: jobs, runs that wait, vectors, models, errors (chats: `chat_words.py`).

A key that is not listed is refused by name: nothing that was asked for is dropped in silence.
"""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic import Field as Attribute

from orchestra.core.job import Budget, Job
from orchestra.graph.threads import Thread
from orchestra.serving.json_types import JsonBudget, JsonTyped
from orchestra.serving.list_page import ListPage

# Modes that tell of a server's inside (tasks, checkpoints, debug) are not among them.
Mode = Literal["values", "updates", "messages", "custom", "plan", "call", "spend", "result"]
ANSWER = "/answer"  # behind a thread's name
MOST_INPUTS = 2048  # of a request for vectors, as at OpenAI
DEFAULT_MODES: tuple[Mode, ...] = ("updates", "messages", "plan", "call", "spend", "result")


class Received(JsonTyped):
    """Base of what is received: no unknown keys, and values of their types."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Extension(Received):
    """Orchestra's own part of a request: `extra_body={"orchestra": {...}}` in OpenAI's client."""

    budget: JsonBudget = Budget()
    language: Literal["en", "zh", "auto"] = "auto"
    data: Literal["any", "local"] = "any"
    cache: bool = True


class VectorRequest(Received):
    """Body of POST /v1/embeddings. `model` is a card that offers `encode`, or `auto`.

    `input` is a text or several; token ids are refused, as each model has its own. `dimensions`
    may say how long the model's vectors are: none are cut.
    """

    model: str = "auto"
    input: str | list[Any] = Attribute(min_length=1)
    encoding_format: Literal["float", "base64"] | None = None  # None is float
    dimensions: int | None = Attribute(default=None, ge=1)
    orchestra: Extension = Extension()
    # Accepted; it concerns the caller's own books.
    user: str | None = None

    @model_validator(mode="after")
    def _input_is_texts(self) -> Self:
        inputs = self.texts
        if len(inputs) > MOST_INPUTS:
            raise ValueError(f"input holds {len(inputs)} texts, and at most {MOST_INPUTS} go")
        for at, text in enumerate(inputs):
            if not isinstance(text, str):
                raise ValueError(
                    f"input[{at}] is {text!r:.40}, and token ids are not read: send texts"
                )
            if not text.strip():
                raise ValueError(f"input[{at}] is {text!r:.40}, which has no vector: leave it out")
        return self

    @property
    def texts(self) -> list[str]:
        """The texts, in order."""
        return [self.input] if isinstance(self.input, str) else self.input


class JobRequest(Job, JsonTyped):
    """Body of POST /v1/jobs and /v1/plan: a job, and which of the served graphs runs it."""

    budget: JsonBudget = Budget()
    graph: str | None = None


class RunRequest(JobRequest):
    """Body of POST /v1/jobs: that, and how the run is told of.

    `thread_id` names the run, so that it can be gone on with whatever becomes of this process; one
    that asks a person gets a name anyway. With `stream` the answer comes as server-sent events.
    """

    thread_id: str | None = Attribute(default=None, min_length=1, max_length=200)
    stream: bool = False
    stream_mode: list[Mode] | None = None

    @model_validator(mode="after")
    def _thread_has_a_path(self) -> Self:
        if self.thread_id is not None and self.thread_id.endswith(ANSWER):
            raise ValueError(f"thread_id ends in {ANSWER!r}, as a route does: choose another name")
        return self

    @model_validator(mode="after")
    def _mode_is_of_a_stream(self) -> Self:
        check_mode(self.stream_mode, is_stream=self.stream)
        return self


class AnswerRequest(Received):
    """Body of POST /v1/threads/ID/answer: the `answer` to its question, or `answers` by ids.

    Without one, a run that was left or stops at a breakpoint goes on. `graph` names the graph of a
    run that was begun without a server.
    """

    answer: Any = None
    answers: dict[str, Any] | None = None
    graph: str | None = None
    stream: bool = False
    stream_mode: list[Mode] | None = None

    @model_validator(mode="after")
    def _answers_once(self) -> Self:
        if self.answers is not None and self.answer is not None:
            raise ValueError("give answer or answers, not both")
        if self.answers is not None and not self.answers:
            raise ValueError("answers holds none: map the ids of questions to answers")
        check_mode(self.stream_mode, is_stream=self.stream)
        return self


def check_mode(modes: list[Mode] | None, *, is_stream: bool) -> None:
    """Raise `ValueError` for modes that nothing would be told in."""
    if modes is not None and not is_stream:
        raise ValueError("stream_mode says what a stream tells: set stream to true as well")


class ThreadList(ListPage[Thread]):
    """Answer of GET /v1/threads."""


class ThreadDeleted(BaseModel):
    """Answer of DELETE /v1/threads/ID."""

    id: str
    object: Literal["thread"] = "thread"
    deleted: Literal[True] = True


class VectorEntry(BaseModel):
    """The vector of the text at `index`: numbers, or base64 of float32, little endian."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class VectorUsage(BaseModel):
    """Tokens of the texts; nothing is written."""

    prompt_tokens: int
    total_tokens: int


class VectorExtension(BaseModel):
    """Orchestra's own part of an answer; `cached` calls came from the cache."""

    cost_usd: float
    cached: int
    seconds: float


class VectorAnswer(BaseModel):
    """Answer of POST /v1/embeddings. `model` is the card whose vectors they are."""

    object: Literal["list"] = "list"
    data: list[VectorEntry]
    model: str
    usage: VectorUsage
    orchestra: VectorExtension


class ModelEntry(BaseModel):
    """One name that `model` may take."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    kind: Literal["card", "graph", "auto"]
    about: str = ""
    capabilities: list[str] = []
    data_goes_to: str = ""


class ModelList(BaseModel):
    """Answer of GET /v1/models."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]


class Problem(BaseModel):
    """An error as OpenAI's clients read it; `code` is Orchestra's name for it."""

    message: str
    type: str
    param: str | None = None
    code: str


class ProblemBody(BaseModel):
    """Body of every error."""

    error: Problem


class Health(BaseModel):
    """Answer of /healthz and /readyz; `models` says of each one whether it can answer.

    `book` says the same of the ledger, where ingresses share one.
    """

    status: Literal["ok", "not ready", "stopping"]
    models: dict[str, str] = {}
    book: str | None = None
