"""Measures the CPU time of work that may overlap in one process; knows no models.

torch's threads do the work, so a thread's own clock misses most of it, and the process's
clock would count two engines that run at once for each of them. CPU time is therefore
shared equally among the measurements that are open while it is spent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class CpuTime:
    """CPU seconds spent so far; final once its measurement has ended."""

    cpu_s: float = 0.0


@dataclass(slots=True, eq=False)
class CpuMeter:
    """Shares the time that `clock` counts among all open measurements; thread-safe."""

    clock: Callable[[], float] = time.process_time
    _open: list[CpuTime] = field(default_factory=list)
    _seen_s: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def measure(self) -> Iterator[CpuTime]:
        """Measure the block; its reading is complete when the block has ended."""
        reading = CpuTime()
        with self._lock:
            self._share()
            self._open.append(reading)
        try:
            yield reading
        finally:
            with self._lock:
                self._share()
                self._open.remove(reading)

    def _share(self) -> None:
        now_s = self.clock()
        for reading in self._open:
            reading.cpu_s += (now_s - self._seen_s) / len(self._open)
        self._seen_s = now_s


PROCESS = CpuMeter()
