"""Work that is done on a cluster's head node for a process outside the cluster.

A Ray client (`ray://`) is no node: hosts could reach neither the book nor the photos of its
machine. So the whole batch is run by an actor over there, and every path is the head node's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

Answer = TypeVar("Answer")
HEAD_NODE = "node:__internal_head__"  # ray gives every head node this resource


class FarDriver:
    """Does one piece of work on the cluster that it is an actor of."""

    async def run(self, work: Callable[..., Awaitable[Answer]], *given: Any) -> Answer:
        """What `work` returns. Raises what it raises."""
        return await work(*given)


async def run_far(work: Callable[..., Awaitable[Answer]], *given: Any) -> Answer:
    """Await `work(*given)` on the cluster this process is a client of. Raises what that raises."""
    from orchestra.clients.handle import ActorLink  # ray is an optional extra

    driver = ActorLink(FarDriver, num_cpus=0, resources={HEAD_NODE: 0.001})
    try:
        return await driver.call("run", work, *given)
    finally:
        driver.stop()
