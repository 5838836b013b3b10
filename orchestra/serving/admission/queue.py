"""The queue of what waits to be served: fair among tenants by weight, interactive before batch.

Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996) on two levels: between the two lanes,
and among the tenants of each. What is shared out is work, in seconds of a place at the models, so
many small requests weigh what few large ones do. It knows no clock and no asyncio.

Where deadlines are short hardly anything can wait, and those who are refused are in no queue that
could be fair. So a refused request leaves a claim: for a moment its tenant counts as one that
waits, and a free place is kept for its next request where it is its turn.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

from orchestra.access.principal import Lane

LANES: tuple[Lane, ...] = get_args(Lane)
BATCH_SHARE = 0.1  # of the work and of the places, for batch while interactive requests wait
MOST_IDLE = 1024  # tenants that are remembered though nothing of theirs waits
MOST_CLAIMS = 64  # of one tenant in one lane, the newest


@dataclass(eq=False, slots=True)
class Arrival:
    """One request that waits. Times are those of one clock, in seconds.

    `work_s` is how long it is expected to hold a place, `deadline_s` when it must be done, None
    where any time will do. `told` is whoever is to be told that it may begin, or may not.
    """

    tenant: str
    weight: float
    lane: Lane
    kind: str
    arrived_s: float
    deadline_s: float | None = None
    work_s: float = 0.0
    size: int = 0  # bytes that are held while it waits
    told: Any = None
    queued_s: float = 0.0
    expected_s: float | None = None  # from here to its end, as predicted; None for a guess
    began_s: float = 0.0
    beside: int = 0  # requests under way as it began


@dataclass(eq=False, slots=True)
class _Flow:
    """What waits of one tenant in one lane, and its start tag, in seconds of work by weight."""

    weight: float
    start: float = 0.0
    entries: OrderedDict[Arrival, None] = field(default_factory=OrderedDict)
    work_s: float = 0.0
    # Of each request that was refused for want of room: until when it counts, and its work.
    claims: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=MOST_CLAIMS))

    def add(self, entry: Arrival) -> None:
        self.entries[entry] = None
        self.work_s += entry.work_s

    def take(self, entry: Arrival) -> None:
        del self.entries[entry]
        self.work_s = self.work_s - entry.work_s if self.entries else 0.0

    def forget_claims(self, now_s: float) -> None:
        """Drop those that count no longer."""
        while self.claims and self.claims[0][0] <= now_s:
            self.claims.popleft()

    def claimed_before(self, tag: float) -> int:
        """How many of its claims have their turn before one whose start tag is `tag`."""
        return _turns(tag - self.start, self.weight, self.claims)

    def work_before(self, tag: float) -> float:
        """Seconds of its work that are served before one whose start tag is `tag`."""
        due_s = max(0.0, (tag - self.start) * self.weight)
        # Who was refused a moment ago comes again: what waits now is not all.
        return due_s if self.claims else min(self.work_s, due_s)


@dataclass(eq=False, slots=True)
class _LaneQueue:
    """The flows of one lane."""

    weight: float
    start: float = 0.0
    virtual: float = 0.0
    count: int = 0
    work_s: float = 0.0
    flows: dict[str, _Flow] = field(default_factory=dict)
    claiming: dict[str, _Flow] = field(default_factory=dict)

    def waiting(self) -> Iterator[tuple[str, _Flow]]:
        return ((tenant, flow) for tenant, flow in self.flows.items() if flow.entries)

    def flow(self, entry: Arrival) -> _Flow:
        """The flow of an entry. One without anything that waits was owed nothing meanwhile."""
        flow = self.flows.setdefault(entry.tenant, _Flow(entry.weight))
        flow.weight = entry.weight
        if not flow.entries and not flow.claims:
            flow.start = max(flow.start, self.virtual)
        return flow

    def take(self, entry: Arrival) -> None:
        self.flows[entry.tenant].take(entry)
        self.count -= 1
        self.work_s = self.work_s - entry.work_s if self.count else 0.0

    def claims(self) -> list[tuple[float, float]]:
        """Those of all of its tenants."""
        return [claim for flow in self.claiming.values() for claim in flow.claims]

    def forget_claims(self, now_s: float) -> None:
        """Drop those that count no longer."""
        for tenant, flow in list(self.claiming.items()):
            flow.forget_claims(now_s)
            if not flow.claims:
                del self.claiming[tenant]

    def forget(self) -> None:
        """Drop tenants without anything that waits or is owed, and the rest beyond a bound."""
        idle = [name for name, flow in self.flows.items() if not flow.entries and not flow.claims]
        owing = sorted(
            (name for name in idle if self.flows[name].start > self.virtual),
            key=lambda name: self.flows[name].start,
            reverse=True,
        )
        kept = set(owing[:MOST_IDLE])
        for name in idle:
            if name not in kept:
                del self.flows[name]


class FairQueue:
    """At most `places` entries. Work is shared out by weight, and none is lost while one waits.

    Of two tenants that always have something waiting, each gets its share of the work to within
    one request of the largest size; of two lanes, batch gets `BATCH_SHARE`.
    """

    def __init__(self, places: int) -> None:
        self.places = places
        self._lanes: dict[Lane, _LaneQueue] = {
            "interactive": _LaneQueue(1 - BATCH_SHARE),
            "batch": _LaneQueue(BATCH_SHARE),
        }
        self._virtual = 0.0

    def __len__(self) -> int:
        return sum(lane.count for lane in self._lanes.values())

    def count(self, lane: Lane) -> int:
        """How many entries wait in a lane."""
        return self._lanes[lane].count

    def at(self, now_s: float) -> None:
        """It is so late: older claims count no longer."""
        for lane in self._lanes.values():
            lane.forget_claims(now_s)

    def push(self, entry: Arrival) -> None:
        """Let it wait. Whoever calls has seen that there is a place (`victim`)."""
        lane = self._lane(entry)
        lane.flow(entry).add(entry)
        lane.count += 1
        lane.work_s += entry.work_s

    def claim(self, entry: Arrival, until_s: float) -> None:
        """It is refused for want of room: until then a turn of its tenant is kept."""
        lane = self._lane(entry)
        flow = lane.claiming[entry.tenant] = lane.flow(entry)
        flow.claims.append((until_s, entry.work_s))

    def pop(self, free: int | None = None) -> Arrival | None:
        """The next to be served; None where nothing waits.

        Of `free` places some may be kept for who was refused and has its turn before: None as well
        where those are all. Without `free` nothing is kept.
        """
        lanes = [lane for lane in self._lanes.values() if lane.count]
        if not lanes:
            return None
        lane = min(lanes, key=lambda lane: lane.start)
        _, flow = min(lane.waiting(), key=lambda pair: pair[1].start)
        if free is not None and self._kept(lane, flow) >= free:
            return None
        entry = next(iter(flow.entries))
        self._virtual, lane.virtual = lane.start, flow.start
        lane.take(entry)
        lane.start += entry.work_s / lane.weight
        flow.start += entry.work_s / flow.weight
        if flow.claims:
            flow.claims.popleft()
        if len(lane.flows) > 2 * MOST_IDLE or not lane.count:
            lane.forget()
        return entry

    def is_next(self, entry: Arrival, free: int | None) -> bool:
        """Whether `entry`, if it came now, would have one of `free` places at once."""
        lane = self._lane(entry)
        own = lane.flow(entry)
        if any(each.count and each.start < lane.start for each in self._lanes.values()):
            return False
        if own.entries or any(flow.start <= own.start for _, flow in lane.waiting()):
            return False
        return free is None or self._kept(lane, own) < free

    def remove(self, entry: Arrival) -> bool:
        """Take out one that nobody waits for any more; false where it does not wait."""
        lane = self._lanes[entry.lane]
        flow = lane.flows.get(entry.tenant)
        if flow is None or entry not in flow.entries:
            return False
        lane.take(entry)
        return True

    def settle(self, entry: Arrival, took_s: float) -> None:
        """Charge tenant and lane for what a request took beyond what was expected, or less."""
        lane, owed_s = self._lanes[entry.lane], took_s - entry.work_s
        lane.start = max(self._virtual, lane.start + owed_s / lane.weight)
        flow = lane.flows.get(entry.tenant)
        if flow is not None:
            owed = flow.start + owed_s / flow.weight
            flow.start = owed if flow.claims else max(lane.virtual, owed)

    def ahead_s(self, entry: Arrival) -> float:
        """Seconds of work that would be served before `entry`, if it came now.

        Those who were refused a moment ago are expected to come again, others are not.
        """
        lane = self._lanes[entry.lane]
        own = lane.flow(entry)
        mine_s, tag = own.work_s, own.start + own.work_s / entry.weight
        others = (flow for tenant, flow in lane.flows.items() if tenant != entry.tenant)
        before_s = mine_s + sum(flow.work_before(tag) for flow in others)
        other = next(self._lanes[name] for name in LANES if name != entry.lane)
        return before_s + min(other.work_s, (before_s + entry.work_s) * other.weight / lane.weight)

    def _lane(self, entry: Arrival) -> _LaneQueue:
        """The lane of an entry. One in which nothing waited was owed nothing meanwhile."""
        lane = self._lanes[entry.lane]
        if not lane.count and not lane.claims():
            lane.start = max(lane.start, self._virtual)
        return lane

    def _kept(self, lane: _LaneQueue, flow: _Flow) -> int:
        """How many were refused whose turn comes before that of `flow` in `lane`."""
        kept = sum(each.claimed_before(flow.start) for each in lane.claiming.values())
        for other in self._lanes.values():
            if other is not lane:
                kept += _turns(lane.start - other.start, other.weight, other.claims())
        return kept

    def victim(self, entry: Arrival) -> Arrival | None:
        """Of a full queue, who gives up a place for `entry`: the newest of who has too many.

        None where `entry` itself would be the one.
        """
        lane = self._giving(entry)
        most = max(lane.waiting(), key=lambda pair: _share(pair[1]), default=None)
        if most is None:
            return None
        tenant, flow = most
        if lane is self._lanes[entry.lane]:
            own = lane.flows.get(entry.tenant)
            mine = (1 + (len(own.entries) if own else 0)) / entry.weight
            if tenant == entry.tenant or _share(flow) <= mine:
                return None
        return next(reversed(flow.entries))

    def _giving(self, entry: Arrival) -> _LaneQueue:
        """The lane that gives up a place: batch above its share, else the entry's own."""
        batch = self._lanes["batch"]
        share = self.places * BATCH_SHARE
        if entry.lane == "interactive":
            return batch if batch.count > share else self._lanes["interactive"]
        return self._lanes["interactive"] if batch.count < share else batch


def _turns(lag: float, weight: float, claims: Collection[tuple[float, float]]) -> int:
    """How many of `claims` have their turn before one whose start tag is later by `lag`."""
    if not claims or lag <= 0:
        return 0
    mean_s = sum(work_s for _, work_s in claims) / len(claims)
    return min(len(claims), math.ceil(lag * weight / mean_s)) if mean_s else len(claims)


def _share(flow: _Flow) -> float:
    return len(flow.entries) / flow.weight
