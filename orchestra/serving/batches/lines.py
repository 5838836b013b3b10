"""The lines of a batch: read from its file, run as the requests that they are, told as outcomes."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from orchestra.book.filing.entries import LineOutcome, LineUse
from orchestra.core.errors import OrchestraError, UsageError
from orchestra.core.job import Result, first_problem
from orchestra.serving.batches.words import BatchLine
from orchestra.serving.chat_words import ChatRequest
from orchestra.serving.guards.strict_json import read_json
from orchestra.serving.problems import body, problem, reported
from orchestra.serving.responses.responder import Responder
from orchestra.serving.responses.words import ResponseRequest
from orchestra.serving.service import Service
from orchestra.serving.words import RunRequest, VectorRequest

MOST_LINES = 50_000  # as at OpenAI
MOST_LINE_BYTES = 48 * 2**20  # a photo of 32 MiB, the most that is read, as a data URI
EXPIRED = "This request could not be executed before the completion window expired."
CANCELLED = "This request was not begun before the batch was cancelled."
Run = Callable[[BaseModel], Awaitable[BaseModel]]


@dataclass(frozen=True, slots=True)
class Line:
    """A line that can be run: the request of the line `number`, which counts from 0."""

    number: int
    custom_id: str
    request: BaseModel


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot: which status and body it would have had."""

    number: int
    custom_id: str | None
    message: str


def endpoints(service: Service, responder: Responder) -> dict[str, tuple[type[BaseModel], Run]]:
    """By the endpoint, what its requests are read as and who answers them."""

    async def chat(request: Any) -> BaseModel:
        return await service.chat(request)

    async def vectors(request: Any) -> BaseModel:
        return await service.vectors(request, {})

    async def job(request: Any) -> BaseModel:
        return await service.job(request)

    async def response(request: Any) -> BaseModel:
        return await responder.answer(request)

    return {
        "/v1/chat/completions": (ChatRequest, chat),
        "/v1/embeddings": (VectorRequest, vectors),
        "/v1/jobs": (RunRequest, job),
        "/v1/responses": (ResponseRequest, response),
    }


def raw_lines(path: Path) -> Iterator[bytes]:
    """The lines of a file that are not empty, each at most one byte longer than may be."""
    with path.open("rb") as file:
        while line := file.readline(MOST_LINE_BYTES + 1):
            while not line.endswith(b"\n") and (rest := file.readline(MOST_LINE_BYTES)):
                line = line[: MOST_LINE_BYTES + 1] + (b"\n" if rest.endswith(b"\n") else b"")
            if line.strip():
                yield line.removeprefix(b"\xef\xbb\xbf")


def read_line(
    number: int, raw: bytes, endpoint: str, kind: type[BaseModel], seen: set[str]
) -> Line | BadLine:
    """The request of a line; `seen` are the ids of those before it, and gets this one's."""
    custom_id = None
    try:
        if len(raw) > MOST_LINE_BYTES + 1:
            raise UsageError(f"The line has more than {MOST_LINE_BYTES:,} bytes. Send less.")
        value = _object(raw)
        found = value.get("custom_id")
        custom_id = found if isinstance(found, str) else None
        line = _validated(BatchLine, value)
        _check(line, endpoint, seen)
        return Line(number, line.custom_id, _validated(kind, line.body))
    except UsageError as error:
        return BadLine(number, custom_id, f"Line {number + 1}: {error}")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = read_json(raw)
    except HTTPException as error:
        raise UsageError(error.detail.replace("The body", "It", 1)) from error
    if not isinstance(value, dict):
        raise UsageError(f"It is {json.dumps(value)[:40]}. Send one JSON object a line.")
    return value


def _validated(kind: type[Any], value: Mapping[str, Any]) -> Any:
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise UsageError(f"{first_problem(error, kind)}. See /docs.") from error


def _check(line: BatchLine, endpoint: str, seen: set[str]) -> None:
    """Raise `UsageError` for another endpoint, an id that was there, or a stream."""
    if line.url != endpoint:
        raise UsageError(f"url is {line.url[:80]!r}, and the batch is of {endpoint!r}. Split it.")
    if line.custom_id in seen:
        raise UsageError(f"custom_id {line.custom_id[:80]!r} was given before. Give another.")
    seen.add(line.custom_id)
    if line.body.get("stream"):
        raise UsageError("stream is true, and nobody listens to a batch. Leave it out.")


async def run_line(line: Line, run: Run) -> LineOutcome:
    """What a line comes to. Raises an error after which the same line may succeed."""
    try:
        answer = await run(line.request)
    except OrchestraError as error:
        if error.retryable:
            raise
        return failed(line, *reported(error))
    except Exception as error:  # a node of the user's own, or a defect: the other lines go on
        return failed(line, *reported(error))
    said = answer.model_dump(mode="json", by_alias=True)
    return LineOutcome(line.number, False, _written(line.custom_id, 200, said), _use(answer, said))


def gave_up(line: Line, error: OrchestraError) -> LineOutcome:
    """The outcome of a line whose error stayed as often as it was tried."""
    return failed(line, *problem(error))


def bad(line: BadLine) -> LineOutcome:
    """The outcome of a line that is no request."""
    said = body(400, "InvalidRequest", line.message)
    return LineOutcome(line.number, True, _written(line.custom_id, 400, said))


def failed(line: Line, status: int, said: Mapping[str, Any]) -> LineOutcome:
    """The outcome of a line whose request was answered with an error."""
    return LineOutcome(line.number, True, _written(line.custom_id, status, said))


def not_run(number: int, custom_id: str | None, code: str, message: str) -> LineOutcome:
    """The outcome of a line that was never begun."""
    entry = {
        "id": _id(),
        "custom_id": custom_id,
        "response": None,
        "error": {"code": code, "message": message},
    }
    return LineOutcome(number, True, json.dumps(entry, ensure_ascii=False))


def _written(custom_id: str | None, status: int, said: Mapping[str, Any]) -> str:
    response = {"status_code": status, "request_id": f"req_{uuid.uuid4().hex}", "body": said}
    entry = {"id": _id(), "custom_id": custom_id, "response": response, "error": None}
    return json.dumps(entry, ensure_ascii=False)


def _id() -> str:
    return f"batch_req_{uuid.uuid4().hex}"


def _use(answer: BaseModel, said: Mapping[str, Any]) -> LineUse:
    """The tokens that an answer tells of."""
    if isinstance(answer, Result):
        calls = answer.calls
        return LineUse(
            sum(call.input_tokens for call in calls),
            sum(call.input_tokens for call in calls if call.reused),
            sum(call.output_tokens for call in calls),
        )
    usage: Mapping[str, Any] = said.get("usage", {})
    details = usage.get("prompt_tokens_details") or usage.get("input_tokens_details") or {}
    return LineUse(
        usage.get("prompt_tokens", usage.get("input_tokens", 0)),
        details.get("cached_tokens", 0),
        usage.get("completion_tokens", usage.get("output_tokens", 0)),
    )
