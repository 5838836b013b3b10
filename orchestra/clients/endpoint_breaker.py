"""Leaves a server alone after failures in a row, so that fallbacks answer at once; knows no HTTP.

A circuit breaker: after `most` failed connections the server rests for `rest_s`; then one call
tries it, and the others go on resting until that call has ended well.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestra.core.errors import ModelUnavailable


@dataclass(eq=False)
class Breaker:
    """The failures in a row of one server, asked for one model."""

    where: str
    most: int
    rest_s: float
    clock: Callable[[], float] = time.monotonic
    _failures: int = 0
    _rests_until: float = 0.0
    _why: str = ""

    def check(self) -> None:
        """Let a call through, or raise `ModelUnavailable` while the server rests.

        The first call after a rest is a trial; until it has ended the others are refused.
        """
        if self._failures < self.most:
            return
        left_s = self._rests_until - self.clock()
        if left_s > 0:
            raise ModelUnavailable(
                f"{self.where} failed {self._failures} times in a row ({self._why}) and is left "
                f"alone; it is tried again in {left_s:.1f} s. Look at its log, or set "
                "hosting.endpoint.failures_in_row and rest_s on the card."
            )
        self._rests_until = self.clock() + self.rest_s

    def failed(self, why: str) -> None:
        """Count a connection that was refused, broke, or gave nothing in time."""
        self._failures += 1
        self._why = why
        self._rests_until = self.clock() + self.rest_s

    def answered(self) -> None:
        """The server answers, if only to refuse: the count begins anew."""
        self._failures = 0
