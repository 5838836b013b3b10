"""What an operator pages on, as Prometheus metrics; free where prometheus_client is missing.

Counted once, where things are made: jobs by status, calls by model and outcome, their seconds,
dollars and tokens, what was reused, and errors by type. No label holds a text, an id or a key, so
the number of series is bounded by the fleet. What answers took stands in `answers.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

from orchestra.core.job import CallRecord, Result, Status

try:
    import prometheus_client as prometheus
except ImportError:  # comes with the `ray` extra
    prometheus = None

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0, 1.1, 1.5, 2.0)
MOST_TYPES = 100  # of errors; there are forty, and a user's graph may raise its own
OTHER = "other"

# Errors that an operator is called for (deploy/observability).
PAGED = ("InternalError", "MissingExtra", "BookError", "BookLocked", "BookUnavailable", "DiskFull")

Reuse = Literal["under_way", "book", "replies", "photos"]

if prometheus is not None:
    JOBS = prometheus.Counter("orchestra_jobs", "Jobs that ended, by status.", ["status"])
    JOB_SECONDS = prometheus.Histogram(
        "orchestra_job_seconds", "Seconds of a job, planning to result.", buckets=SECONDS
    )
    DEADLINE = prometheus.Histogram(
        "orchestra_deadline_share",
        "Part of its deadline that a job took, of jobs that had one; above 1 it was late.",
        buckets=SHARES,
    )
    CALLS = prometheus.Counter(
        "orchestra_model_calls", "Model calls, by model and outcome.", ["model", "outcome"]
    )
    CALL_SECONDS = prometheus.Histogram(
        "orchestra_model_call_seconds", "Seconds a call waited.", ["model"], buckets=SECONDS
    )
    DOLLARS = prometheus.Counter("orchestra_cost_usd", "Dollars spent, by model.", ["model"])
    OVERRUN = prometheus.Counter(
        "orchestra_overrun_usd", "Dollars charged beyond the bounds of calls, by model.", ["model"]
    )
    PRESUMED = prometheus.Counter(
        "orchestra_presumed_usd", "Dollars of calls whose use nobody reported.", ["model"]
    )
    TOKENS = prometheus.Counter("orchestra_tokens", "Tokens, by model and way.", ["model", "way"])
    CACHE = prometheus.Counter(
        "orchestra_cache",
        "What was looked up to be reused, by kind and outcome.",
        ["kind", "outcome"],
    )
    SAVED = prometheus.Counter(
        "orchestra_saved_usd", "Dollars that cached replies would have cost, by model.", ["model"]
    )
    ERRORS = prometheus.Counter(
        "orchestra_errors", "Errors within jobs and chats that ended, by type.", ["type"]
    )
    KEYS_REFUSED = prometheus.Counter(
        "orchestra_keys_refused", "Requests without a valid key, by what was wrong.", ["reason"]
    )
    SPEND = prometheus.Counter("orchestra_spend_usd", "Dollars spent, by tenant.", ["tenant"])
    BUDGET_LEFT = prometheus.Gauge(
        "orchestra_budget_left_usd", "Dollars left of a budget.", ["tenant", "period"]
    )
    VERSIONS = prometheus.Counter(
        "orchestra_canary_requests",
        "Requests while a canary stands beside the stable version, by version and outcome.",
        ["version", "outcome"],
    )
    CANARY_PERCENT = prometheus.Gauge(
        "orchestra_canary_percent", "Share of requests that goes to the canary, in percent."
    )
    RETURNED = prometheus.Counter(
        "orchestra_canary_returned", "Canaries that lost their share as they were worse."
    )
    RETRIED = prometheus.Counter(
        "orchestra_canary_retried", "Requests that the canary failed and the stable version took."
    )
    ADMISSION = prometheus.Counter(
        "orchestra_admission", "Requests at the queue, by what became of them.", ["lane", "outcome"]
    )
    QUEUE_SECONDS = prometheus.Histogram(
        "orchestra_queue_seconds", "Seconds in the queue.", ["lane"], buckets=SECONDS
    )
    QUEUE_DEPTH = prometheus.Gauge("orchestra_queue_depth", "Requests that wait.", ["lane"])
    UNREADY = prometheus.Gauge(
        "orchestra_model_lost", "1 for a model that could not answer at the last look.", ["model"]
    )
    PROBLEMS = prometheus.Counter(
        "orchestra_problems", "Requests that got an error, by its type.", ["type"]
    )


class Bounded:
    """Values of a label, of which there may be no more than `most`; the rest are `other`."""

    def __init__(self, most: int = MOST_TYPES) -> None:
        self._most = most
        self._known: set[str] = set()

    def of(self, value: str) -> str:
        """`value`, or what stands for it."""
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known.add(value)
        return value


_types = Bounded()


def count_result(result: Result, deadline_ms: float | None = None) -> None:
    """Count a job that ended, its calls and its errors, and how much of its deadline it took."""
    if prometheus is None:
        return
    if deadline_ms:
        DEADLINE.observe(result.seconds * 1000 / deadline_ms)
    JOBS.labels(result.status).inc()
    JOB_SECONDS.observe(result.seconds)
    for error in result.errors:
        ERRORS.labels(_types.of(error.type)).inc()
    count_calls(result.calls)


def count_calls(calls: Iterable[CallRecord]) -> None:
    """Count calls that were made, each once."""
    if prometheus is not None:
        for call in calls:
            _count_call(call)


def count_problem(kind: str) -> None:
    """Count a request that got an error."""
    if prometheus is not None:
        PROBLEMS.labels(_types.of(kind)).inc()


def count_reuse(kind: Reuse, *, is_hit: bool) -> None:
    """Count a look for something to reuse: an answer under way, in the book, in a cache."""
    if prometheus is not None:
        CACHE.labels(kind, "hit" if is_hit else "miss").inc()


def note_ready(model: str, *, is_ready: bool) -> None:
    """Keep whether `model` could answer as somebody asked."""
    if prometheus is not None:
        UNREADY.labels(model).set(0 if is_ready else 1)


def count_admission(lane: str, outcome: str, count: int = 1) -> None:
    """Count requests that were admitted, refused with the error of that name, or left."""
    if prometheus is not None:
        ADMISSION.labels(lane, outcome).inc(count)


def observe_queue(lane: str, seconds: float) -> None:
    """Note how long a request that was admitted had waited in the queue."""
    if prometheus is not None:
        QUEUE_SECONDS.labels(lane).observe(seconds)


def set_queue_depth(lane: str, count: int) -> None:
    """How many requests wait now."""
    if prometheus is not None:
        QUEUE_DEPTH.labels(lane).set(count)


def count_key_refused(reason: str) -> None:
    """Count a request without a valid key."""
    if prometheus is not None:
        KEYS_REFUSED.labels(reason).inc()


def count_spend(tenant: str, usd: float) -> None:
    """Count what a tenant spent."""
    if prometheus is not None and usd:
        SPEND.labels(tenant).inc(usd)


def note_budget_left(tenant: str, period: str, usd: float) -> None:
    """Note what a tenant's budget of a period has left."""
    if prometheus is not None:
        BUDGET_LEFT.labels(tenant, period).set(usd)


