"""A second version of an application takes a share of the work, and loses it when it is worse.

The same job always goes to the same version, by a hash of what was sent, so that a client that
tries again is answered alike. Both versions get jobs of one mix: what fails because of the client
fails as often in both, and only the difference counts.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

from orchestra.core.stats import wilson
from orchestra.observe import metrics
from orchestra.observe.log import log_returned

STABLE, CANARY = "stable", "canary"
WINDOW_S = 600.0
MOST = 4000  # outcomes of a version that are kept of that time
LEAST = 10  # of the stable version's, before anything is compared
# One in 2,000 of comparisons without a difference, as it is made after every answer (95% would
# find one in twenty).
Z = 3.2905
SLACK = 1.2  # times the stable version's 95th percentile: an answer over it is slow


@dataclass(frozen=True, slots=True)
class Ended:
    """How one request went: when it ended, by `time.monotonic`, and whether it was answered."""

    at: float
    seconds: float
    is_failed: bool


@dataclass(frozen=True, slots=True)
class Worse:
    """Shares of both versions in a window: those that failed, and those that were slow."""

    what: str
    stable: float
    canary: float
    stable_of: int
    canary_of: int

    def __str__(self) -> str:
        return (
            f"{self.what}: {self.canary:.1%} of {self.canary_of} requests, where the stable "
            f"version has {self.stable:.1%} of {self.stable_of}"
        )


class CanaryTrial:
    """The share of one canary, and what was seen of both versions. For threads and tasks."""

    def __init__(
        self,
        percent: float,
        *,
        window_s: float = WINDOW_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.percent = percent
        self.why = ""
        self._window_s = window_s
        self._clock = clock
        self._seen = {name: deque[Ended](maxlen=MOST) for name in (STABLE, CANARY)}
        self._lock = Lock()
        metrics.set_canary(percent)

    def version_of(self, body: bytes) -> str:
        """Which version answers a request; a larger share keeps what a smaller one had."""
        place = int.from_bytes(hashlib.sha256(body).digest()[:8]) / 2**64
        return CANARY if place * 100 < self.percent else STABLE

    def ended(self, version: str, seconds: float, is_failed: bool) -> None:
        """Note an outcome; the canary's share is taken back when it is worse beyond noise."""
        metrics.count_version(version, "failed" if is_failed else "answered")
        with self._lock:
            self._seen[version].append(Ended(self._clock(), seconds, is_failed))
            worse = self._worse() if self.percent and version == CANARY else None
            if worse is None:
                return
            self.percent, self.why = 0.0, str(worse)
        metrics.set_canary(0.0)
        metrics.count_returned()
        log_returned(worse.what, worse.canary, worse.stable, worse.canary_of, worse.stable_of)

    def _worse(self) -> Worse | None:
        since = self._clock() - self._window_s
        stable, canary = (
            [one for one in self._seen[name] if one.at >= since] for name in (STABLE, CANARY)
        )
        if len(stable) < LEAST:
            return None
        return compare(stable, canary)


def compare(stable: Sequence[Ended], canary: Sequence[Ended]) -> Worse | None:
    """In what `canary` is worse beyond noise; None when it is not.

    The interval of a difference of shares is Newcombe's, made of Wilson's (1998, method 10).
    """
    failed = [[one.is_failed for one in version] for version in (stable, canary)]
    if _is_above(*failed):
        return _told("failed", *failed)
    answered = sorted(one.seconds for one in stable if not one.is_failed)
    if not answered:
        return None
    bound = SLACK * answered[math.ceil(0.95 * len(answered)) - 1]
    slow = [
        [one.seconds > bound for one in version if not one.is_failed]
        for version in (stable, canary)
    ]
    return _told("slow", *slow) if _is_above(*slow) else None


def _is_above(stable: Sequence[bool], canary: Sequence[bool]) -> bool:
    first = wilson(sum(stable), len(stable), Z)
    second = wilson(sum(canary), len(canary), Z)
    if first is None or second is None:
        return False
    before, after = sum(stable) / len(stable), sum(canary) / len(canary)
    return after - before > math.hypot(after - second[0], first[1] - before)


def _told(what: str, stable: Sequence[bool], canary: Sequence[bool]) -> Worse:
    return Worse(
        what,
        sum(stable) / len(stable),
        sum(canary) / len(canary),
        len(stable),
        len(canary),
    )
