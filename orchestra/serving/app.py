"""`serve`: a graph as a Ray Serve application; ray is imported only when one is built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic import Field as Attribute

from orchestra import shipped
from orchestra.errors import InvalidFleet, MissingExtra
from orchestra.fleet.card import FleetFile
from orchestra.fleet.fingerprint import fingerprints
from orchestra.fleet.fleet import Build
from orchestra.fleet.source import graph_place, load_fleet, load_graph
from orchestra.quality.policy import load_policy


class AppArgs(BaseModel):
    """What stands behind `serve run module:app` as key=value, or under `args` in a deploy YAML.

    `fleet` is a name or the path of a YAML file that every node has at the same place. `graphs`
    names more graphs to serve beside the app's own, with commas. `ingresses` is the number of
    replicas that run graphs, `max_ongoing` how many requests each takes at once. `book` is a file
    on the head node that keeps the ledger over restarts; without it each ingress counts what it
    spent since it started. `cache` is the folder of a cache of replies, one on each node that has
    an ingress; runs of other programs may use it at the same time. `policy` is what `orchestra
    calibrate` wrote, a file at the same place on each node with an ingress: jobs are planned by it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fleet: str = "mini"
    graphs: str = ""
    ingresses: int = Attribute(default=1, ge=1)
    max_ongoing: int = Attribute(default=256, ge=1)
    book: str = ""
    cache: str = ""
    policy: str = ""

    @model_validator(mode="after")
    def _one_writer(self) -> Self:
        if self.book and self.ingresses > 1:
            raise ValueError(
                f"book={self.book!r} has one writer, and ingresses={self.ingresses}; "
                "use one ingress, or no book"
            )
        return self


def serve(build: Build) -> Callable[[Mapping[str, Any]], Any]:
    """An application builder for `serve run module:app fleet=mini`.

    The application has one deployment for each hosted model of the fleet, and the ingress, which
    runs the graphs and speaks HTTP. Raises `MissingExtra` when it is called without ray
    installed, `InvalidFleet` for arguments or a fleet that do not validate, and `InvalidPolicy` for
    a policy of other models.
    """

    def app(args: Mapping[str, Any]) -> Any:
        try:
            from orchestra.serving.deployment import bind
        except ImportError as cause:
            raise MissingExtra(
                f"Serving needs a package that is not installed ({cause.name!r}). "
                "Install it: pip install 'orchestra-fleet[ray,local]'."
            ) from cause
        wanted = read_args(args)
        file = checked_fleet(wanted)
        return bind(file, wanted, served_graphs(build, wanted))

    app.build = build  # type: ignore[attr-defined]  # `orchestra serve --write-config` finds it
    return app


def read_args(args: Mapping[str, Any]) -> AppArgs:
    """The arguments as given. Raises `InvalidFleet` naming the one that is wrong."""
    try:
        return AppArgs.model_validate(dict(args))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "together"
        raise InvalidFleet(
            f"The app's argument {place!r} is wrong: {first['msg']} (got {first['input']!r}). "
            f"It takes: {', '.join(AppArgs.model_fields)}."
        ) from error


def checked_fleet(args: AppArgs) -> FleetFile:
    """The fleet to serve, which is the one its policy was fitted on.

    It is checked before anything starts: a replica that refuses its policy would be started again.
    Raises `InvalidFleet`, and for the policy what `load_policy` and `Policy.check` raise.
    """
    file, folder = load_fleet(args.fleet)
    if args.policy:
        load_policy(Path(args.policy)).check(fingerprints(file, folder), file.name)
    return file


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
