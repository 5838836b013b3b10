"""What an assignment of models to nodes takes: sums over a whole graph, and the limits on them.

Pure arithmetic; it chooses nothing. Latency counts as a bound that 99 of 100 jobs keep (`timing`),
memory as the fleet's machines hold the models: all on one, or the fullest node of a cluster.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from orchestra.core.ask import Ask
from orchestra.core.card import FleetFile
from orchestra.core.errors import InvalidGraph
from orchestra.core.job import Budget
from orchestra.core.money import limit_micro, usd
from orchestra.quality.policy import Policy
from orchestra.routing.candidates import JobShape, NodeWork, candidates_of, judged, shared
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import NodePlan, Option, Rejected
from orchestra.routing.timing import IDLE, NOTHING_ELSE, Load, Rest, critical_path, siblings

PLACES = 6  # sums of decimal GiB are compared with limits
MOST_OPTIONS = 100_000  # where none fits, all are looked at: about three seconds
LIMITS = ("cost_usd", "tokens", "latency_ms", "memory_gib")


@dataclass(frozen=True, slots=True)
class Options:
    """The choices at each node of a graph, and the limits that an assignment must keep.

    A limit that is absent does not bind; cost is in micro-dollars. `refused` are models that no
    budget would make possible at a node.
    """

    choices: tuple[tuple[NodePlan, ...], ...]  # a tuple for each node
    view: GraphView
    limits: dict[str, Decimal]
    rest: Rest = NOTHING_ELSE
    machines: int = 1
    refused: tuple[Rejected, ...] = ()

    def all(self) -> Iterator[Option]:
        """Every assignment."""
        return itertools.product(*self.choices)

    def takes(self, option: Option) -> dict[str, Decimal]:
        """What `option` takes of each limit."""
        return {
            "cost_usd": Decimal(sum(node.cost_micro for node in option)),
            "tokens": Decimal(sum(node.tokens for node in option)),
            "latency_ms": Decimal(str(round(self.bound_ms(option), 3))),
            "memory_gib": Decimal(str(held_gib(option, self.machines))),
        }

    def expected_ms(self, option: Option) -> float:
        """Milliseconds that `option` is expected to take."""
        return critical_path(option, self.view) + self.rest.expected_ms(option)

    def bound_ms(self, option: Option) -> float:
        """Milliseconds within which 99 of 100 such jobs end, as far as that was measured."""
        whole = self.rest.whole_bound_ms(option, critical_path(option, self.view))
        if whole is not None:
            return whole
        return critical_path(option, self.view, bound=True) + self.rest.bound_ms(option)

    def least_ms(self, chosen: Option, others: Option) -> float:
        """No more than `bound_ms` of any assignment that has `chosen` and nothing faster than
        `others`, the fastest choices by `fastest_key`, at the other nodes."""
        if self.rest.whole_jobs is None:
            path = critical_path((*chosen, *others), self.view, bound=True)
            return path + self.rest.bound_ms(chosen)
        return critical_path((*chosen, *others), self.view) + self.rest.expected_ms(chosen)

    def fastest_key(self, node: NodePlan) -> float:
        """What tells the faster of two choices, for `least_ms`."""
        return node.p99_ms if self.rest.whole_jobs is None else node.latency_ms

    def broken(self, option: Option) -> dict[str, Decimal]:
        """Limits that `option` breaks, each with what it would take."""
        takes = self.takes(option)
        return {name: takes[name] for name, limit in self.limits.items() if takes[name] > limit}


def options_of(
    view: GraphView,
    active: dict[str, Ask],
    shape: JobShape,
    budget: Budget,
    fleet: FleetFile,
    load: Load = IDLE,
    policy: Policy | None = None,
) -> Options:
    """The choices at every node of `active`, priced beside `load`, as `policy` knows them.

    Raises `NoModel` for a node that no model may or can take, `PriceUnknown` where only the price
    is missing, `InvalidGraph` for more assignments than can be compared.
    """
    in_dollars = budget.cost_usd is not None
    candidates, refused = candidates_of(view, active, shape, fleet, in_dollars=in_dollars)
    beside = siblings(view, active)
    choices: list[tuple[NodePlan, ...]] = []
    for node, ask in active.items():
        work = NodeWork(node, ask, shape, view, beside[node], load)
        priced, too_long = work.priced(candidates[node])
        refused += too_long
        nodes = priced if policy is None else judged(priced, ask, policy, shape.expected)
        waits = ask.after is not None and _answers(view, active, ask.after.node)
        choices.append(shared(nodes, ask, policy) if waits else nodes)
    count = math.prod(len(alternatives) for alternatives in choices)
    if count > MOST_OPTIONS:
        raise InvalidGraph(
            f"The graph has {count} assignments of models to nodes, over {MOST_OPTIONS}. "
            "Use a smaller fleet, or split the graph."
        )
    cards = {card.name: card for found in candidates.values() for card, _ in found}
    rest = Rest(
        overhead=fleet.overhead,
        calls=sum(view.visits_in(node, shape.images) for node in active),
        images=shape.images,
        limits={name: c.limits for name, c in cards.items() if c.limits.is_paced},
        waits_ms=dict(load.waits_ms),
        whole_jobs=fleet.whole_jobs,
        measured=frozenset(name for name, card in cards.items() if card.latency is not None),
    )
    return Options(tuple(choices), view, _limits(budget), rest, fleet.machines, tuple(refused))


def _answers(view: GraphView, active: dict[str, Ask], node: str) -> bool:
    """Whether a node leaves anything: an ask whose input the job lacks does not."""
    return node in active or node not in view.asks


def _limits(budget: Budget) -> dict[str, Decimal]:
    limits = {
        "cost_usd": None if budget.cost_usd is None else Decimal(limit_micro(budget.cost_usd)),
        "tokens": None if budget.tokens is None else Decimal(budget.tokens),
        "latency_ms": None if budget.latency_ms is None else Decimal(str(budget.latency_ms)),
        "memory_gib": None if budget.memory_gib is None else Decimal(str(budget.memory_gib)),
    }
    return {name: limit for name, limit in limits.items() if limit is not None}


def rank(option: Option) -> tuple[float, int, float, str]:
    """Best expected quality first (unknown counts as 0), then cheapest, fastest, by name.

    Cheap is what is expected to cost little: a ceiling holds a fallback that is seldom asked, and
    is for limits alone.
    """
    quality = sum(node.quality or 0.0 for node in option) / len(option)
    slowest = sum(node.latency_ms for node in option)
    return (-quality, sum(node.expected_micro for node in option), slowest, name_of(option))


def name_of(option: Option) -> str:
    """Nodes and models, as in `look=vl, read=r1`."""
    return ", ".join(f"{node.node}={node.part}" for node in option)


def plain(name: str, value: Decimal) -> str:
    """What a limit takes as its option on the command line is given: dollars, or the unit."""
    return f"{usd(int(value)):f}" if name == "cost_usd" else format(value.normalize(), "f")


def held_gib(option: Sequence[NodePlan], machines: int = 1) -> float:
    """GiB that a machine must have for the models of `option`, fallbacks too, each hosted once.

    On one machine they stand side by side. On several their replicas are spread, the largest first,
    each to the machine that holds least: the figure is what the fullest one holds.
    """
    models = {node.model: node for planned in option for node in planned.hosted}
    if machines == 1:
        return round(sum(node.memory_gib for node in models.values()), PLACES)
    held = [0.0] * machines
    for gib in _replicas(models.values()):
        held[held.index(min(held))] += gib
    return round(max(held), PLACES)


def least_gib(option: Sequence[NodePlan], machines: int = 1) -> float:
    """What no way of hosting these models, and perhaps others beside them, can stay under."""
    if machines == 1:
        return held_gib(option)
    replicas = _replicas({n.model: n for planned in option for n in planned.hosted}.values())
    return round(max(max(replicas, default=0.0), sum(replicas) / machines), PLACES)


def _replicas(models: Iterable[NodePlan]) -> list[float]:
    sizes = [node.memory_gib for node in models for _ in range(node.replicas)]
    return sorted(sizes, reverse=True)
