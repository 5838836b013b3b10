"""How long requests take, learnt from those that ended: by kind, and how far predictions were off.

The fleet's own model of latency knows single calls on idle models; what a request takes beside
others on this machine, queues of models and the ingress's own work included, is measured here.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from dataclasses import dataclass, field

from orchestra.access.principal import Lane

FIRST_S = 0.1  # of a request, before any has ended
RECENT = 0.1  # weight of the newest request in a mean
KINDS = 256  # kinds that are remembered, the last seen; clients choose some of their names
TENANTS = 256  # whose predictions are compared, the last seen
LAST = 256  # predictions that are compared with what came of them
SURE = 0.99  # of the requests that are let in end when they were said to
LEAST_TAIL, MOST_TAIL = 1.25, 3.0


@dataclass(eq=False, slots=True)
class _Ratios:
    """The last ratios of what was to what had been predicted."""

    last: deque[float] = field(default_factory=deque)
    ordered: list[float] = field(default_factory=list)
    tail: float = LEAST_TAIL

    def add(self, ratio: float) -> None:
        if len(self.last) == LAST:
            self.ordered.pop(bisect_left(self.ordered, self.last.popleft()))
        self.last.append(ratio)
        insort(self.ordered, ratio)
        high = self.ordered[min(len(self.ordered) - 1, int(SURE * len(self.ordered)))]
        self.tail = min(MOST_TAIL, max(LEAST_TAIL, high))


@dataclass(eq=False, slots=True)
class _KindTimes:
    mean_s: float
    alone_s: float | None = None
    least_s: float = math.inf


class ServiceTimes:
    """Seconds that requests of a kind hold a place, and how wrong predictions have been."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[str, _KindTimes] = OrderedDict()
        self._any: _KindTimes | None = None
        self._service = _Ratios()
        # By tenant: who has its whole share waiting is overtaken by others, who has little is not.
        self._ratios: OrderedDict[tuple[str, Lane], _Ratios] = OrderedDict()

    def mean_s(self, kind: str) -> float:
        """Expected seconds of a request; of a kind never seen, those of all kinds."""
        known = self._kinds.get(kind) or self._any
        return FIRST_S if known is None else known.mean_s

    def most_s(self, kind: str) -> float:
        """Seconds that 99 of 100 requests need from when they begin, all kinds alike."""
        return self.mean_s(kind) * self._service.tail

    def knows(self, kind: str) -> bool:
        """Whether one of this kind has ended."""
        return kind in self._kinds

    def tail(self, tenant: str, lane: Lane) -> float:
        """By what a prediction is multiplied so that 99 of 100 hold it; 1.25 to 3."""
        known = self._ratios.get((tenant, lane))
        return LEAST_TAIL if known is None else known.tail

    def learn(self, kind: str, took_s: float, *, beside: int) -> float:
        """Note one that ended, begun beside so many others.

        Returns how often longer it took than one of its kind alone, or before any was, than the
        quickest.
        """
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = _KindTimes(took_s)
            if len(self._kinds) > KINDS:
                self._kinds.popitem(last=False)
        self._kinds.move_to_end(kind)
        self._service.add(took_s / known.mean_s if known.mean_s else 1.0)
        known.mean_s = _towards(known.mean_s, took_s)
        if self._any is None:
            self._any = _KindTimes(took_s)
        self._any.mean_s = _towards(self._any.mean_s, took_s)
        if beside <= 1:
            known.alone_s = took_s if known.alone_s is None else _towards(known.alone_s, took_s)
        known.least_s = min(known.least_s, took_s)
        base_s = known.alone_s or known.least_s
        return took_s / base_s if base_s else 1.0

    def compare(self, tenant: str, lane: Lane, expected_s: float, was_s: float) -> None:
        """Note what came of a prediction."""
        known = self._ratios.setdefault((tenant, lane), _Ratios())
        known.add(was_s / expected_s)
        self._ratios.move_to_end((tenant, lane))
        if len(self._ratios) > TENANTS:
            self._ratios.popitem(last=False)


def _towards(mean: float, newest: float) -> float:
    return mean + RECENT * (newest - mean)
