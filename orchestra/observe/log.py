"""One structured line for each job and problem; never a text, a photo, an address or a key."""

from __future__ import annotations

import logging
import traceback

from orchestra.core.job import Result
from orchestra.observe.outcome import note_outcome
from orchestra.observe.trace import trace_id

LOG = logging.getLogger("orchestra.jobs")
FAILURES = logging.getLogger("orchestra.serving")


def log_result(kind: str, name: str, result: Result) -> None:
    """A job or question that ended: what ran, how it ended, what it took.

    `kind` is `job` or `chat`, `name` the graph or model that was asked for.
    """
    note_outcome(result.status, result.cost_usd)
    LOG.info(
        "%s ended",
        kind,
        extra={
            "orchestra_name": name,
            "orchestra_status": result.status,
            "orchestra_thread": result.thread_id,
            "orchestra_models": [call.model for call in result.calls],
            "orchestra_cost_usd": float(result.cost_usd),
            "orchestra_tokens": result.tokens,
            "orchestra_seconds": result.seconds,
            "orchestra_errors": [error.type for error in result.errors],
            "orchestra_trace": trace_id(),
        },
    )


def log_still_returned(why: str) -> None:
    """A canary begins without a share, as it lost it in an earlier life of the server."""
    FAILURES.warning(
        "canary has no share: it was returned before (%s). Another version or share of it begins a "
        "new trial",
        why,
        extra={"orchestra_type": "CanaryReturned"},
    )


def log_problem(kind: str, status: int) -> None:
    """A request that got an error instead of an answer."""
    LOG.warning(
        "request refused",
        extra={
            "orchestra_type": kind,
            "orchestra_http_status": status,
            "orchestra_trace": trace_id(),
        },
    )


def log_bug(error: Exception) -> None:
    """An error that nobody foresaw: its type and the lines that led to it.

    Its message may quote the text or a key, so it is told at no level.
    """
    lines = traceback.extract_tb(error.__traceback__)
    FAILURES.error(
        "request failed",
        extra={
            "orchestra_type": type(error).__name__,
            "orchestra_lines": [f"{line.filename}:{line.lineno} {line.name}" for line in lines],
            "orchestra_trace": trace_id(),
        },
    )


def log_returned(what: str, canary: float, stable: float, canary_of: int, stable_of: int) -> None:
    """A canary lost its share of the work: shares of requests that went wrong, and of how many."""
    FAILURES.warning(
        "canary returned to 0%%: more of its requests were %s",
        what,
        extra={
            "orchestra_type": "CanaryReturned",
            "orchestra_canary_share": canary,
            "orchestra_stable_share": stable,
            "orchestra_canary_requests": canary_of,
            "orchestra_stable_requests": stable_of,
        },
    )
