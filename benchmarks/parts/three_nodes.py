"""A Ray cluster of three nodes on this machine, all on loopback, whose nodes can be killed.

The head has no CPUs, so that everything that reserves one runs on the two workers.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from orchestra.cluster.owned import LOOPBACK, SETTINGS
from orchestra.cluster.processes import Process, descendants
from orchestra.serving.config import NODE_LOSS

WORKERS, CPUS = 2, 2


@dataclass(frozen=True, slots=True)
class WorkerNode:
    """One worker node by the id of its raylet, whose children are its actors."""

    raylet: int

    def actors(self, title: str) -> list[Process]:
        """Its processes that Ray gave a title with `title` in it."""
        return [process for process in descendants(self.raylet) if title in process.title]

    def kill(self) -> None:
        """SIGKILL all of it at once, as when its machine loses power."""
        left = [process for process in descendants(os.getpid()) if process.pid == self.raylet]
        for process in left + descendants(self.raylet):
            process.kill()


@contextmanager
def three_nodes() -> Iterator[list[WorkerNode]]:
    """The worker nodes of a cluster that this process is connected to."""
    with (
        tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder,
        # `ray_current_cluster` stands in the folder: another cluster of this machine keeps its own.
        _environment({**SETTINGS, **NODE_LOSS, "RAY_TMPDIR": folder}),
    ):
        import ray
        from ray.cluster_utils import Cluster

        cluster = Cluster()
        cluster.add_node(num_cpus=0, node_ip_address=LOOPBACK, include_dashboard=False)
        nodes = [cluster.add_node(num_cpus=CPUS, node_ip_address=LOOPBACK) for _ in range(WORKERS)]
        ray.init(
            address=cluster.address,
            _node_ip_address=LOOPBACK,
            namespace="orchestra",
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        try:
            yield [WorkerNode(_raylet(node)) for node in nodes]
        finally:
            ray.shutdown()
            cluster.shutdown()


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    """What processes started in the block inherit; as it was afterwards."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _raylet(node: Any) -> int:
    return node.all_processes["raylet"][0].process.pid
