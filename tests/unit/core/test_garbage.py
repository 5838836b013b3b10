"""While rows run garbage is looked for seldom; afterwards all is as it was set."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from orchestra.core.garbage import NEW_OBJECTS, collect_seldom, collected_seldom

USUAL = (700, 10, 10)


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*USUAL)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_overlapping_blocks_leave_what_was_set_before_the_first() -> None:
    first, second = collected_seldom(), collected_seldom()
    first.__enter__()
    second.__enter__()
    assert gc.get_threshold() == (NEW_OBJECTS, *USUAL[1:])
    first.__exit__(None, None, None)
    assert gc.get_threshold() == (NEW_OBJECTS, *USUAL[1:])
    assert gc.get_freeze_count()
    second.__exit__(None, None, None)
    assert gc.get_threshold() == USUAL
    assert not gc.get_freeze_count()


def test_a_block_that_raises_restores_too() -> None:
    with pytest.raises(KeyError), collected_seldom():
        raise KeyError
    assert gc.get_threshold() == USUAL


@pytest.mark.parametrize("own", [(0, 10, 10), (NEW_OBJECTS * 2, 5, 5)])
def test_a_program_that_collects_never_or_more_seldom_is_left_so(own: tuple[int, int, int]) -> None:
    gc.set_threshold(*own)
    with collected_seldom():
        assert gc.get_threshold() == own
    assert gc.get_threshold() == own


def test_a_process_that_serves_looks_seldom_from_now_on() -> None:
    collect_seldom()
    assert gc.get_threshold() == (NEW_OBJECTS, *USUAL[1:])
    assert gc.get_freeze_count()


def test_where_collection_is_off_it_stays_off() -> None:
    gc.set_threshold(0)
    collect_seldom()
    assert gc.get_threshold()[0] == 0
