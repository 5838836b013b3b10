"""What was seen of two versions, and whether the second is worse; it knows no ingress."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from orchestra.core.stats import wilson

STABLE, CANARY = "stable", "canary"
WINDOW_S = 600.0
MOST = 4000  # outcomes of a version that are kept of that time
LEAST = 10  # of the stable version's, before anything is compared
LEAST_OWN = 5  # of the canary's: its first answer may be slow because it is the first
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


class VersionOutcomes:
    """Outcomes of both versions in the last `window_s` seconds."""

    def __init__(self, window_s: float = WINDOW_S) -> None:
        self._window_s = window_s
        self._of = {name: deque[Ended](maxlen=MOST) for name in (STABLE, CANARY)}

    def note(self, version: str, ended: Ended) -> None:
        """One more."""
        self._of[version].append(ended)

    def worse(self, now: float) -> Worse | None:
        """In what the canary is worse beyond noise; None when it is not."""
        since = now - self._window_s
        stable, canary = (
            [one for one in self._of[name] if one.at >= since] for name in (STABLE, CANARY)
        )
        if len(stable) < LEAST or len(canary) < LEAST_OWN:
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
