"""A second version of an application takes a share of the work, and loses it when it is worse.

The same job always goes to the same version, by a hash of what was sent, so that a client that
tries again is answered alike. Both versions get jobs of one mix: what fails because of the client
fails as often in both, and only the difference counts.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable
from itertools import islice
from threading import Lock

from orchestra.observe import metrics
from orchestra.observe.log import log_returned, log_still_returned
from orchestra.serving.canary.court import AgedOutcome, CanaryReport, CanaryVerdict
from orchestra.serving.canary.seen import (
    CANARY,
    MOST,
    STABLE,
    WINDOW_S,
    Ended,
    VersionOutcomes,
    Worse,
)

MOST_TOLD = 1000  # outcomes in one report


class CanaryTrial:
    """The share of one canary in an ingress, which judges it by itself. For threads and tasks.

    `name` is that of the version on trial. Where there is one, a `CanaryCourt` of all ingresses is
    told in reports what was seen here, and its verdict holds here as well.
    """

    def __init__(
        self,
        percent: float,
        *,
        name: str = "",
        window_s: float = WINDOW_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.percent = percent
        self.name = name
        self.worse: Worse | None = None
        self._clock = clock
        self._seen = VersionOutcomes(window_s)
        self._own = deque[tuple[str, Ended]](maxlen=MOST)
        self._count = 0  # of outcomes, those that are no longer kept as well
        self._known = 0  # of them, by the court
        self._lock = Lock()
        metrics.set_canary(percent)

    @property
    def why(self) -> str:
        """Why the canary has no share any more; empty while it has."""
        return "" if self.worse is None else str(self.worse)

    @property
    def untold(self) -> int:
        """How many outcomes the court has not heard of."""
        return self._count - self._known

    def version_of(self, body: bytes) -> str:
        """Which version answers a request; a larger share keeps what a smaller one had."""
        place = int.from_bytes(hashlib.sha256(body).digest()[:8]) / 2**64
        return CANARY if place * 100 < self.percent else STABLE

    def ended(self, version: str, seconds: float, is_failed: bool) -> None:
        """Note an outcome; the canary's share is taken back when it is worse beyond noise."""
        metrics.count_version(version, "failed" if is_failed else "answered")
        ended = Ended(self._clock(), seconds, is_failed)
        with self._lock:
            self._seen.note(version, ended)
            self._own.append((version, ended))
            self._count += 1
            worse = self._seen.worse(ended.at) if self.percent and version == CANARY else None
        if worse is not None:
            self._end(worse)
            if not self.name:  # of several ingresses one tells it
                tell_returned(worse)

    def report(self, member: str) -> CanaryReport:
        """What the court is to hear next of this ingress."""
        with self._lock:
            now, oldest = self._clock(), self._count - len(self._own)
            first = max(self._known, oldest)
            seen = tuple(
                AgedOutcome(version, now - one.at, one.seconds, one.is_failed)
                for version, one in islice(self._own, first - oldest, first - oldest + MOST_TOLD)
            )
            return CanaryReport(self.name, member, first, seen, first == oldest, self.worse)

    def heard(self, verdict: CanaryVerdict) -> None:
        """What the court made of a report."""
        self._known = verdict.known
        if verdict.worse is None:
            return
        self._end(verdict.worse)
        if verdict.is_first:
            tell_returned(verdict.worse)
        elif verdict.is_old:
            log_still_returned(str(verdict.worse))

    def _end(self, worse: Worse) -> None:
        self.percent, self.worse = 0.0, worse
        metrics.set_canary(0.0)


def tell_returned(worse: Worse) -> None:
    """Tell operators, once, that a canary lost its share."""
    metrics.count_returned()
    log_returned(worse.what, worse.canary, worse.stable, worse.canary_of, worse.stable_of)
