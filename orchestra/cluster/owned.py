"""A Ray cluster that this process owns: on loopback only, and gone when the block ends.

Ray asks for the machine's own address on Linux and then listens on every interface. The switch
that makes it stay on loopback elsewhere is set here before ray is imported, so that nothing of a
cluster of ours can be reached from another machine. For that, and as ray is an optional extra,
functions import it where they use it.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from orchestra.core.card import FleetFile
from orchestra.core.errors import MissingExtra, ModelUnavailable, PortTaken, UsageError
from orchestra.observe.otlp import sampling_ratio

LOOPBACK = "127.0.0.1"
KNOCK_S = 5.0
GIB = 2**30
SETTINGS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # off: this node is 127.0.0.1 and listens there
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # ray would rebuild the environment under `uv run`
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # the coming default; the old one warns
}

TRACING = {
    "enabled": True,
    "exporter_import_path": "orchestra.observe.otlp:processors",
}


@contextmanager
def own_cluster(*, cpus: int | None = None, namespace: str = "orchestra") -> Iterator[None]:
    """Start a cluster of one node, and stop every process of it at the end of the block.

    `cpus` are logical: what deployments may reserve, by default the machine's cores. Raises
    `MissingExtra` without ray, and `UsageError` when this process already uses a cluster, or
    imported ray before it could be kept on loopback.
    """
    _keep_on_loopback()
    try:
        import ray
    except ImportError as cause:
        raise MissingExtra(
            "A cluster needs ray, which is not installed. "
            "Install it: pip install 'orchestra-fleet[ray]'."
        ) from cause
    if ray.is_initialized():
        raise UsageError(
            "This process is connected to a Ray cluster already. Call ray.shutdown() first, or "
            "use that cluster with `serve run`."
        )
    ray.init(
        address="local",
        num_cpus=cpus or os.cpu_count() or 1,
        include_dashboard=False,
        _node_ip_address=LOOPBACK,
        namespace=namespace,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def connected(address: str, file: FleetFile) -> Iterator[None]:
    """A cluster to run on: "ray" starts one here, anything else names one that runs already.

    "auto" or "host:port" is a cluster that this machine is a node of, "ray://host:port" one that
    it is a client of. Raises `UsageError` for one that does not answer.
    """
    if address == "ray":
        with own_cluster(cpus=cpus_for(file)):
            yield
        return
    import ray
    from ray.exceptions import RayError

    if address == "auto" and ray.is_initialized():  # an actor of the cluster asks
        yield
        return
    try:
        if not address.startswith("ray://") and ":" in address:
            _knock(address)  # ray itself would try for minutes
        ray.init(address=address, namespace="orchestra", log_to_driver=False)
    except (OSError, ValueError, RayError) as cause:
        why = str(cause).partition(". ")[0].rstrip(".")
        raise UsageError(
            f"No Ray cluster answers at {address!r}: {why}. Start one (`ray start --head`), or use "
            "--on ray for one of our own. One that asks for a token is reached with "
            "RAY_AUTH_MODE=token and its ~/.ray/auth_token here."
        ) from cause
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raises `OSError` or `ValueError` when nothing listens at host:port."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=KNOCK_S).close()


def _keep_on_loopback() -> None:
    late = "ray" in sys.modules
    for name, value in SETTINGS.items():
        if late and name.endswith("CLUSTER") and os.environ.get(name) != value:
            raise UsageError(
                "ray was imported before the cluster could be kept on loopback. Start it before "
                f"anything imports ray, or set {name}={value} in the environment."
            )
        os.environ.setdefault(name, value)


def cpus_for(file: FleetFile) -> int:
    """Logical CPUs that hold every replica of a fleet, and never fewer than the machine has."""
    reserved = sum(
        card.hosting.scaling.cpus * (card.hosting.scaling.max_replicas or 0)
        or card.hosting.scaling.cpus * card.hosting.scaling.replicas
        for card in file.models
        if card.hosting.worker is not None
    )
    return max(os.cpu_count() or 1, math.ceil(reserved))


def check_room(file: FleetFile) -> None:
    """Raises `ModelUnavailable` when the cluster has too little for every replica of `file`.

    Serve would wait for more nodes, for ever and without a word.
    """
    import ray

    short = shortage(file, ray.cluster_resources())
    if short:
        raise ModelUnavailable(
            f"This machine cannot host the fleet {file.name!r}: {short}. Lower replicas, cpus, "
            "gpus, resources or memory_gib under hosting on the cards, leave models out, or use a "
            "cluster with more nodes (`serve deploy`)."
        )


def shortage(file: FleetFile, room: Mapping[str, float]) -> str:
    """What all replicas reserve beyond `room`, in words; empty when they fit."""
    reserved: dict[str, float] = {}
    for card in file.models:
        if card.hosting.worker is not None:
            scaling, memory = card.hosting.scaling, round(card.hosting.memory_gib * GIB)
            one = {"CPU": scaling.cpus, "GPU": scaling.gpus, "memory": memory}
            for name, amount in {**one, **scaling.resources}.items():
                reserved[name] = reserved.get(name, 0.0) + amount * scaling.replicas
    return ", ".join(
        _lacking(name, amount, room.get(name, 0.0))
        for name, amount in reserved.items()
        if amount > room.get(name, 0.0)
    )


def _lacking(name: str, reserved: float, room: float) -> str:
    if name == "memory":
        return (
            f"its models reserve {reserved / GIB:.3g} GiB of memory and {room / GIB:.3g} are free"
        )
    return f"its models reserve {reserved:g} {name} and there is {room:g}"


def check_port(port: int) -> None:
    """Raises `PortTaken` when another program listens there, before a cluster is started."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError) as cause:
            raise PortTaken(
                f"Port {port} of {LOOPBACK} cannot be used: {cause}. Choose another with --port."
            ) from cause


@contextmanager
def served(port: int, *, traces: bool = False) -> Iterator[None]:
    """Ray Serve on the cluster, its one HTTP proxy on the head node's loopback at `port`.

    Ray's default is a proxy on every node: a request would then be lost with the node whose proxy
    took it, though the ingress and its book stand on the head node.
    With `traces` every request is traced to where `observe.otlp` says.
    """
    from ray import serve
    from ray.exceptions import RayError
    from ray.serve.exceptions import RayServeException

    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    serve.start(
        proxy_location="HeadOnly",
        http_options={"host": LOOPBACK, "port": port},
        logging_config={"encoding": "JSON", "enable_access_log": False, "log_level": "INFO"},
        tracing_config={**TRACING, "sampling_ratio": sampling_ratio()} if traces else None,
    )
    try:
        yield
    finally:
        # Applications end in order, their requests first; the cluster's end takes Serve with it.
        # A controller that died has none to end.
        with suppress(KeyboardInterrupt, RayError, RayServeException):
            for name in serve.status().applications:
                serve.delete(name)


def replica_metrics() -> str:
    """Where Ray tells the metrics of this node's replicas, and its own, to Prometheus."""
    import ray

    node = next(node for node in ray.nodes() if node["Alive"])
    return f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
