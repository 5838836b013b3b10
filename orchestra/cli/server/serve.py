"""`orchestra serve`: graphs and models over HTTP, on a Ray cluster that this command owns."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import click

from orchestra.cli.command import command, is_json, print_json
from orchestra.cli.options import PATH, cache_of
from orchestra.cli.server.serve_options import app_options, args_of, end_options
from orchestra.cluster.owned import (
    LOOPBACK,
    check_host,
    check_port,
    check_room,
    cpus_for,
    own_cluster,
    replica_metrics,
    served,
)
from orchestra.cluster.stop import Stop
from orchestra.cluster.supervised import CLUSTER_DIED, end_descendants, go_on_in_child
from orchestra.cluster.watch import Watch, dead_part, proxy_pulse
from orchestra.core.errors import ModelUnavailable
from orchestra.fleet.source import load_graph
from orchestra.observe import otlp
from orchestra.serving.admission.front import front_environment
from orchestra.serving.app import graph_name
from orchestra.serving.app import serve as app_of
from orchestra.serving.args import checked_fleet, read_args
from orchestra.serving.canary.second import with_second
from orchestra.serving.config import as_yaml, deploy_config
from orchestra.serving.inherited import Told, inherited

EPILOG = """\b
Examples:
  orchestra serve
  orchestra serve --graph shop.py:build --fleet fleet.yaml --port 8080
  orchestra serve --graph listing --policy policy.yaml
  orchestra serve --book book.sqlite --keys --cost-usd-per-day 20
  orchestra serve --graph listing --write-config serve.yaml
