"""`serve`: a graph as a Ray Serve application; ray is imported only when one is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from orchestra.core import shipped
from orchestra.core.errors import MissingExtra
from orchestra.fleet.opened import Build
from orchestra.fleet.source import graph_place, load_graph
from orchestra.serving.args import AppArgs, checked_fleet, read_args


def serve(build: Build) -> Callable[[Mapping[str, Any]], Any]:
    """An application builder for `serve run module:app fleet=mini`.

    The application has one deployment for each hosted model of the fleet, and the ingress, which
    runs the graphs and speaks HTTP. Raises `MissingExtra` when it is called without ray
    installed, `InvalidFleet` for arguments or a fleet that do not validate, and `InvalidPolicy` for
    a policy of other models.
    """

    def app(args: Mapping[str, Any]) -> Any:
        try:
            # ray is an optional extra, and a module that names its app is imported without it.
            from orchestra.serving.deployment import bind
        except ImportError as cause:
            raise MissingExtra(
                f"Serving needs a package that is not installed ({cause.name!r}). "
                "Install it: pip install 'orchestra-fleet[ray,mini]'."
            ) from cause
        checked = read_args(args)
        return bind(checked_fleet(checked), checked, served_graphs(build, checked))

    app.build = build  # type: ignore[attr-defined]  # `orchestra serve --write-config` finds it
    return app


def served_graphs(build: Build, args: AppArgs) -> dict[str, Build | str]:
    """The graphs by name, the app's own first.

    They stay names, which a replica resolves on its own node; a function that has none travels
    itself. Raises `InvalidGraph` here already for a name that is not there.
    """
    graphs: dict[str, Build | str] = {graph_name(build): graph_place(build) or build}
    for name in filter(None, (part.strip() for part in args.graphs.split(","))):
        graphs.setdefault(graph_name(load_graph(name)), name)
    return graphs


def graph_name(build: Build) -> str:
    """The entry point that names `build`, else its file's or module's last name."""
    if build.__module__.endswith(".py"):
        return Path(build.__module__).stem
    module = shipped.plain(build.__module__)
    place = f"{module}:{getattr(build, '__qualname__', '')}"
    for point in metadata.entry_points(group="orchestra.graphs"):
        if point.value == place:
            return point.name
    return module.rpartition(".")[2]
