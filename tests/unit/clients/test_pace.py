"""The sliding minute of a rate limit, on a clock that the test moves."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.clients.pace import MINUTE_S, Pace, Paces
from orchestra.core.errors import RateLimited
from orchestra.fleet.source import load_fleet
from tests.meeting import Meeting, at_once


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_limits_every_call_starts_at_once() -> None:
    pace = Pace("m", clock=Clock())
    assert [pace.book(10**9).at for _ in range(3)] == [0, 0, 0]


def test_calls_beyond_the_minute_wait_in_order() -> None:
    pace = Pace("m", requests_per_minute=2, clock=Clock())
    assert [pace.book(1).at for _ in range(5)] == [0, 0, 60, 60, 120]


def test_threads_that_book_at_one_moment_get_a_place_each() -> None:
    meeting = Meeting()

    class Compared(int):
        """A limit that threads compare their calls with at one moment."""

        def __gt__(self, calls: int) -> bool:
            meeting.pause()
            return super().__gt__(calls)

    pace = Pace("m", requests_per_minute=Compared(2), clock=Clock())
    pace.book(1)
    assert sorted(at_once(lambda: pace.book(1).at)) == [0, 60]


def test_tokens_count_too_and_what_was_not_used_is_given_back() -> None:
    clock = Clock()
    pace = Pace("m", tokens_per_minute=100, clock=clock)
    first = pace.book(80)
    pace.settle(first, 10)
    assert pace.book(90).at == 0
    clock.now = 30
    assert pace.book(50).at == 60


def test_a_look_at_the_wait_books_nothing() -> None:
    clock = Clock()
    pace = Pace("m", requests_per_minute=1, clock=clock)
    assert pace.wait_ms() == 0
    pace.book(1)
    clock.now = 12.34
    assert [pace.wait_ms(), pace.wait_ms()] == [47_700, 47_700]
    assert Pace("m", clock=clock).wait_ms() == 0


def test_a_call_that_would_start_too_late_books_nothing() -> None:
    pace = Pace("m", requests_per_minute=1, clock=Clock())
    pace.book(1)
    with pytest.raises(RateLimited, match=r"requests_per_minute=1.*60\.0 s.*9\.0 s are left"):
        pace.book(1, left_s=9)
    assert pace.book(1, left_s=60).at == 60


def test_a_call_that_never_fits_says_so() -> None:
    with pytest.raises(RateLimited, match=r"never fits.*tokens_per_minute=5"):
        Pace("m", tokens_per_minute=5).book(6)


async def test_a_cancelled_wait_gives_its_place_back() -> None:
    pace = Pace("m", requests_per_minute=1, clock=Clock())
    pace.book(1)
    waiting = asyncio.create_task(pace.wait(1, None))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert pace.book(1).at == 60


@given(
    calls=st.lists(st.tuples(st.floats(0, 90), st.integers(0, 50)), max_size=40),
    requests=st.integers(1, 5),
    tokens=st.integers(50, 120),
)
def test_no_minute_ever_holds_more_than_its_limits(
    calls: list[tuple[float, int]], requests: int, tokens: int
) -> None:
    clock = Clock()
    pace = Pace("m", requests, tokens, clock)
    booked: list[tuple[float, int]] = []
    for step, used in calls:
        clock.now += step
        booked.append((pace.book(used).at, used))
    starts = [at for at, _ in booked]
    assert starts == sorted(starts)
    for at in starts:
        inside = [used for other, used in booked if at <= other < at + MINUTE_S]
        assert len(inside) <= requests and sum(inside) <= tokens


def test_threads_that_call_first_at_one_moment_share_one_minute() -> None:
    card = load_fleet("mini")[0].card("r1")
    limits = card.limits.model_copy(update={"requests_per_minute": 1})
    paced = card.model_copy(update={"name": Meeting().name("r1"), "limits": limits})
    paces = Paces()
    first, second = at_once(lambda: paces.of(paced))
    assert first is not None and first is second
