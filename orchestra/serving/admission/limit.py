"""How many requests are served at once: fixed by the operator, or found by what they take.

Found by additive increase and multiplicative decrease (Chiu and Jain 1989; Netflix's
`concurrency-limits`, `AIMDLimit`) on how much longer requests take than alone. Engines answer in
batches, so a request beside fifteen others rightly takes longer than alone, and twice the requests
at once may be twice the throughput: a gradient to the shortest time seen (Netflix's `Gradient2`,
Envoy's adaptive concurrency) would hold the batches small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

LEAST, MOST = 16, 256  # a batch of an engine; beyond, waiting is done in our queue alone
STRETCH = 6.0  # times its time alone that a request may take before there are too many
DECREASE = 0.9
RECENT = 0.1


class Limit(Protocol):
    """How many at once, by what those that end have taken."""

    @property
    def now(self) -> int: ...

    def ended(self, stretch: float | None, *, is_full: bool, now_s: float, took_s: float) -> None:
        """One ended that took `stretch` times its time alone; `is_full`: every place was taken."""
        ...


@dataclass(frozen=True, slots=True)
class FixedLimit:
    """Always so many."""

    now: int

    def ended(self, stretch: float | None, *, is_full: bool, now_s: float, took_s: float) -> None:
        """Changes nothing."""


class FoundLimit:
    """Between `least` and `most`: one more each round while requests are quick, a tenth less else.

    It grows only while every place is taken, as nothing is learnt of more places than are used.
    """

    def __init__(self, least: int = LEAST, most: int = MOST, stretch: float = STRETCH) -> None:
        if not 1 <= least <= most:
            raise ValueError(f"least={least} and most={most}: give 1 <= least <= most")
        self._least, self._most, self._bound = least, most, stretch
        self._limit = float(min(2 * least, most))
        self._stretch: float | None = None
        self._lowered_s = float("-inf")

    @property
    def now(self) -> int:
        """How many at once."""
        return int(self._limit)

    def ended(self, stretch: float | None, *, is_full: bool, now_s: float, took_s: float) -> None:
        """See `Limit`."""
        if stretch is None:
            return
        old = self._stretch
        self._stretch = stretch if old is None else old + RECENT * (stretch - old)
        if self._stretch > self._bound:
            # What is under way began under the old limit: one round is waited for.
            if now_s - self._lowered_s >= took_s:
                self._limit = max(self._least, self._limit * DECREASE)
                self._lowered_s = now_s
        elif is_full:
            self._limit = min(self._most, self._limit + 1 / self._limit)
