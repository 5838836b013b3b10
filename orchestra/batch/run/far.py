"""Work that is done on a cluster's head node for a process outside the cluster.

A Ray client (`ray://`) is no node: hosts could reach neither the book nor the photos of its
machine. So the whole batch is run by an actor over there, and every path is the head node's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from orchestra.core.errors import OrchestraError

Answer = TypeVar("Answer")
HEAD_NODE = "node:__internal_head__"  # ray gives every head node this resource


class FarDriver:
    """Does one piece of work on the cluster that it is an actor of."""

    async def run(self, work: Callable[..., Awaitable[Any]], *given: Any) -> Any:
        """What `work` returns; an error of ours is the answer, too."""
        try:
            return await work(*given)
        except OrchestraError as error:
            return error


async def run_far(work: Callable[..., Awaitable[Answer]], *given: Any) -> Answer:
    """Await `work(*given)` on the cluster this process is a client of. Raises what that raises."""
    from orchestra.clients.handle import ActorLink  # ray is an optional extra

    driver = ActorLink(FarDriver, num_cpus=0, resources={HEAD_NODE: 0.001})
    try:
        answer = await driver.call("run", work, *given)
    finally:
        driver.stop()
    if isinstance(answer, OrchestraError):
        raise answer
    return answer