"""
DIED = (
    "its process died while the model loaded: it was killed for memory, or crashed in native code. "
    "Free memory, or load the model alone to see it: orchestra run"
)
DEFAULT_GRAPHS = ("answer", "listing")
# Where to ask what listens on all addresses.
WILDCARDS = {str(IPv4Address(0)): LOOPBACK, "::": "::1"}


@command("serve", EPILOG)
@click.option(
    "--graph",
    "graphs",
    multiple=True,
    default=DEFAULT_GRAPHS,
    help="Graph to serve; may be given again. The first one runs jobs that name none.",
)
@click.option("--port", type=click.IntRange(1, 65535), default=8000)
@click.option(
    "--host",
    default=LOOPBACK,
    metavar="ADDRESS",
    help="Listen there; one beyond this machine, as 0.0.0.0, needs --keys.",
)
@click.option("--cpus", type=click.IntRange(1), help="Logical CPUs that replicas may reserve.")
@app_options
@end_options
@click.option(
    "--write-config",
    type=PATH,
    help="Write the YAML for `serve deploy` here instead of serving.",
)
def serve_command(
    graphs: tuple[str, ...],
    port: int,
    host: str,
    cpus: int | None,
    write_config: Path | None,
    grace_s: float,
    **given: Any,
) -> None:
    """Serve graphs and models until Ctrl-C: jobs, plans and OpenAI's chat API.

    Exits with 0 when it was stopped, 1 or 2 when it could not start, 75 when its cluster died and
    it should be started again, 130 after a second Ctrl-C.
    """
    args = args_of(graphs[1:], given)
    check_host(host, has_keys=given["keys"])
    if write_config is not None:
        _write(write_config, graphs, args, port)
        return
    store = cache_of(given["cache"], given["cache_mib"])  # here already, so that its bound is set
    if store is not None:
        store.close()
    told = Told(**{field.name: given[field.name] for field in fields(Told)})
    _serve(graphs, args, host, port, cpus, grace_s, told)


def _write(path: Path, graphs: Sequence[str], args: dict[str, str], port: int) -> None:
    text = as_yaml(deploy_config(graphs[0], args, port), path.name)
    path.write_text(text, encoding="utf-8")
    click.echo(f"wrote {path}; deploy it on a cluster with: serve deploy {path}", err=True)


def _serve(
    graphs: Sequence[str],
    args: dict[str, str],
    host: str,
    port: int,
    cpus: int | None,
    grace_s: float,
    told: Told,
) -> None:
    checked = read_args(args)
    file = with_second(checked, checked_fleet(checked))
    build = load_graph(graphs[0])
    check_port(port, host)
    go_on_in_child(grace_s)
    stop = Stop()
    stop.on_signals()
    click.echo(f"starting a cluster on loopback, with the fleet {file.name!r} ...", err=True)
    if otlp.is_wanted():
        otlp.check()
    os.environ.update(front_environment(checked.queue, checked.max_ongoing))
    is_traced = told.traces is not None or otlp.is_wanted()
    try:
        with (
            inherited(told) as door,
            own_cluster(cpus=cpus or cpus_for(file)),
            served(port, host, traces=is_traced),
            _watched(WILDCARDS.get(host, host), port),
        ):
            stop.on_signals()
            check_room(file)
            if not stop.finishes(lambda: _deploy(build, args)):
                click.echo("stopped before the models were loaded", err=True)
                return
            names = [graph_name(load_graph(graph)) for graph in graphs]
            _print_ready(url_of(host, port), names, has_keys=checked.keys)
            stop.requested.wait()
            click.echo("stopping: requests under way are finished first", err=True)
            if not door.shut(grace_s):
                click.echo(f"requests still under way after {grace_s:g} s are cut", err=True)
        click.echo("stopped", err=True)
    finally:
        end_descendants()


@contextmanager
def _watched(host: str, port: int) -> Iterator[None]:
    """A cluster that dies in the block ends this process, and with it the service."""
    from ray import serve as ray_serve  # an extra

    pulses = {
        f"the HTTP proxy on port {port}": lambda: proxy_pulse(host, port),
        "the controller of Ray Serve": ray_serve.status,
    }
    watch = Watch(dead_part, pulses, _end_with_cluster)
    watch.begin()
    try:
        yield
    finally:
        watch.end()


def _end_with_cluster(why: str) -> None:
    """At once: nothing of it can be ended in order any more."""
    click.echo(f"the cluster died: {why}. Start it again; the logs are in Ray's folder", err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(CLUSTER_DIED)


def _deploy(build: Any, args: dict[str, str]) -> None:
    """Deploy and wait until every model has loaded. Raises `ModelUnavailable` with the reason."""
    from ray import serve as ray_serve  # an extra, and `own_cluster` has said where it is missing

    try:
        ray_serve.run(app_of(build)(args), name="orchestra", route_prefix="/")
    except RuntimeError as cause:
        raise ModelUnavailable(f"The application did not start: {_reason()}") from cause


def _reason() -> str:
    """What Serve says of the deployment that failed: the last line of its trace, which is ours."""
    from ray import serve as ray_serve  # an extra

    reasons = [
        f"{name}: {_last_line(deployment.message)}"
        for app in ray_serve.status().applications.values()
        for name, deployment in app.deployments.items()
        if "UNHEALTHY" in deployment.status or "FAILED" in deployment.status
    ]
    return "; ".join(reasons) or "Serve gives no reason; see its logs under the session's folder."


def _last_line(message: str) -> str:
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    typed = [line for line in lines if line.startswith("orchestra.core.errors.")]
    if typed:
        return typed[-1].removeprefix("orchestra.core.errors.")
    if "ActorDiedError" in message:
        return DIED
    return (lines or ["no reason"])[-1]


def url_of(host: str, port: int) -> str:
    """Where what listens at `host` is reached from this machine."""
    reached = WILDCARDS.get(host, host)
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def _print_ready(url: str, graphs: list[str], *, has_keys: bool) -> None:
    replicas = replica_metrics()
    if is_json():
        places = {"url": url, "openai": f"{url}/v1", "docs": f"{url}/docs", "graphs": graphs}
        print_json({**places, "metrics": f"{url}/metrics", "replica_metrics": replicas})
        return
    click.echo(f"ready   {url}   (OpenAI base URL {url}/v1, documentation {url}/docs)")
    click.echo(f"graphs  {', '.join(graphs)}   state {url}/readyz")
    click.echo(f"metrics {url}/metrics   of replicas {replicas}")
    key = "-H 'Authorization: Bearer orc_...' " if has_keys else ""
    click.echo(
        f"try     curl {url}/v1/jobs {key}-H 'Content-Type: application/json' "
        '-d \'{"text": "A red apple from Italy. What colour is it?"}\''
    )
    click.echo("stop    Ctrl-C", err=True)
