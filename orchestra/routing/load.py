"""What a call stands beside: calls under way now, and the nodes of its own job that run with it.

Pure; it knows no clock. Figures are counts of calls.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from orchestra.core.card import Card, FleetFile
from orchestra.routing.introspect import GraphView


@dataclass(frozen=True, slots=True)
class Beside:
    """Calls that share time with one: under way on its own model, and on others of the machine."""

    calls: float = 0.0
    neighbours: float = 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """Calls under way by model as a plan is made, other jobs' only; empty for none.

    `waits_ms` is how long a model's limits of a minute hold the next call back.
    """

    calls: tuple[tuple[str, int], ...] = ()
    waits_ms: tuple[tuple[str, float], ...] = ()
    local: frozenset[str] = field(default=frozenset(), compare=False)

    @classmethod
    def of(
        cls,
        counts: Mapping[str, int],
        fleet: FleetFile,
        waits_ms: Mapping[str, float] | None = None,
    ) -> Load:
        """The load of `counts`, calls by model of `fleet`."""
        if not counts and not waits_ms:
            return IDLE
        local = frozenset(card.name for card in fleet.models if _is_local(card))
        return cls(tuple(sorted(counts.items())), tuple(sorted((waits_ms or {}).items())), local)

    def beside(self, card: Card, siblings: int = 0) -> Beside:
        """What a call of `card` stands beside, with `siblings` of its own job under way."""
        own = sum(count for model, count in self.calls if model == card.name)
        if not _is_local(card):
            return Beside(own)  # a server elsewhere shares nothing with models here
        others = sum(c for model, c in self.calls if model != card.name and model in self.local)
        return Beside(own, others + siblings)


IDLE = Load()


def _is_local(card: Card) -> bool:
    return card.hosting.endpoint is None


def siblings(view: GraphView, active: Collection[str]) -> Mapping[str, int]:
    """For each of the `active` nodes, how many of the others may run at the same time."""
    if len(active) < 2:
        return dict.fromkeys(active, 0)
    behind: dict[str, set[str]] = {}
    for name in view.nodes:
        before = [other for other in view.predecessors(name) if other in behind]
        behind[name] = set(before).union(*(behind[other] for other in before))
    return {
        node: sum(
            other != node and other not in behind[node] and node not in behind[other]
            for other in active
        )
        for node in active
    }
