"""What the front and the ingresses of one server tell each other, in headers that nobody else sees.

To an ingress: that a request was let in already, how long it waited, and what was counted since.
To the front: who it was that asked. A secret of the server shows that the front wrote it; without
one nothing is believed, as a client may send any header.
"""

from __future__ import annotations

import hmac
import json
import os
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

from orchestra.access.principal import Principal
from orchestra.observe import metrics

LETTER = "x-orchestra-front"
WHO = "x-orchestra-who"
ENVIRONMENT = "ORCHESTRA_FRONT"  # JSON: secret, places, at_once


@dataclass(frozen=True, slots=True)
class Settings:
    """What front and ingresses are told by the environment that they share."""

    secret: str
    places: int
    at_once: int

    def text(self) -> str:
        """As it stands in the environment."""
        return json.dumps([self.secret, self.places, self.at_once])


def settings() -> Settings | None:
    """Those of this process; None where no front was set up."""
    told = os.environ.get(ENVIRONMENT)
    return None if told is None else Settings(*json.loads(told))


class Metrics:
    """Bookkeeping in this process's own metrics."""

    def count(self, lane: str, outcome: str) -> None:
        """See `Bookkeeping`."""
        metrics.count_admission(lane, outcome)

    def queued(self, lane: str, seconds: float) -> None:
        """See `Bookkeeping`."""
        metrics.observe_queue(lane, seconds)

    def depth(self, lane: str, count: int) -> None:
        """See `Bookkeeping`."""
        metrics.set_queue_depth(lane, count)


@dataclass(eq=False, slots=True)
class Tally:
    """Keeps counts until a request takes them to an ingress, whose metrics people read."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    waits: list[tuple[str, float]] = field(default_factory=list)
    depths: dict[str, int] = field(default_factory=dict)

    def count(self, lane: str, outcome: str) -> None:
        """See `Bookkeeping`."""
        self.counts[lane, outcome] += 1

    def queued(self, lane: str, seconds: float) -> None:
        """See `Bookkeeping`."""
        self.waits.append((lane, seconds))

    def depth(self, lane: str, count: int) -> None:
        """See `Bookkeeping`."""
        self.depths[lane] = count

    def letter(self, secret: str) -> bytes:
        """All of it, which is then forgotten here."""
        counts = [[*key, count] for key, count in self.counts.items()]
        told = json.dumps([secret, counts, self.waits, self.depths], separators=(",", ":"))
        self.counts.clear()
        self.waits.clear()
        return told.encode()


def read_letter(scope: Scope, secret: str) -> bool:
    """Whether the front let this request in; what it counted is counted here."""
    told = dict(scope["headers"]).get(LETTER.encode())
    if told is None:
        return False
    try:
        given, counts, waits, depths = json.loads(told)
        if not hmac.compare_digest(str(given).encode(), secret.encode()):
            return False
    except (ValueError, TypeError):
        return False
    for lane, outcome, count in counts:
        metrics.count_admission(lane, outcome, count)
    for lane, seconds in waits:
        metrics.observe_queue(lane, seconds)
    for lane, depth in depths.items():
        metrics.set_queue_depth(lane, depth)
    return True


def who_header(who: Principal) -> tuple[bytes, bytes]:
    """Tells the front who it was."""
    told: list[Any] = [who.tenant, who.weight, who.lane]
    return WHO.encode(), json.dumps(told).encode()


def read_who(told: bytes) -> Principal:
    """Who it was, as an ingress wrote it."""
    tenant, weight, lane = json.loads(told)
    return Principal(tenant=tenant, weight=weight, lane=lane)
