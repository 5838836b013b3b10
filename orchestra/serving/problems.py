"""HTTP status and OpenAI-shaped body of each error, which is counted and logged as it is told."""

from __future__ import annotations

import math
from typing import Any

from orchestra.core.errors import (
    AccessRefused,
    AnswerInvalid,
    AnswerRefused,
    AnswerTruncated,
    BatchesFull,
    BookError,
    BookLocked,
    BookUnavailable,
    BudgetExceeded,
    Cancelled,
    DeadlineExceeded,
    DiskFull,
    FileInUse,
    FilesFull,
    FileTooLarge,
    ImageError,
    ImageUnavailable,
    InvalidFleet,
    KeyRefused,
    MissingExtra,
    ModelUnavailable,
    NoFeasiblePlan,
    NotAllowed,
    OrchestraError,
    OutsideDomain,
    Overloaded,
    PlanError,
    PromptTooLong,
    QueueFull,
    RateLimited,
    TextTooLong,
    ThreadTaken,
    UnknownBatch,
    UnknownFile,
    UnknownModel,
    UnknownThread,
    UsageError,
)
from orchestra.observe.log import log_bug, log_problem
from orchestra.observe.metrics import count_problem
from orchestra.observe.trace import note
from orchestra.serving.words import Problem, ProblemBody

CLIENT_CLOSED = 499  # nginx's number for a client that hung up; nobody is left to read it
# The first class that fits decides, so the special ones stand before the general ones.
STATUSES: tuple[tuple[type[OrchestraError], int], ...] = (
    (KeyRefused, 401),
    (NotAllowed, 403),
    (UnknownModel, 404),
    (UnknownThread, 404),
    (UnknownFile, 404),
    (UnknownBatch, 404),
    (ThreadTaken, 409),
    (FileInUse, 409),
    (FilesFull, 409),
    (FileTooLarge, 413),
    (BatchesFull, 429),
    (MissingExtra, 500),
    (InvalidFleet, 500),
    (TextTooLong, 413),
    (UsageError, 400),
    (ImageUnavailable, 503),
    (ImageError, 400),
    (NoFeasiblePlan, 422),
    (PlanError, 422),
    (BudgetExceeded, 402),
    (DeadlineExceeded, 504),
    (QueueFull, 429),
    (Overloaded, 503),
    (OutsideDomain, 422),
    (PromptTooLong, 400),
    (AnswerTruncated, 502),
    (AnswerInvalid, 502),
    (AnswerRefused, 422),
    (RateLimited, 429),
    (ModelUnavailable, 503),
    (AccessRefused, 502),
    (Cancelled, CLIENT_CLOSED),
    (DiskFull, 507),
    (BookUnavailable, 503),
    (BookLocked, 503),
    (BookError, 500),
)
RETRY_AFTER_S = 2
BUG = "InternalError"


def problem(error: OrchestraError) -> tuple[int, dict[str, Any]]:
    """Status and body of `error`."""
    status = status_of(error)
    return status, body(status, error.kind, str(error))


def status_of(error: OrchestraError) -> int:
    """Status of `error`."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def kind_of_problem(status: int) -> str:
    """OpenAI's word for errors of this status."""
    return "invalid_request_error" if status < 500 else "server_error"


def reported(error: Exception) -> tuple[int, dict[str, Any]]:
    """Status and body of any error, which is counted and logged.

    One that nobody foresaw is logged with the lines that led to it, and told without them.
    """
    if isinstance(error, OrchestraError):
        status, answer = problem(error)
        note("orchestra.error", error.kind)
        count_problem(error.kind)
        log_problem(error.kind, status)
        return status, answer
    note("orchestra.error", BUG)
    count_problem(BUG)
    log_bug(error)
    message = (
        f"The server failed with {type(error).__name__}. Its log has the trace; report it, with "
        "the request that led to it."
    )
    return 500, body(500, BUG, message)


def body(status: int, code: str, message: str, param: str | None = None) -> dict[str, Any]:
    """The body of an error with this status."""
    kind = kind_of_problem(status)
    problem = Problem(message=message, type=kind, param=param, code=code)
    return ProblemBody(error=problem).model_dump()


def headers_of(status: int, retry_after_s: float | None = None) -> dict[str, str]:
    """Headers that tell a client when to come again, in whole seconds."""
    if status not in (429, 503):
        return {}
    return {"Retry-After": str(math.ceil(retry_after_s or RETRY_AFTER_S))}
