"""One structured line for each job and problem; never a text, a photo, an address or a key."""

from __future__ import annotations

import logging

from orchestra.job import Result
from orchestra.observe.trace import trace_id

LOG = logging.getLogger("orchestra.jobs")


def log_result(kind: str, name: str, result: Result) -> None:
    """A job or question that ended: what ran, how it ended, what it took.

    `kind` is `job` or `chat`, `name` the graph or model that was asked for.
    """
    LOG.info(
        "%s ended",
        kind,
        extra={
            "orchestra_name": name,
            "orchestra_status": result.status,
            "orchestra_models": [call.model for call in result.calls],
            "orchestra_cost_usd": float(result.cost_usd),
            "orchestra_tokens": result.tokens,
            "orchestra_seconds": result.seconds,
            "orchestra_errors": [error.type for error in result.errors],
            "orchestra_trace": trace_id(),
        },
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
