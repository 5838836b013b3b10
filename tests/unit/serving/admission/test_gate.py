"""Who is let in and who is not, on a clock of the test's own."""

from __future__ import annotations

import contextlib
import heapq
import random
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.access.principal import Lane
from orchestra.core.errors import Overloaded, QueueFull
from orchestra.serving.admission.limit import FixedLimit, FoundLimit
from orchestra.serving.admission.queue import Arrival, FairQueue
from orchestra.serving.admission.turnstile import Turnstile

Fate = tuple[Arrival, Overloaded | None]


@dataclass
class Server:
    """A gate, a clock, and models that take `work` seconds for a request in one of its places."""

    places: int = 4
    queue: int = 50
    now: float = 0.0
    fates: dict[Arrival, Overloaded | None] = field(default_factory=dict)
    takes: dict[Arrival, float] = field(default_factory=dict)
    ends: list[tuple[float, int, Arrival]] = field(default_factory=list)
    ended: dict[Arrival, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.turnstile = Turnstile(FixedLimit(self.places), FairQueue(self.queue), self.told)

    def told(self, entry: Arrival, error: Overloaded | None) -> None:
        assert entry not in self.fates
        self.fates[entry] = error
        if error is None:
            heapq.heappush(self.ends, (self.now + self.takes[entry], len(self.fates), entry))

    def ask(
        self,
        took: float,
        tenant: str = "a",
        latency: float | None = None,
        weight: float = 1.0,
        lane: Lane = "interactive",
    ) -> Arrival:
        deadline = None if latency is None else self.now + latency
        entry = Arrival(tenant, weight, lane, "kind", self.now, deadline)
        self.takes[entry] = took
        self.turnstile.offer(entry, self.now)
        return entry

    def until(self, then: float) -> None:
        while self.ends and self.ends[0][0] <= then:
            self.now, _, entry = heapq.heappop(self.ends)
            self.ended[entry] = self.now
            self.turnstile.end(entry, self.now, is_answered=True)
            assert self.is_busy_or_empty()
        self.now = then

    def is_busy_or_empty(self) -> bool:
        """No place is free while one waits, but those kept for who was refused a moment ago."""
        turnstile = self.turnstile
        lanes = turnstile.queue._lanes.values()  # white box: the claims
        kept = sum(len(lane.claims()) for lane in lanes) if turnstile.under_way else 0
        return len(turnstile.under_way) + kept >= self.places or not len(turnstile.queue)

    def load(self, seconds: float, rates: dict[str, float], latencies: list[float | None]) -> None:
        """Requests at random times, of `heavy` with three times the weight of the others."""
        draw, until = random.Random(3), self.now + seconds
        while self.now < until:
            self.until(self.now + draw.expovariate(sum(rates.values())))
            tenant = draw.choices(list(rates), list(rates.values()))[0]
            weight = 3.0 if tenant == "heavy" else 1.0
            with contextlib.suppress(Overloaded):
                self.ask(draw.uniform(0.2, 0.6), tenant, draw.choice(latencies), weight)

    def done(self) -> dict[str, float]:
        """Seconds of work that each tenant got in time."""
        done: dict[str, float] = defaultdict(float)
        for entry, end in self.ended.items():
            if entry.deadline_s is None or end <= entry.deadline_s:
                done[entry.tenant] += self.takes[entry]
        return done


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.0, 0.5), st.sampled_from([0.1, 0.4]), st.sampled_from("abc")),
        max_size=150,
    ),
    st.sampled_from([None, 0.8, 3.0]),
)
def test_no_place_is_free_while_one_waits_and_the_queue_stays_bounded(
    asked: list[tuple[float, float, str]], latency: float | None
) -> None:
    server = Server(places=2, queue=10)
    refused = 0
    for gap, took, tenant in asked:
        server.until(server.now + gap * gap)
        try:
            server.ask(took, tenant, latency)
        except Overloaded:
            refused += 1
        assert server.is_busy_or_empty() and len(server.turnstile.queue) <= 10
    server.until(server.now + 1000)
    assert len(server.fates) + refused == len(asked)  # each is told, once
    assert len(server.ended) == sum(error is None for error in server.fates.values())
    assert not server.turnstile.under_way and not server.turnstile.held_bytes


