"""Work for a client that may hang up: then it is cancelled, down to the decoding."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Request
from starlette.types import Message

from orchestra.core.errors import Cancelled
from orchestra.observe import metrics

T = TypeVar("T")


class HungUp(Exception):
    """The client is gone, and its work was cancelled."""


async def until_gone(request: Request, work: Awaitable[T]) -> T:
    """What `work` returns; a client that hangs up cancels it, down to the decoding.

    Raises `HungUp` then.
    """
    task = asyncio.ensure_future(work)
    watch = asyncio.create_task(_hang_up(request.receive))
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise HungUp
        return task.result()
    except asyncio.CancelledError:  # Ray Serve tells of a hang-up like this as well
        metrics.count_problem(Cancelled.__name__)
        raise
    finally:
        watch.cancel()
        task.cancel()


async def _hang_up(receive: Callable[[], Awaitable[Message]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        """The rest of a body that was read already."""
