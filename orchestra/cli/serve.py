"""`orchestra serve`: graphs and models over HTTP, on a Ray cluster that this command owns."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from orchestra.book.postgres import is_postgres
from orchestra.cli.command import command, is_json, print_json
from orchestra.cli.options import PATH, cache_of, cache_options, fleet_option, policy_option
from orchestra.cluster.owned import (
    LOOPBACK,
    check_port,
    check_room,
    cpus_for,
    own_cluster,
    replica_metrics,
    served,
)
from orchestra.core.errors import ModelUnavailable
from orchestra.fleet.source import graph_place, load_graph
from orchestra.observe.export import TRACES_FILE
from orchestra.serving.app import graph_name
from orchestra.serving.app import serve as app_of
from orchestra.serving.args import checked_fleet, read_args
from orchestra.serving.config import as_yaml, deploy_config

EPILOG = """\b
Examples:
  orchestra serve
  orchestra serve --graph shop.py:build --fleet fleet.yaml --port 8080
  orchestra serve --graph listing --policy policy.yaml
  orchestra serve --graph listing --write-config serve.yaml
"""
DIED = (
    "its process died while the model loaded: it was killed for memory, or crashed in native code. "
    "Free memory, or load the model alone to see it: orchestra run"
)
DEFAULT_GRAPHS = ("answer", "listing")


@command("serve", EPILOG)
@click.option(
    "--graph",
    "graphs",
    multiple=True,
    default=DEFAULT_GRAPHS,
    help="Graph to serve; may be given again. The first one runs jobs that name none.",
)
@fleet_option
@click.option("--port", type=click.IntRange(1, 65535), default=8000)
@click.option("--cpus", type=click.IntRange(1), help="Logical CPUs that replicas may reserve.")
@click.option(
    "--book",
    help="File or postgresql:// that keeps the ledger over restarts (default: spending counts from "
    "the start).",
)
@click.option(
    "--ingresses",
    type=click.IntRange(1),
    default=1,
    help="Processes that run graphs; they share one ledger.",
)
@policy_option
@cache_options
@click.option(
    "--traces",
    type=PATH,
    help="Write the spans of every request to this file, one JSON object a line.",
)
@click.option(
    "--write-config",
    type=PATH,
    help="Write the YAML for `serve deploy` here instead of serving.",
)
def serve_command(
    graphs: tuple[str, ...],
    fleet: str,
    port: int,
    cpus: int | None,
    book: str | None,
    ingresses: int,
    policy: Path | None,
    cache: Path | None,
    cache_mib: int | None,
    traces: Path | None,
    write_config: Path | None,
) -> None:
    """Serve graphs and models on loopback until Ctrl-C: jobs, plans and OpenAI's chat API."""
    args = {"fleet": _absolute(fleet), "graphs": ",".join(map(_found, graphs[1:]))}
    if book is not None:
        args["book"] = book if is_postgres(book) else str(Path(book).resolve())
    for name, path in (("policy", policy), ("cache", cache)):
        if path is not None:
            args[name] = str(path.resolve())
    if ingresses > 1:
        args["ingresses"] = str(ingresses)
    if write_config is not None:
        _write(write_config, graphs, args, port)
        return
    store = cache_of(cache, cache_mib)  # here already, so that its bound is set
    if store is not None:
        store.close()
    _serve(graphs, args, port, cpus, traces)


def _write(path: Path, graphs: Sequence[str], args: dict[str, str], port: int) -> None:
    text = as_yaml(deploy_config(graphs[0], args, port), path.name)
    path.write_text(text, encoding="utf-8")
    click.echo(f"wrote {path}; deploy it on a cluster with: serve deploy {path}", err=True)


def _serve(
    graphs: Sequence[str],
    args: dict[str, str],
    port: int,
    cpus: int | None,
    traces: Path | None,
) -> None:
    file = checked_fleet(read_args(args))
    build = load_graph(graphs[0])
    check_port(port)
    stop = _Stop()
    stop.on_signals()
    click.echo(f"starting a cluster on loopback, with the fleet {file.name!r} ...", err=True)
    if traces is not None:
        os.environ[TRACES_FILE] = str(traces.resolve())  # every process of the cluster inherits it
    with own_cluster(cpus=cpus or cpus_for(file)), served(port, traces=traces is not None):
        check_room(file)
        if not stop.finishes(lambda: _deploy(build, args)):
            click.echo("stopped before the models were loaded", err=True)
            return
        _print_ready(port, [graph_name(load_graph(graph)) for graph in graphs])
        stop.requested.wait()
        click.echo("stopping: requests under way are finished first", err=True)
    click.echo("stopped", err=True)


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


class _Interrupted(BaseException):
    """Ctrl-C while the models load."""


class _Stop:
    """Ctrl-C and SIGTERM end the service in order: while the models load, at once."""

    def __init__(self) -> None:
        self.requested = threading.Event()
        self._is_loading = False

    def on_signals(self) -> None:
        """From now on. They come to this thread, the main one."""
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGTERM, self._ask)

    def finishes(self, load: Callable[[], None]) -> bool:
        """Run `load`, which a signal ends; whether it came to its own end."""
        try:
            self._is_loading = True
            if not self.requested.is_set():
                load()
            self._is_loading = False
        except _Interrupted:
            return False
        return not self.requested.is_set()

    def _ask(self, number: int, frame: Any) -> None:
        if self.requested.is_set():
            sys.exit(130)  # a second time
        self.requested.set()
        if self._is_loading:
            self._is_loading = False
            raise _Interrupted


def _absolute(fleet: str) -> str:
    """Replicas run in other folders, so a file is named by its whole path."""
    return str(Path(fleet).resolve()) if fleet.endswith((".yaml", ".yml")) else fleet


def _found(graph: str) -> str:
    """A graph as replicas find it: a file by its whole path. Raises `InvalidGraph`."""
    place = graph_place(load_graph(graph))
    return place if place and ".py:" in graph else graph


def _print_ready(port: int, graphs: list[str]) -> None:
    url = f"http://{LOOPBACK}:{port}"
    replicas = replica_metrics()
    if is_json():
        places = {"url": url, "openai": f"{url}/v1", "docs": f"{url}/docs", "graphs": graphs}
        print_json({**places, "metrics": f"{url}/metrics", "replica_metrics": replicas})
        return
    click.echo(f"ready   {url}   (OpenAI base URL {url}/v1, documentation {url}/docs)")
    click.echo(f"graphs  {', '.join(graphs)}   state {url}/readyz")
    click.echo(f"metrics {url}/metrics   of replicas {replicas}")
    click.echo(
        f"try     curl {url}/v1/jobs -H 'Content-Type: application/json' "
        '-d \'{"text": "A red apple from Italy. What colour is it?"}\''
    )
    click.echo("stop    Ctrl-C", err=True)
