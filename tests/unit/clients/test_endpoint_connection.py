"""A server that fails again and again is left alone for a while, and tried again by one call."""

from __future__ import annotations

import pytest

from orchestra.clients.endpoint_connection import Breaker
from orchestra.core.errors import ModelUnavailable


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def breaker(clock: Clock) -> Breaker:
    return Breaker("The server 'x'", most=3, rest_s=10.0, clock=clock)


def open_breaker(clock: Clock) -> Breaker:
    opened = breaker(clock)
    for _ in range(3):
        opened.check()
        opened.failed("ConnectError")
    return opened


def test_fewer_failures_than_the_limit_and_an_answer_between_do_not_count() -> None:
    server = breaker(Clock())
    for _ in range(4):
        server.failed("x")
        server.failed("x")
        server.check()
        server.answered()
    server.check()


def test_a_resting_server_says_why_and_when_it_is_tried_again() -> None:
    clock = Clock()
    server = open_breaker(clock)
    clock.now += 4.0
    with pytest.raises(ModelUnavailable) as caught:
        server.check()
    assert "failed 3 times in a row (ConnectError)" in str(caught.value)
    assert "tried again in 6.0 s" in str(caught.value)
    assert not caught.value.may_have_spent


def test_after_the_rest_one_call_tries_and_decides_for_the_others() -> None:
    clock = Clock()
    server = open_breaker(clock)
    clock.now += 10.0
    server.check()
    with pytest.raises(ModelUnavailable):
        server.check()
    server.answered()
    server.check()


def test_a_trial_that_fails_begins_another_rest() -> None:
    clock = Clock()
    server = open_breaker(clock)
    clock.now += 10.0
    server.check()
    server.failed("ReadError")
    clock.now += 9.9
    with pytest.raises(ModelUnavailable, match=r"4 times in a row \(ReadError\)"):
        server.check()
    clock.now += 0.1
    server.check()


def test_a_trial_that_never_ends_does_not_close_the_way_for_good() -> None:
    clock = Clock()
    server = open_breaker(clock)
    clock.now += 10.0
    server.check()  # cancelled by its caller: neither answered nor failed
    clock.now += 10.0
    server.check()
