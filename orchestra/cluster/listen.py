"""Keeps the replicas of a cluster from listening on every interface.

Ray Serve opens a gRPC port in each replica, for calls between deployments, on every interface of
its machine and with no setting for another address. Callers reach it by the node's address, so it
listens there only: on a cluster of ours that is loopback.
"""

from __future__ import annotations

from typing import Any

import ray
from ray.serve._private import replica as replica_module

ADD_PORT = "add_port_to_grpc_server"


def listen_on_node() -> None:
    """Bind the port of this replica's process to its node; to be called before Serve opens it.

    A Ray that opens it in another way is left as it is, and found by the test that reads every
    listening socket.
    """
    replica: Any = replica_module
    add_port = getattr(replica, ADD_PORT, None)
    if add_port is None:
        return
    address = ray.util.get_node_ip_address()
    host = f"[{address}]" if ":" in address else address

    def add_port_here(server: Any, address: str) -> int:
        return add_port(server, address.replace("[::]", host))

    setattr(replica, ADD_PORT, add_port_here)
