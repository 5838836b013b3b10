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
    KEYS_REFUSED = prometheus.Counter(
        "orchestra_keys_refused", "Requests without a valid key, by what was wrong.", ["reason"]
    )
    SPEND = prometheus.Counter("orchestra_spend_usd", "Dollars spent, by tenant.", ["tenant"])
    BUDGET_LEFT = prometheus.Gauge(
        "orchestra_budget_left_usd", "Dollars left of a budget.", ["tenant", "period"]
    )


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