def count_version(version: str, outcome: str) -> None:
    """Count a request that the stable version or the canary answered, or failed to."""
    if prometheus is not None:
        VERSIONS.labels(version, outcome).inc()


def set_canary(percent: float) -> None:
    """Tell what share of requests goes to the canary."""
    if prometheus is not None:
        CANARY_PERCENT.set(percent)


def count_returned() -> None:
    """Count a canary that lost its share."""
    if prometheus is not None:
        RETURNED.inc()


def count_retried() -> None:
    """Count a request that the canary failed, and that the stable version answers instead."""
    if prometheus is not None:
        RETRIED.inc()


def exposition() -> bytes:
    """All metrics of this process in Prometheus' text format."""
    return b"" if prometheus is None else prometheus.generate_latest()


def _count_call(call: CallRecord) -> None:
    outcome = "answered" if call.error is None else _types.of(call.error.type)
    if call.reused:
        outcome = "cached" if call.cached else "reused"
    CALLS.labels(call.model, outcome).inc()
    CALL_SECONDS.labels(call.model).observe(call.seconds)
    DOLLARS.labels(call.model).inc(float(call.cost_usd))
    OVERRUN.labels(call.model).inc(float(call.overrun_usd))
    PRESUMED.labels(call.model).inc(float(call.cost_usd) if call.presumed else 0.0)
    SAVED.labels(call.model).inc(float(call.saved_usd))
    if not call.reused:
        TOKENS.labels(call.model, "in").inc(call.input_tokens)
        TOKENS.labels(call.model, "out").inc(call.output_tokens)


def _show_rare() -> None:
    """Have what is rare exposed as 0: a rate knows a series from its second sample on."""
    if prometheus is None:
        return
    for status in get_args(Status):
        JOBS.labels(status)
    for kind in PAGED:
        PROBLEMS.labels(kind)
    for reuse in get_args(Reuse):
        for outcome in ("hit", "miss"):
            CACHE.labels(reuse, outcome)


_show_rare()
