"""A batch started from outside its cluster: its driver runs on the head node; knows no table.

A Ray client (`ray://`) is no node, so neither the book nor photos of this machine could be reached
by the hosts. So the whole batch is run by an actor over there, and every path is the head node's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from orchestra.batch.output.summary import Summary
from orchestra.core.errors import OrchestraError
from orchestra.fleet.opened import Build, OpenFleet
from orchestra.fleet.source import load_graph

RunBatch = Callable[..., Awaitable[Summary]]
HEAD_NODE = "node:__internal_head__"  # ray gives every head node this resource


class FarDriver:
    """Runs one batch on the cluster that it is an actor of."""

    async def run(
        self, batch: RunBatch, fleet: str, graph: str | Build, table: str, options: dict[str, Any]
    ) -> Summary | OrchestraError:
        """Run the batch by `batch`; an error of ours is the answer."""
        try:
            policy, cache = options.pop("policy", None), options.pop("cache", None)
            async with OpenFleet.open(fleet, policy=policy, cache=cache) as opened:
                build = load_graph(graph) if isinstance(graph, str) else graph
                return await batch(opened, build, Path(table), on="auto", **options)
        except OrchestraError as error:
            return error


async def run_far(
    batch: RunBatch, fleet: str, graph: str | Build, table: str, options: dict[str, Any]
) -> Summary:
    """Run the batch on the cluster this process is a client of. Raises what the batch raises."""
    from orchestra.clients.handle import ActorLink

    driver = ActorLink(FarDriver, num_cpus=0, resources={HEAD_NODE: 0.001})
    try:
        answer = await driver.call("run", batch, fleet, graph, table, options)
    finally:
        driver.stop()
    if isinstance(answer, OrchestraError):
        raise answer
    return answer