@pytest.mark.parametrize("latency", [1.0, 2.0, 5.0])
def test_at_five_times_capacity_goodput_stays_and_those_let_in_are_in_time(latency: float) -> None:
    server = Server(places=8, queue=256)
    draw = random.Random(7)
    mean_s, seconds = 0.4, 120.0
    capacity = 8 / mean_s
    refusals: list[Overloaded] = []
    while server.now < seconds:
        server.until(server.now + draw.expovariate(5 * capacity))
        try:
            server.ask(draw.uniform(0.2, 0.6), latency=latency)
        except Overloaded as error:
            refusals.append(error)
    served = [entry for entry, end in server.ended.items() if end <= seconds]
    good = [entry for entry in served if server.ended[entry] <= (entry.deadline_s or 0)]
    late_refusals = sum(error is not None for error in server.fates.values())
    assert len(good) >= 0.9 * capacity * seconds
    assert len(good) >= 0.99 * len(served)
    assert late_refusals <= 0.02 * len(served)
    assert len(refusals) > 3 * len(served)
    assert all((error.retry_after_s or 0) >= 1 for error in refusals)


def test_without_admission_the_same_load_would_answer_nearly_nobody_in_time() -> None:
    """What the gate is for: the same server with an endless queue, and no look at deadlines."""
    draw, now, free_at, good, asked = random.Random(7), 0.0, [0.0] * 8, 0, 0
    while now < 120:
        now += draw.expovariate(5 * 20)
        asked += 1
        begun = max(now, heapq.heappop(free_at))
        done = begun + draw.uniform(0.2, 0.6)
        heapq.heappush(free_at, done)
        good += done <= now + 2.0
    assert good < 0.02 * asked


def test_two_tenants_of_weights_three_and_one_get_three_to_one_under_overload() -> None:
    server = Server(places=4, queue=60)
    draw = random.Random(3)
    while server.now < 200:
        server.until(server.now + draw.expovariate(50))
        for tenant, weight in (("heavy", 3.0), ("light", 1.0)):
            try:
                server.ask(draw.uniform(0.2, 0.6), tenant, weight=weight)
            except Overloaded as error:
                assert isinstance(error, QueueFull)
    done = {"heavy": 0.0, "light": 0.0}
    for entry in server.ended:
        done[entry.tenant] += server.takes[entry]
    assert 2.8 <= done["heavy"] / done["light"] <= 3.2


@pytest.mark.parametrize("latencies", [[0.65], [1.0], [2.0], [1.0, 2.0, 5.0], [0.7, None]])
def test_three_to_one_holds_also_where_hardly_any_can_wait(latencies: list[float | None]) -> None:
    server = Server(places=8, queue=256)
    server.load(100, {"heavy": 50, "light": 50}, latencies)  # 20 a second are possible
    done = server.done()
    assert 2.7 <= done["heavy"] / done["light"] <= 3.3
    assert sum(done.values()) >= 0.9 * 100 * 8


def test_who_asks_for_less_than_its_share_gets_most_of_it_and_others_the_rest() -> None:
    server = Server(places=8, queue=256)
    server.load(150, {"heavy": 5, "light": 95}, [1.0, 2.0])
    done = server.done()
    assert done["heavy"] >= 0.75 * 5 * 150 * 0.4  # some of 1 s cannot wait for a place
    assert sum(done.values()) >= 0.9 * 150 * 8


def test_no_place_is_kept_for_what_could_not_be_in_time_anyway() -> None:
    server = Server(places=8, queue=256)
    server.load(20, {"light": 100}, [2.0])
    before = sum(server.done().values())
    draw = random.Random(4)
    while server.now < 120:
        server.until(server.now + draw.expovariate(100))
        with contextlib.suppress(Overloaded):
            server.ask(0.4, "heavy", 0.1, weight=3.0)
        with contextlib.suppress(Overloaded):
            server.ask(draw.uniform(0.2, 0.6), "light", 2.0)
    assert sum(server.done().values()) - before >= 0.9 * 100 * 8


def test_batch_that_can_wait_does_not_take_the_places_of_people_who_cannot() -> None:
    server = Server(places=8, queue=256)
    draw = random.Random(6)
    asked: tuple[tuple[Lane, float | None], ...] = (("interactive", 0.7), ("batch", None))
    while server.now < 120:
        server.until(server.now + draw.expovariate(50))
        for lane, latency in asked:
            with contextlib.suppress(Overloaded):
                server.ask(draw.uniform(0.2, 0.6), lane, latency, lane=lane)
    done = server.done()
    assert done["batch"] <= 0.15 * sum(done.values()) and sum(done.values()) >= 0.9 * 120 * 8


def test_a_tenant_that_floods_leaves_the_others_their_answers() -> None:
    server = Server(places=4, queue=40)
    draw = random.Random(5)
    asked = answered = 0
    while server.now < 60:
        server.until(server.now + draw.expovariate(100))
        with contextlib.suppress(QueueFull):
            server.ask(0.4, "flood")
        if draw.random() < 0.03:  # three a second, of ten that are possible
            asked += 1
            server.ask(0.4, "modest", latency=3.0)  # raises where it is refused
    server.until(100)
    answered = sum(entry.tenant == "modest" for entry in server.ended)
    assert asked > 100 and answered == asked


