"""What stands behind `serve run module:app` as key=value, checked before anything starts."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic import Field as Attribute

from orchestra.book.postgres import is_postgres
from orchestra.core.card import FleetFile
from orchestra.core.errors import ConfirmationNeeded, InvalidFleet
from orchestra.core.identity import fingerprints
from orchestra.core.job import first_problem
from orchestra.core.money import limit_micro
from orchestra.fleet.source import load_fleet, load_graph
from orchestra.quality.policy import load_policy
from orchestra.serving.admission.guard import PLACES

CANARY_ARGS = ("canary_fleet", "canary_policy", "canary_graph")


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
    `webhook` is an address that is told of batches that end and runs that begin to wait, signed by
    the secret in the environment's ORCHESTRA_WEBHOOK_SECRET.
    With `keys` every request needs one of those that the book has. `cost_usd_per_day` is the most
    that the server spends in a day (UTC); a fleet that bills needs it, or `yes`.
    `canary_percent` of the requests go to a second version, which has another fleet, policy or own
    graph (`canary_fleet`, `canary_policy`, `canary_graph`), until it is worse (`serving.canary`).
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
    webhook: str = ""
    keys: bool = False
    cost_usd_per_day: Annotated[Decimal, Attribute(ge=0, le=1_000_000_000)] | None = None
    yes: bool = False
    canary_percent: float = Attribute(default=0.0, ge=0, le=100)
    canary_fleet: str = ""
    canary_policy: str = ""
    canary_graph: str = ""

    @property
    def day_micro(self) -> int | None:
        """The ceiling of a day in micro-dollars."""
        return None if self.cost_usd_per_day is None else limit_micro(self.cost_usd_per_day)

    @model_validator(mode="after")
    def _keys_are_in_a_book(self) -> Self:
        if self.keys and not self.book:
            raise ValueError("keys are kept in a book: give book=FILE (--book), too")
        return self

    @model_validator(mode="after")
    def _canary_has_a_share(self) -> Self:
        named = [name for name in CANARY_ARGS if getattr(self, name)]
        if bool(named) != bool(self.canary_percent):
            raise ValueError(
                f"canary_percent={self.canary_percent:g} and "
                f"{', '.join(named) or 'nothing that differs'}: a canary has a share above 0, and "
                f"at least one of {', '.join(CANARY_ARGS)}; give both, or none"
            )
        return self

    @property
    def book_file(self) -> Path | None:
        """The book's file; None without a book, and for one in a database."""
        return Path(self.book) if self.book and not is_postgres(self.book) else None

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
    So is what a canary has instead. Raises `InvalidFleet`, `InvalidGraph`, `ConfirmationNeeded` for
    a fleet that bills and has no ceiling, and for a policy what `load_policy` and `Policy.check`
    raise.
    """
    file = _checked(args, args.fleet, args.policy)
    if args.canary_fleet or args.canary_policy:
        _checked(args, args.canary_fleet or args.fleet, args.canary_policy)
    if args.canary_graph:
        load_graph(args.canary_graph)
    return file


def _checked(args: AppArgs, fleet: str, policy: str) -> FleetFile:
    file, folder = load_fleet(fleet)
    _check_ceiling(file, args)
    if policy:
        load_policy(Path(policy)).check(fingerprints(file, folder), file.name)
    return file


def _check_ceiling(file: FleetFile, args: AppArgs) -> None:
    """Raise `ConfirmationNeeded` where strangers could spend without a bound."""
    paid = [card.name for card in file.models if card.is_hosted and card.price.is_paid]
    if paid and args.cost_usd_per_day is None and not args.yes:
        raise ConfirmationNeeded(
            f"The fleet {file.name!r} bills, or may bill, calls of {', '.join(paid)}, and nothing "
            "bounds what is asked of a server. Set a ceiling with --cost-usd-per-day N "
            "(cost_usd_per_day in a deploy file), or confirm with --yes (yes: true)."
        )
