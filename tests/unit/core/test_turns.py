"""While rows run threads take turns often; afterwards all is as it was set."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from orchestra.core.turns import TURN_S, short_turns

USUAL = 0.005


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(USUAL)
    yield
    sys.setswitchinterval(before)


def test_overlapping_blocks_leave_what_was_set_before_the_first() -> None:
    first, second = short_turns(), short_turns()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(TURN_S, abs=2e-6)
    second.__exit__(None, None, None)
    assert sys.getswitchinterval() == pytest.approx(USUAL, abs=2e-6)


def test_a_block_that_raises_restores_too() -> None:
    with pytest.raises(KeyError), short_turns():
        raise KeyError
    assert sys.getswitchinterval() == pytest.approx(USUAL, abs=2e-6)


def test_shorter_turns_of_a_program_stay() -> None:
    sys.setswitchinterval(TURN_S / 5)
    with short_turns():
        assert sys.getswitchinterval() == pytest.approx(TURN_S / 5, abs=2e-6)
