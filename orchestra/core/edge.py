"""One event loop in a thread of its own, for who calls without one: `run_sync`, `model.invoke`.

Clients and their queues belong to a loop, and such calls come from any thread or loop: from a
notebook, a graph's worker threads, or inside another loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from orchestra.core.errors import UsageError

T = TypeVar("T")
_LOCK = threading.Lock()
_LOOP: asyncio.AbstractEventLoop | None = None


def own_loop() -> asyncio.AbstractEventLoop:
    """The loop of synchronous callers, started at first use. Its thread ends with the process."""
    global _LOOP
    with _LOCK:
        if _LOOP is None:
            _LOOP = asyncio.new_event_loop()
            threading.Thread(target=_LOOP.run_forever, name="orchestra edge", daemon=True).start()
        return _LOOP


def wait_for(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """What `work` returns, run on `loop`; the calling thread waits.

    Raises `UsageError` in the loop's own thread, which would wait for itself.
    """
    if _running() is loop:
        work.close()
        raise UsageError(
            "A synchronous call was made inside the event loop that has to answer it, which would "
            "wait for itself. Await the asynchronous one there: ainvoke, run, resume, astream."
        )
    future = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return future.result()
    except BaseException:
        future.cancel()  # an interrupt of the caller's thread ends the work, too
        raise


async def awaited(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """What `work` returns, run on `loop`; cancelling the wait cancels the work."""
    if _running() is loop:
        return await work
    future: Future[T] = asyncio.run_coroutine_threadsafe(work, loop)
    return await asyncio.wrap_future(future)


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
