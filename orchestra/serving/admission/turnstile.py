"""Who is let in, who waits, who is refused: the decisions, without asyncio and without a clock.

A request is let in at once while most places are free. Else it waits or begins where it is
predicted to end before its deadline: the work that goes before it, over the places that do it, and
its own, times what 99 of 100 predictions needed. Where it would end too late it is refused at once,
while asking elsewhere or later still helps; so the queue holds nothing that nobody will want.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestra.core.errors import Overloaded, QueueFull
from orchestra.serving.admission.estimate import ServiceTimes
from orchestra.serving.admission.limit import Limit
from orchestra.serving.admission.queue import Arrival, FairQueue

QUIET = 0.25  # of the places: while fewer are taken all are let in, so that times are learnt anew
HALF = 0.5  # of its deadline that a request may take once it began, before there are too many
MOST_BYTES = 256 * 2**20  # of bodies that wait, together

Told = Callable[[Arrival, Overloaded | None], None]


@dataclass(eq=False)
class Turnstile:
    """The places, the queue before them, and what is known of how long requests take.

    `told` hears of each entry that it may begin (None), or why it may not; it is called once for
    each that `offer` took. Times are in seconds, of the caller's clock.
    """

    limit: Limit
    queue: FairQueue
    told: Told
    most_bytes: int = MOST_BYTES

    def __post_init__(self) -> None:
        self.times = ServiceTimes()
        self.under_way: set[Arrival] = set()
        self.held_bytes = 0
        self.passed = 0

    @property
    def has_room(self) -> bool:
        """Whether one that came now would begin at once."""
        return self._has_place() and not len(self.queue)

    def pass_in(self) -> None:
        """One that was let in elsewhere takes a place here, whether one is free or not."""
        self.passed += 1

    def pass_out(self, now_s: float) -> None:
        """It is done."""
        self.passed -= 1
        self.fill(now_s)

    def offer(self, entry: Arrival, now_s: float) -> None:
        """Let it in, or let it wait.

        Raises `Overloaded` where it would end after its deadline, and `QueueFull` where its
        tenant's share of the queue is taken.
        """
        entry.work_s = self.times.mean_s(entry.kind)
        entry.queued_s = now_s
        self.queue.at(now_s)
        wait_s = self._wait_s(entry, now_s)
        needed_s = wait_s + entry.work_s
        # What was a guess does not show how good predictions are.
        entry.expected_s = needed_s if self.times.knows(entry.kind) else None
        if wait_s or len(self.under_way) >= self.limit.now * QUIET:
            least_s = wait_s + self.times.most_s(entry.kind)
            sure_s = needed_s * self.times.tail(entry.tenant, entry.lane)
            # Where a place is free what is expected decides: nobody waits who could have it.
            needed_s = max(least_s, sure_s) if wait_s else needed_s
            late_s = self._late_s(entry, now_s, needed_s)
            if late_s > 0:
                if self._late_s(entry, now_s, entry.work_s) <= 0:
                    self.queue.claim(entry, now_s + entry.work_s)
                raise self._too_late(entry, late_s, needed_s)
        if wait_s:
            self._make_place(entry)
        self.held_bytes += entry.size
        self.queue.push(entry)
        self.fill(now_s)

    def fill(self, now_s: float) -> None:
        """Let in as many as there are free places; what can no longer be in time is refused."""
        self.queue.at(now_s)
        while self._has_place():
            entry = self.queue.pop(self._to_keep())
            if entry is None:
                return
            self.held_bytes -= entry.size
            needed_s = self.times.most_s(entry.kind)
            late_s = self._late_s(entry, now_s, needed_s)
            if late_s > 0 and entry.queued_s < now_s:
                self.queue.settle(entry, 0.0)
                self.told(entry, self._too_late(entry, late_s, needed_s))
                continue
            entry.began_s = now_s
            entry.beside = len(self.under_way)
            self.under_way.add(entry)
            self.told(entry, None)

    def leave(self, entry: Arrival, now_s: float) -> None:
        """Whoever waited for it is gone: it gives up its place in the queue."""
        if self.queue.remove(entry):
            self.held_bytes -= entry.size

    def late(self, entry: Arrival, now_s: float) -> Overloaded:
        """The refusal of one whose time ran out while it waited; it gives up its place."""
        self.leave(entry, now_s)
        needed_s = self._wait_s(entry, now_s) + entry.work_s
        return self._too_late(entry, self._late_s(entry, now_s, needed_s), needed_s)

    def end(self, entry: Arrival, now_s: float, *, is_answered: bool) -> None:
        """It is done. What got no answer teaches nothing of how long an answer takes."""
        is_full = len(self.under_way) + self.passed >= self.limit.now
        self.under_way.discard(entry)
        took_s = now_s - entry.began_s
        self.queue.settle(entry, took_s)
        if is_answered:
            stretch = self.times.learn(entry.kind, took_s, beside=entry.beside)
            if entry.expected_s is not None:
                was_s = now_s - entry.queued_s
                self.times.compare(entry.tenant, entry.lane, entry.expected_s, was_s)
            if entry.deadline_s is not None and took_s > HALF * (
                entry.deadline_s - entry.arrived_s
            ):
                stretch = float("inf")  # no time is left to wait in, and so to be fair in
            self.limit.ended(stretch, is_full=is_full, now_s=now_s, took_s=took_s)
        self.fill(now_s)

    def _has_place(self) -> bool:
        """Whether another may begin; one may, however many were let in elsewhere."""
        busy = len(self.under_way) + self.passed
        return busy < self.limit.now or (self.passed > 0 and not self.under_way)

    def _to_keep(self) -> int | None:
        """The free places, of which some may be kept for who was refused; None while most are."""
        if len(self.under_way) < self.limit.now * QUIET:
            return None  # nobody lacks room, and no end of another would give up what is kept
        return self.limit.now - len(self.under_way) - self.passed

    def _wait_s(self, entry: Arrival, now_s: float) -> float:
        """Seconds before it would begin; 0 where a place is free."""
        places = self.limit.now
        if self._has_place() and self.queue.is_next(entry, self._to_keep()):
            return 0.0
        # What takes longer than expected is half done, for all we know.
        left_s = sum(
            max(one.work_s - (now_s - one.began_s), one.work_s / 2) for one in self.under_way
        )
        return (left_s + self.queue.ahead_s(entry)) / places

    def _late_s(self, entry: Arrival, now_s: float, needed_s: float) -> float:
        """Seconds by which it would miss its deadline if it needed so long from now."""
        return 0.0 if entry.deadline_s is None else now_s + needed_s - entry.deadline_s

    def _make_place(self, entry: Arrival) -> None:
        """Raises `QueueFull`, or has another give up its place where the queue is full."""
        while len(self.queue) >= self.queue.places or (
            self.held_bytes and self.held_bytes + entry.size > self.most_bytes
        ):
            victim = self.queue.victim(entry)
            if victim is None:
                raise self._full(entry)
            self.queue.remove(victim)
            self.held_bytes -= victim.size
            self.told(victim, self._full(victim))

    def _too_late(self, entry: Arrival, late_s: float, needed_s: float) -> Overloaded:
        given_s = 0.0 if entry.deadline_s is None else entry.deadline_s - entry.arrived_s
        return Overloaded(
            f"It would end after its deadline: latency_ms gives it {given_s * 1000:.0f} ms, and "
            f"{needed_s * 1000:.0f} ms are needed behind the {len(self.queue)} that wait and the "
            f"{len(self.under_way)} under way. Try again in {max(1.0, late_s):.0f} s, or raise "
            "latency_ms.",
            retry_after_s=max(1.0, late_s),
        )

    def _full(self, entry: Arrival) -> QueueFull:
        again_s = max(1.0, self.queue.ahead_s(entry) / self.limit.now)
        return QueueFull(
            f"The queue is full: {len(self.queue)} of {self.queue.places} places are taken, with "
            f"{self.held_bytes:,} bytes of bodies of at most {self.most_bytes:,}, and yours are "
            f"your share of them. Try again in {again_s:.0f} s, or send fewer at once.",
            retry_after_s=again_s,
        )
