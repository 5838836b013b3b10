"""Batches as OpenAI's clients ask for them and read them.

Source of the shapes: OpenAI's public API reference, "Batch".
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel
from pydantic import Field as Attribute

from orchestra.book.filing.entries import BatchStatus
from orchestra.serving.chat_words import CachedTokens, ThinkingTokens
from orchestra.serving.list_page import ListPage
from orchestra.serving.words import Received

Endpoint = Literal["/v1/chat/completions", "/v1/embeddings", "/v1/responses", "/v1/jobs"]
Window = Literal["1h", "2h", "6h", "12h", "24h", "48h", "72h", "168h"]


class BatchRequest(Received):
    """Body of POST /v1/batches: each line of a file goes to `endpoint`, within the window."""

    input_file_id: str = Attribute(min_length=1, max_length=200)
    endpoint: Endpoint
    completion_window: Window
    metadata: dict[str, str] | None = None


class BatchProblem(BaseModel):
    """Why a batch failed as a whole."""

    code: str
    line: int | None = None
    message: str
    param: str | None = None


class BatchProblems(BaseModel):
    """All of them."""

    object: Literal["list"] = "list"
    data: list[BatchProblem]


class LineCounts(BaseModel):
    """How many lines there are, were answered, and failed."""

    total: int
    completed: int
    failed: int


class BatchUse(BaseModel):
    """Tokens of all lines so far."""

    input_tokens: int
    input_tokens_details: CachedTokens
    output_tokens: int
    output_tokens_details: ThinkingTokens = ThinkingTokens()
    total_tokens: int


class BatchObject(BaseModel):
    """How a batch stands; times are seconds since 1970."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str
    errors: BatchProblems | None = None
    input_file_id: str
    completion_window: str
    status: BatchStatus
    output_file_id: str | None = None
    error_file_id: str | None = None
    created_at: int
    expires_at: int
    in_progress_at: int | None = None
    finalizing_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    expired_at: int | None = None
    cancelling_at: int | None = None
    cancelled_at: int | None = None
    request_counts: LineCounts
    usage: BatchUse
    metadata: dict[str, str] | None = None


class BatchList(ListPage[BatchObject]):
    """Answer of GET /v1/batches."""


class BatchLine(Received):
    """One line of an input file. `body` is that of a request to `url`."""

    custom_id: str = Attribute(min_length=1, max_length=512)
    method: Literal["POST"] = "POST"
    url: str
    body: dict[str, Any]
