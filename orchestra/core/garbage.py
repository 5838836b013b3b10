"""Has Python look for garbage seldom while rows or requests run; it knows neither.

A row makes thousands of objects, nearly all of which go when nothing names them any more. Looking
for those that name each other every 700 objects, and now and then among all modules, took a fifth
of what a row needs beside its models.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NEW_OBJECTS = 20_000  # more than there were at the last look, until the next one

_lock = threading.Lock()
_before: list[tuple[int, int, int]] = []  # one entry a block under way: what was set before it


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Look for garbage less often within the block, and not among what was there before it.

    Blocks may overlap, in several threads; what was set before the first comes back with the end
    of the last. Where the program has switched collection off it stays so.
    """
    with _lock:
        _before.append(gc.get_threshold())
        if len(_before) == 1 and _before[0][0]:
            gc.freeze()
            gc.set_threshold(max(NEW_OBJECTS, _before[0][0]), *_before[0][1:])
    try:
        yield
    finally:
        with _lock:
            first = _before[0]
            _before.pop()
            if not _before and first[0]:
                gc.set_threshold(*first)
                gc.unfreeze()


def collect_seldom() -> None:
    """Look for garbage less often in this process from now on, and not among what is there."""
    with _lock:
        if gc.get_threshold()[0] and not _before:
            gc.collect()
            gc.freeze()
            gc.set_threshold(max(NEW_OBJECTS, gc.get_threshold()[0]), *gc.get_threshold()[1:])
