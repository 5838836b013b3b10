"""Brings threads to one place in the code at one moment, so that a race happens if it can."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")
PATIENCE_S = 0.5  # a lock lets one thread in only: that one waits in vain, and goes on


class Meeting:
    """`parties` threads that wait for each other at `pause`; when they cannot meet, none waits."""

    def __init__(self, parties: int = 2) -> None:
        self._barrier = threading.Barrier(parties, timeout=PATIENCE_S)

    def pause(self) -> None:
        """Wait for the others."""
        with suppress(threading.BrokenBarrierError):
            self._barrier.wait()

    def name(self, text: str) -> str:
        """`text`, whose users meet at each look-up by it: all have missed before one has stored."""
        return _Met(text, self)


class _Met(str):
    def __new__(cls, text: str, meeting: Meeting) -> _Met:
        made = super().__new__(cls, text)
        made.meeting = meeting
        return made

    meeting: Meeting

    def __hash__(self) -> int:
        self.meeting.pause()
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other)


def at_once(work: Callable[[], T], threads: int = 2) -> list[T]:
    """What `work` returns in each of so many threads. Raises what one of them raises."""
    with ThreadPoolExecutor(threads) as pool:
        return [future.result() for future in [pool.submit(work) for _ in range(threads)]]