def test_nobody_is_refused_while_most_places_are_free() -> None:
    server = Server()
    for _ in range(20):  # it learns that requests take 10 s
        server.ask(10.0)
        server.until(server.now + 20)
    assert server.ask(0.1, latency=0.5) in server.fates


def test_a_free_place_goes_to_nobody_who_cannot_use_it() -> None:
    server = Server(places=4)
    for _ in range(20):
        server.ask(10.0)
        server.until(server.now + 20)
    for _ in range(3):
        server.ask(10.0)
    with pytest.raises(Overloaded):
        server.ask(10.0, latency=0.5)
    assert server.ask(10.0, latency=12.0) in server.turnstile.under_way


def test_requests_that_take_most_of_their_deadline_mean_too_many_at_once() -> None:
    gate = Turnstile(FoundLimit(least=2, most=64), FairQueue(10), lambda entry, error: None)
    now = 0.0
    for _ in range(300):
        entry = Arrival("a", 1.0, "interactive", "kind", now, now + 1.0)
        gate.offer(entry, now)
        now += 0.9
        gate.end(entry, now, is_answered=True)
    assert gate.limit.now == 2


def test_one_that_would_be_late_is_refused_at_once_and_told_when_to_come_again() -> None:
    server = Server(places=1)
    for _ in range(30):
        server.ask(1.0)
        server.until(server.now + 2)
    for _ in range(5):
        server.ask(1.0)
    with pytest.raises(Overloaded, match="latency_ms gives it 1000 ms") as refusal:
        server.ask(1.0, latency=1.0)
    assert not isinstance(refusal.value, QueueFull)
    again = refusal.value.retry_after_s
    assert again is not None
    server.until(server.now + again)
    assert server.ask(1.0, latency=2.0) is not None


def test_a_full_queue_refuses_who_has_most_of_it() -> None:
    server = Server(places=1, queue=3)
    mine = [server.ask(1.0, "hog") for _ in range(4)]
    with pytest.raises(QueueFull, match="3 of 3 places"):
        server.ask(1.0, "hog")
    server.ask(1.0, "other")
    assert isinstance(server.fates[mine[-1]], QueueFull)


def test_bodies_that_wait_are_bounded_together() -> None:
    server = Server(places=1, queue=100)
    server.turnstile.most_bytes = 1000

    def big(tenant: str) -> Arrival:
        entry = Arrival(tenant, 1.0, "interactive", "kind", 0.0, size=400)
        server.takes[entry] = 1.0
        server.turnstile.offer(entry, 0.0)
        return entry

    for _ in range(3):
        big("a")
    assert server.turnstile.held_bytes == 800
    with pytest.raises(QueueFull, match="800 bytes"):
        big("a")
    server.until(10)
    assert not server.turnstile.held_bytes


def test_who_leaves_gives_its_place_to_the_next() -> None:
    server = Server(places=1)
    server.ask(1.0)
    gone, stays = server.ask(1.0), server.ask(1.0)
    server.turnstile.leave(gone, 0.5)
    server.until(1.5)
    assert gone not in server.fates and server.fates[stays] is None


def test_what_can_no_longer_be_in_time_is_not_begun() -> None:
    server = Server(places=1)
    for _ in range(30):
        server.ask(0.1)
        server.until(server.now + 1)
    server.ask(5.0)  # nobody could know
    waits = server.ask(0.1, latency=2.0)
    server.until(server.now + 6)
    assert isinstance(server.fates[waits], Overloaded) and waits not in server.ended


def test_places_grow_while_requests_are_quick_and_shrink_when_they_are_not() -> None:
    limit = FoundLimit(least=4, most=64)
    start = limit.now
    for number in range(400):
        limit.ended(1.5, is_full=True, now_s=number * 0.1, took_s=0.1)
    grown = limit.now
    assert start < grown <= 64
    for number in range(400, 2000):
        limit.ended(20.0, is_full=True, now_s=number * 0.1, took_s=0.1)
    assert limit.now == 4


def test_places_that_nobody_fills_teach_nothing() -> None:
    limit = FoundLimit(least=4, most=64)
    for number in range(400):
        limit.ended(1.0, is_full=False, now_s=number * 0.1, took_s=0.1)
    assert limit.now == 8


def test_what_was_let_in_elsewhere_takes_places_but_never_all_of_them() -> None:
    server = Server(places=2)
    for _ in range(3):
        server.turnstile.pass_in()
    first, second = server.ask(1.0), server.ask(1.0)
    assert first in server.fates and second not in server.fates
    server.until(1.0)
    assert second in server.fates
    third = server.ask(1.0)
    assert third not in server.fates
    for _ in range(3):
        server.turnstile.pass_out(server.now)
    assert third in server.fates
