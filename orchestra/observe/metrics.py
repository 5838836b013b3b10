"""What an operator pages on, as Prometheus metrics; free where prometheus_client is missing.

Counted once, where results are made: jobs by status, calls by model and outcome, their seconds
and dollars, and problems by type. No label holds a text, an id or a key, so the number of series
is bounded by the fleet.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestra.core.job import CallRecord, Result

try:
    import prometheus_client as prometheus
except ImportError:  # comes with the `ray` extra
    prometheus = None

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

if prometheus is not None:
    JOBS = prometheus.Counter("orchestra_jobs", "Jobs that ended, by status.", ["status"])
    JOB_SECONDS = prometheus.Histogram(
        "orchestra_job_seconds", "Seconds of a job, planning to result.", buckets=SECONDS
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
    PROBLEMS = prometheus.Counter(
        "orchestra_problems", "Requests that got an error, by its type.", ["type"]
    )
    ADMISSION = prometheus.Counter(
        "orchestra_admission", "Requests at the queue, by what became of them.", ["lane", "outcome"]
    )
    QUEUE_SECONDS = prometheus.Histogram(
        "orchestra_queue_seconds", "Seconds in the queue.", ["lane"], buckets=SECONDS
    )
    QUEUE_DEPTH = prometheus.Gauge("orchestra_queue_depth", "Requests that wait.", ["lane"])


def count_result(result: Result) -> None:
    """Count a job that ended, and its calls."""
    if prometheus is None:
        return
    JOBS.labels(result.status).inc()
    JOB_SECONDS.observe(result.seconds)
    count_calls(result.calls)


def count_calls(calls: Iterable[CallRecord]) -> None:
    """Count calls that were made, each once."""
    if prometheus is not None:
        for call in calls:
            _count_call(call)


def count_problem(kind: str) -> None:
    """Count a request that got an error."""
    if prometheus is not None:
        PROBLEMS.labels(kind).inc()


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


def exposition() -> bytes:
    """All metrics of this process in Prometheus' text format."""
    return b"" if prometheus is None else prometheus.generate_latest()


def _count_call(call: CallRecord) -> None:
    outcome = "answered" if call.error is None else call.error.type
    if call.reused:
        outcome = "cached" if call.cached else "reused"
    CALLS.labels(call.model, outcome).inc()
    CALL_SECONDS.labels(call.model).observe(call.seconds)
    DOLLARS.labels(call.model).inc(float(call.cost_usd))
    if call.overrun_usd:
        OVERRUN.labels(call.model).inc(float(call.overrun_usd))
    if call.presumed:
        PRESUMED.labels(call.model).inc(float(call.cost_usd))
    if not call.reused:
        TOKENS.labels(call.model, "in").inc(call.input_tokens)
        TOKENS.labels(call.model, "out").inc(call.output_tokens)
