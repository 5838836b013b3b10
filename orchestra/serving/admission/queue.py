"""The queue of what waits to be served: fair among tenants by weight, interactive before batch.

Start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996) on two levels: between the two lanes,
and among the tenants of each. What is shared out is work, in seconds of a place at the models, so
many small requests weigh what few large ones do. It knows no clock and no asyncio.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

from orchestra.access.principal import Lane

LANES: tuple[Lane, ...] = get_args(Lane)
BATCH_SHARE = 0.1  # of the work and of the places, for batch while interactive requests wait
MOST_IDLE = 1024  # tenants that are remembered though nothing of theirs waits


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

    def add(self, entry: Arrival) -> None:
        self.entries[entry] = None
        self.work_s += entry.work_s

    def take(self, entry: Arrival) -> None:
        del self.entries[entry]
        self.work_s = self.work_s - entry.work_s if self.entries else 0.0


@dataclass(eq=False, slots=True)
class _LaneQueue:
    """The flows of one lane."""

    weight: float
    start: float = 0.0
    virtual: float = 0.0
    count: int = 0
    work_s: float = 0.0
    flows: dict[str, _Flow] = field(default_factory=dict)

    def waiting(self) -> Iterator[tuple[str, _Flow]]:
        return ((tenant, flow) for tenant, flow in self.flows.items() if flow.entries)

    def take(self, entry: Arrival) -> None:
        self.flows[entry.tenant].take(entry)
        self.count -= 1
        self.work_s = self.work_s - entry.work_s if self.count else 0.0

    def forget(self) -> None:
        """Drop tenants without anything that waits or is owed, and the rest beyond a bound."""
        idle = [name for name, flow in self.flows.items() if not flow.entries]
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

    def push(self, entry: Arrival) -> None:
        """Let it wait. Whoever calls has seen that there is a place (`victim`)."""
        lane = self._lanes[entry.lane]
        if not lane.count:
            lane.start = max(lane.start, self._virtual)
        flow = lane.flows.setdefault(entry.tenant, _Flow(entry.weight))
        flow.weight = entry.weight
        if not flow.entries:
            flow.start = max(flow.start, lane.virtual)
        flow.add(entry)
        lane.count += 1
        lane.work_s += entry.work_s

    def pop(self) -> Arrival | None:
        """The next to be served; None where nothing waits."""
        lanes = [lane for lane in self._lanes.values() if lane.count]
        if not lanes:
            return None
        lane = min(lanes, key=lambda lane: lane.start)
        _, flow = min(lane.waiting(), key=lambda pair: pair[1].start)
        entry = next(iter(flow.entries))
        self._virtual, lane.virtual = lane.start, flow.start
        lane.take(entry)
        lane.start += entry.work_s / lane.weight
        flow.start += entry.work_s / flow.weight
        if len(lane.flows) > 2 * MOST_IDLE or not lane.count:
            lane.forget()
        return entry

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
            flow.start = max(lane.virtual, flow.start + owed_s / flow.weight)

    def ahead_s(self, entry: Arrival) -> float:
        """Seconds of work that would be served before `entry`, if it came now and nobody after."""
        lane = self._lanes[entry.lane]
        own = lane.flows.get(entry.tenant)
        mine = own.work_s if own is not None else 0.0
        reach = (mine + entry.work_s) / entry.weight
        before = mine + sum(
            min(flow.work_s, reach * flow.weight)
            for tenant, flow in lane.waiting()
            if tenant != entry.tenant
        )
        other = next(self._lanes[name] for name in LANES if name != entry.lane)
        return before + min(other.work_s, (before + entry.work_s) * other.weight / lane.weight)

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


def _share(flow: _Flow) -> float:
    return len(flow.entries) / flow.weight
