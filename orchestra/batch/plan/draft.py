"""What a batch's plan is made of: the table as numbers, its sample, and predictions. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from orchestra.batch.plan.allocation import Allocation
from orchestra.batch.plan.forecast import Forecaster, Load, RouteOf, spread_over
from orchestra.batch.plan.kinds import Scan
from orchestra.batch.plan.sample import Sample
from orchestra.batch.plan.ways import Evidence
from orchestra.batch.plan.worth import worth_by_cards
from orchestra.batch.request import Request
from orchestra.core.card import FleetFile
from orchestra.routing.introspect import GraphView
from orchestra.routing.routes import Route

Shares = dict[str, list[tuple[Route | None, int]]]  # rows of each kind by route; None is left


@dataclass(slots=True)
class Draft:
    """What a plan is made of."""

    request: Request
    fleet: FleetFile
    view: GraphView
    scan: Scan
    kinds: dict[str, list[int]]
    ways: dict[str, list[Route]]
    sample: Sample
    evidence: Evidence
    forecaster: Forecaster
    cap_micro: int | None
    micro_before: int
    deadline_s: float | None
    hosts: int | None
    seed: int
    gold: Mapping[str, str]
    fields: Sequence[str]
    is_judged: bool
    notes: Sequence[str]
    sampled: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.sampled = {row.ordinal for row in self.sample.seen}

    @property
    def spent_micro(self) -> int:
        """What the batch has spent by now."""
        return self.micro_before + self.sample.spent_micro

    def rest(self, kind: str) -> list[int]:
        """Rows of a kind that are not in the sample."""
        return [ordinal for ordinal in self.kinds[kind] if ordinal not in self.sampled]

    def tried(self, kind: str) -> list[Route]:
        """Routes that the plan may choose: with a sample, those that were tried."""
        return [r for r in self.ways[kind] if not self.sampled or self.evidence.was_tried(kind, r)]

    def worth(self, kind: str, route: Route, draw: Sequence[int] | None = None) -> float:
        """What a row is worth along a route."""
        if self.sampled:
            return self.evidence.worth(kind, route, draw)
        return worth_by_cards(self.view, self.fleet, route, self.ways[kind][0])

    def along(self, shares: Shares) -> RouteOf:
        """Each row's route: rows of the sample take the fullest, which is paid."""
        others = spread_over(shares)

        def route_of(ordinal: int, kind: str) -> Route | None:
            if ordinal in self.sampled:
                return self.ways[kind][0]
            if ordinal in self.scan.finished:
                return None
            return others(ordinal, kind)

        return route_of

    def load(self, shares: Shares, *, merges: bool = False) -> Load:
        """What the batch still has to call for."""
        paid = [(row.ordinal, row.route) for row in self.sample.seen]
        return self.forecaster.load(self.along(shares), paid, merges=merges)


def shares_of(made: Allocation) -> Shares:
    """The rows of an allocation by kind and route, those left last."""
    return {
        kind: [*((Route.named(name), rows) for name, rows in ways.items()), (None, made.left[kind])]
        for kind, ways in made.served.items()
    }


def counts_of(shares: Shares) -> dict[tuple[str, str], int]:
    """Rows by kind and route, those left not counted."""
    return {(k, r.name): n for k, share in shares.items() for r, n in share if r is not None}
