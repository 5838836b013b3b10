"""Shares of work, lanes and places of the queue, on every order of arrivals that is drawn."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.access.principal import Lane
from orchestra.serving.admission.queue import BATCH_SHARE, MOST_IDLE, Arrival, FairQueue

WORKS = st.sampled_from([0.01, 0.1, 0.5, 2.0])


def entry(
    tenant: str = "a", weight: float = 1.0, lane: Lane = "interactive", work_s: float = 1.0
) -> Arrival:
    return Arrival(tenant, weight, lane, "kind", 0.0, work_s=work_s)


@settings(max_examples=60, deadline=None)
@given(
    weights=st.tuples(st.sampled_from([1.0, 2.0, 3.0, 5.0]), st.sampled_from([1.0, 3.0])),
    works=st.lists(st.tuples(WORKS, WORKS), min_size=30, max_size=60),
)
def test_tenants_with_something_waiting_get_work_by_weight_to_within_a_job(
    weights: tuple[float, float], works: list[tuple[float, float]]
) -> None:
    queue = FairQueue(1000)
    for first, second in works:
        queue.push(entry("a", weights[0], work_s=first))
        queue.push(entry("b", weights[1], work_s=second))
    left = Counter({"a": len(works), "b": len(works)})
    done = {"a": 0.0, "b": 0.0}
    while min(left.values()):
        served = queue.pop()
        assert served is not None
        left[served.tenant] -= 1
        done[served.tenant] += served.work_s
        apart = abs(done["a"] / weights[0] - done["b"] / weights[1])
        assert apart <= 2.0 / weights[0] + 2.0 / weights[1] + 1e-9  # Goyal's bound


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["push", "pop", "remove"]),
            st.sampled_from("abc"),
            st.sampled_from(["interactive", "batch"]),
            WORKS,
        ),
        max_size=120,
    )
)
def test_every_entry_comes_out_once_and_none_is_forgotten(
    steps: list[tuple[str, str, Lane, float]],
) -> None:
    queue = FairQueue(1000)
    waiting: list[Arrival] = []
    for step, tenant, lane, work_s in steps:
        if step == "push":
            waiting.append(entry(tenant, lane=lane, work_s=work_s))
            queue.push(waiting[-1])
        elif step == "pop":
            served = queue.pop()
            assert (served is None) == (not waiting)
            if served is not None:
                queue.settle(served, work_s)
                waiting.remove(served)
        elif waiting:
            assert queue.remove(waiting.pop(len(waiting) // 2))
        assert len(queue) == len(waiting)
    while (served := queue.pop()) is not None:
        waiting.remove(served)
    assert not waiting


def test_a_tenants_own_requests_keep_their_order() -> None:
    queue = FairQueue(10)
    entries = [entry(work_s=work) for work in (2.0, 0.1, 1.0)]
    for one in entries:
        queue.push(one)
    assert [queue.pop() for _ in entries] == entries


def test_batch_gets_its_share_of_work_and_no_more_while_interactive_requests_wait() -> None:
    queue = FairQueue(2000)
    for _ in range(500):
        queue.push(entry("batcher", lane="batch"))
        queue.push(entry("person"))
    first = [queue.pop() for _ in range(400)]
    batch = sum(one is not None and one.lane == "batch" for one in first)
    assert abs(batch - 400 * BATCH_SHARE) <= 1


def test_batch_has_everything_while_nothing_else_waits() -> None:
    queue = FairQueue(10)
    for _ in range(5):
        queue.push(entry(lane="batch"))
    assert all(queue.pop() is not None for _ in range(5))


def test_a_tenant_that_was_quiet_does_not_get_what_it_never_asked_for() -> None:
    queue = FairQueue(1000)
    for _ in range(100):
        queue.push(entry("busy"))
        queue.pop()
    for _ in range(20):
        queue.push(entry("busy"))
        queue.push(entry("quiet"))
    served = [queue.pop() for _ in range(20)]
    assert abs(sum(one is not None and one.tenant == "busy" for one in served) - 10) <= 1


def test_work_that_took_longer_than_expected_is_charged() -> None:
    queue = FairQueue(1000)
    for _ in range(40):
        queue.push(entry("slow", work_s=0.1))
        queue.push(entry("quick", work_s=0.1))
    done = {"slow": 0.0, "quick": 0.0}
    for _ in range(40):
        served = queue.pop()
        assert served is not None
        took = 0.3 if served.tenant == "slow" else 0.1
        queue.settle(served, took)
        done[served.tenant] += took
    assert abs(done["slow"] - done["quick"]) <= 0.61


def test_the_newest_of_who_has_most_gives_up_a_place() -> None:
    queue = FairQueue(4)
    hogs = [entry("hog") for _ in range(4)]
    for one in hogs:
        queue.push(one)
    assert queue.victim(entry("other")) is hogs[-1]
    assert queue.victim(entry("hog")) is None


def test_places_are_shared_by_weight() -> None:
    queue = FairQueue(4)
    for _ in range(3):
        queue.push(entry("heavy", weight=3.0))
    light = entry("light", weight=1.0)
    queue.push(light)
    assert queue.victim(entry("light", weight=1.0)) is None
    assert queue.victim(entry("heavy", weight=3.0)) is None


def test_batch_gives_up_its_places_first_but_keeps_a_share() -> None:
    queue = FairQueue(20)
    batch = [entry("batcher", lane="batch") for _ in range(20)]
    for one in batch:
        queue.push(one)
    taken = 0
    while (victim := queue.victim(entry("person"))) is not None and victim.lane == "batch":
        assert victim is batch[-1 - taken]
        queue.remove(victim)
        queue.push(entry("person"))
        taken += 1
    assert queue.count("batch") == 20 * BATCH_SHARE
    assert queue.victim(entry("batcher", lane="batch")) is None
    queue.remove(batch[0])
    victim = queue.victim(entry("batcher", lane="batch"))
    assert victim is not None and victim.lane == "interactive"


@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_work_ahead_is_what_is_served_before(weight: float) -> None:
    queue = FairQueue(1000)
    for _ in range(10):
        queue.push(entry("other", work_s=0.5))
        queue.push(entry("own", weight=weight, work_s=0.5))
    newest = entry("own", weight=weight, work_s=0.5)
    expected = queue.ahead_s(newest)
    queue.push(newest)
    before = 0.0
    while (served := queue.pop()) is not newest:
        assert served is not None
        before += served.work_s
    assert abs(before - expected) <= 1.0


def test_tenants_that_come_once_are_forgotten() -> None:
    queue = FairQueue(10)
    for number in range(5 * MOST_IDLE):
        queue.push(entry(f"tenant {number}"))
        queue.pop()
    lanes = queue._lanes.values()  # white box: what is bounded is memory
    assert sum(len(lane.flows) for lane in lanes) <= 2 * MOST_IDLE + 1


def test_a_place_is_kept_for_who_was_refused_while_it_is_its_turn() -> None:
    queue = FairQueue(10)
    queue.push(entry("heavy", weight=3.0))
    queue.push(entry("light"))
    assert queue.pop() is not None and queue.pop() is not None  # 1/3 and 1 by weight
    waits = entry("light")
    queue.push(waits)
    for _ in range(3):
        queue.claim(entry("heavy", weight=3.0), until_s=10.0)
    queue.at(9.9)
    assert queue.is_next(entry("heavy", weight=3.0), free=1)
    assert queue.pop(free=2) is None  # two turns of heavy come before it
    assert queue.pop(free=3) is waits


def test_claims_count_no_longer_when_their_time_is_over() -> None:
    queue = FairQueue(10)
    queue.push(entry("light"))
    assert queue.pop() is not None
    queue.claim(entry("heavy", weight=3.0), until_s=10.0)
    waits = entry("light")
    queue.push(waits)
    queue.at(9.9)
    assert queue.pop(free=1) is None
    queue.at(10.0)
    assert queue.pop(free=1) is waits


def test_who_was_refused_long_ago_is_owed_nothing() -> None:
    queue = FairQueue(1000)
    queue.claim(entry("back"), until_s=1.0)
    for _ in range(100):
        queue.push(entry("busy"))
        queue.pop()
    queue.at(2.0)
    for _ in range(20):
        queue.push(entry("busy"))
        queue.push(entry("back"))
    served = [queue.pop() for _ in range(20)]
    assert abs(sum(one is not None and one.tenant == "busy" for one in served) - 10) <= 1


def test_who_was_refused_is_expected_to_come_again_before_others() -> None:
    queue = FairQueue(10)
    light = entry("light")
    queue.push(light)
    queue.pop()
    assert queue.ahead_s(light) == 0.0
    queue.claim(entry("heavy", weight=3.0), until_s=10.0)
    assert queue.ahead_s(light) == pytest.approx(3.0)
