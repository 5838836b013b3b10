"""What an answer took, as Prometheus metrics: its first token, the others, its batch, its wait.

What an engine knows of a reply comes with the reply, so one scrape of an ingress has it of every
replica, wherever that runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.observe.metrics import SECONDS, prometheus

TOKEN_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
CALLS_A_BATCH = (1, 2, 4, 8, 16, 32, 64)

if prometheus is not None:
    FIRST_TOKEN = prometheus.Histogram(
        "orchestra_time_to_first_token_seconds",
        "Seconds until the first token of an answer, by model; its queue is in it.",
        ["model"],
        buckets=SECONDS,
    )
    TOKEN = prometheus.Histogram(
        "orchestra_time_per_token_seconds",
        "Seconds for each token after the first, by model.",
        ["model"],
        buckets=TOKEN_SECONDS,
    )
    BATCH = prometheus.Histogram(
        "orchestra_batch_size",
        "Calls that an engine answered together, by model, counted once for each of them.",
        ["model"],
        buckets=CALLS_A_BATCH,
    )
    ENGINE_QUEUE = prometheus.Histogram(
        "orchestra_engine_queue_seconds",
        "Seconds that a call waited for its engine, by model.",
        ["model"],
        buckets=SECONDS,
    )


@dataclass(frozen=True, slots=True)
class Times:
    """What an answer took, in seconds: in all, to its first token, and how many tokens it has.

    `batch` is how many calls were answered together, 0 where nobody says, `waited_s` how long it
    waited for its engine; `first_s` is None where nobody knows.
    """

    seconds: float
    tokens: int
    first_s: float | None = None
    batch: int = 0
    waited_s: float = 0.0


def count_answer(model: str, times: Times) -> None:
    """Count an answer that `model` has just given."""
    if prometheus is None:
        return
    if times.batch:
        BATCH.labels(model).observe(times.batch)
        ENGINE_QUEUE.labels(model).observe(times.waited_s)
    if times.first_s is None:
        return
    FIRST_TOKEN.labels(model).observe(times.first_s)
    rest_s = times.seconds - times.first_s
    if times.tokens > 1 and rest_s > 0:
        TOKEN.labels(model).observe(rest_s / (times.tokens - 1))
