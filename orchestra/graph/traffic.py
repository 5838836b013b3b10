"""Which calls are under way, by model and job: what a new call will stand beside.

It knows no plan. A job's own calls do not count against it: its plan knows them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class Traffic:
    """Calls under way on the models of one fleet in this process."""

    _jobs: dict[str, Counter[str]] = field(default_factory=dict)

    @contextmanager
    def entered(self, model: str, account: str) -> Iterator[None]:
        """Count a call on `model` for the job of `account` while the block runs."""
        jobs = self._jobs.setdefault(model, Counter())
        jobs[account] += 1
        try:
            yield
        finally:
            jobs[account] -= 1
            if not jobs[account]:
                del jobs[account]

    def now(self, account: str = "") -> Mapping[str, int]:
        """Calls under way by model, those of `account` left out; models without any are not in."""
        counts = {
            model: jobs.total() - jobs[account] if account in jobs else jobs.total()
            for model, jobs in list(self._jobs.items())  # other threads may call other models
        }
        return {model: count for model, count in counts.items() if count}


@dataclass(eq=False, slots=True)
class AtWork:
    """When models worked on one job; calls side by side count once."""

    _spans: list[tuple[float, float]] = field(default_factory=list)

    def add(self, seconds: float) -> None:
        """Count the `seconds` that have just passed."""
        if seconds > 0:
            now = time.monotonic()
            self._spans.append((now - seconds, now))

    def seconds(self) -> float:
        """Seconds in which at least one call was under way."""
        total, until = 0.0, 0.0
        for start, end in sorted(self._spans):
            total += max(0.0, end - max(start, until))
            until = max(until, end)
        return total
