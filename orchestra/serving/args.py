"""What stands behind `serve run module:app` as key=value, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic import Field as Attribute

from orchestra.core.card import FleetFile
from orchestra.core.errors import InvalidFleet
from orchestra.core.identity import fingerprints
from orchestra.core.job import first_problem
from orchestra.fleet.source import load_fleet
from orchestra.quality.policy import load_policy
from orchestra.serving.admission.guard import PLACES


class AppArgs(BaseModel):
    """What stands behind `serve run module:app` as key=value, or under `args` in a deploy YAML.

    `fleet` is a name or the path of a YAML file that every node has at the same place. `graphs`
    names more graphs to serve beside the app's own, with commas. `ingresses` is the number of
    replicas that run graphs and share one ledger, `max_ongoing` how many requests each serves at
    once (0 has it found by how long they take), `queue` how many may wait for that at each. `book`
    is a file on the head node that keeps the ledger over restarts, or the address of a Postgres
    database (`postgresql://...`); without it what was spent counts from the start. `cache` is the
    folder of a cache of replies on that node; runs of other programs may use it at the same time.
    `policy` is what `orchestra calibrate` wrote, a file there: jobs are planned by it.
    `host_names` are names, with commas, that clients may reach the server by beside its addresses
    and `localhost`; one that begins with a dot stands for all below it, `*` for any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    fleet: str = "mini"
    graphs: str = ""
    ingresses: int = Attribute(default=1, ge=1)
    max_ongoing: int = Attribute(default=0, ge=0)
    queue: int = Attribute(default=PLACES, ge=1)
    book: str = ""
    cache: str = ""
    policy: str = ""
    host_names: str = ""

    @property
    def has_shared_ledger(self) -> bool:
        """Whether the ledger is a process of its own: where it has a file, or several ingresses."""
        return bool(self.book) or self.ingresses > 1


def read_args(args: Mapping[str, Any]) -> AppArgs:
    """The arguments as given. Raises `InvalidFleet` naming the one that is wrong."""
    try:
        return AppArgs.model_validate(dict(args))
    except ValidationError as error:
        raise InvalidFleet(
            f"An argument of the app is wrong: {first_problem(error, AppArgs)}. It takes: "
            f"{', '.join(AppArgs.model_fields)}."
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
