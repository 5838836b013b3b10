"""CPU time is shared among the work that is open while it is spent, and counted once."""

import pytest

from workers.decoding.meter import CpuMeter


class Clock:
    """A clock that a test moves."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_time_outside_a_measurement_is_nobodys():
    clock = Clock()
    meter = CpuMeter(clock)
    clock.now_s += 50
    with meter.measure() as reading:
        clock.now_s += 2
    clock.now_s += 50
    assert reading.cpu_s == 2


def test_overlapping_work_shares_the_time_between_them():
    clock = Clock()
    meter = CpuMeter(clock)
    with meter.measure() as first:
        clock.now_s += 1
        with meter.measure() as second:
            clock.now_s += 4
        clock.now_s += 1
    assert (first.cpu_s, second.cpu_s) == (4, 2)


def test_a_block_that_raises_is_measured_and_closed():
    clock = Clock()
    meter = CpuMeter(clock)
    with pytest.raises(ValueError), meter.measure() as broken:
        clock.now_s += 3
        raise ValueError
    with meter.measure() as after:
        clock.now_s += 1
    assert (broken.cpu_s, after.cpu_s) == (3, 1)
