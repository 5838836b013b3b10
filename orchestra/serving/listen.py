"""Keeps the replicas of a cluster from listening on every interface; it knows no model.

Ray Serve opens a gRPC port in each replica, for calls between deployments, on every interface of
its machine and with no setting for another address. Callers reach it by the node's address, so it
listens there only: on a cluster of ours that is loopback.
"""

from __future__ import annotations

from typing import Any

import ray
from ray.serve._private import replica as replica_module


def listen_on_node() -> None:
    """Bind the port of this replica's process to its node; to be called before Serve opens it.

    A Ray that opens it in another way is found by the test that reads every listening socket.
    """
    replica: Any = replica_module
    address = ray.util.get_node_ip_address()
    host = f"[{address}]" if ":" in address else address
    add_port = replica.add_port_to_grpc_server

    def add_port_here(server: Any, wanted: str) -> int:
        return add_port(server, wanted.replace("[::]", host))

    replica.add_port_to_grpc_server = add_port_here
