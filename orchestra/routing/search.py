"""Finds the best assignment that keeps all limits, without looking at most of the others.

Exact branch and bound. Quality, expected cost and latency of an assignment are sums over its
nodes, and it is ranked by them in that order, so the best choice of each node by itself is a bound
for what is still to be chosen; the first assignment found is often the best one already. Of several
that rank the same, the one whose first nodes get their own best is taken. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import accumulate

from orchestra.routing.options import PLACES, Options, held_gib, least_gib
from orchestra.routing.plan import NodePlan, Option

Rank = tuple[float, int, float]  # -quality, expected cost, latency: smaller is better
NOTHING: Rank = (0.0, 0, 0.0)


def best_fitting(options: Options) -> Option | None:
    """The best assignment that breaks no limit, or None."""
    search = _Search(options)
    search.go(0, _SoFar())
    return search.best


def best_judged(options: Options) -> Option | None:
    """The best assignment within the limits, cascades first where the policy has them."""
    cascades = tuple(
        tuple(node for node in nodes if node.escalation is not None) or nodes
        for nodes in options.choices
    )
    if cascades == options.choices:
        return best_fitting(options)
    return best_fitting(replace(options, choices=cascades)) or best_fitting(options)


@dataclass(frozen=True, slots=True)
class _Choice:
    """A choice for a node: how it ranks, and the models that have to be there for it, with GiB."""

    rank: Rank
    node: NodePlan
    hosts: tuple[tuple[str, float], ...]

    @classmethod
    def of(cls, node: NodePlan) -> _Choice:
        """That of a priced node."""
        hosts = {hosted.model: hosted.memory_gib for hosted in node.hosted}
        rank = (-(node.quality or 0.0), node.expected_micro, node.latency_ms)
        return cls(rank, node, tuple(hosts.items()))


@dataclass(frozen=True, slots=True)
class _SoFar:
    """What the choices made so far come to; `gib` is held on one machine."""

    rank: Rank = NOTHING
    micro: int = 0
    tokens: int = 0
    gib: float = 0.0


class _Search:
    """The choices of each node best first, and behind each node the least that the rest takes."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.best: Option | None = None
        self._best_rank: Rank | None = None
        self._chosen: list[NodePlan] = []
        self._held: set[str] = set()  # models of what is chosen
        limits = {name: float(limit) for name, limit in options.limits.items()}
        self._most_micro = limits.get("cost_usd", math.inf)
        self._most_tokens = limits.get("tokens", math.inf)
        self._most_gib = limits.get("memory_gib")
        self._most_ms = limits.get("latency_ms")
        self._ordered = [
            sorted(map(_Choice.of, nodes), key=_by_rank_then_name) for nodes in options.choices
        ]
        # From each node on, and of nothing behind the last: sums grow from the end.
        backwards = self._ordered[::-1]
        best = (choices[0].rank for choices in backwards)
        self._rest = [*accumulate(best, _sum, initial=NOTHING)][::-1]
        cheapest = (min(choice.node.cost_micro for choice in choices) for choices in backwards)
        self._least_micro = [*accumulate(cheapest, initial=0)][::-1]
        shortest = (min(choice.node.tokens for choice in choices) for choices in backwards)
        self._least_tokens = [*accumulate(shortest, initial=0)][::-1]
        if self._most_ms is not None:
            self._fastest = [min(nodes, key=options.fastest_key) for nodes in options.choices]

    def go(self, at: int, so_far: _SoFar) -> None:
        """Choose for the node `at` and those behind it."""
        if at == len(self._ordered):
            self.best, self._best_rank = tuple(self._chosen), so_far.rank
            return
        for choice in self._ordered[at]:
            rank = _sum(so_far.rank, choice.rank)
            if self._best_rank is not None and _sum(rank, self._rest[at + 1]) >= self._best_rank:
                return  # the choices that follow rank no better
            micro = so_far.micro + choice.node.cost_micro
            tokens = so_far.tokens + choice.node.tokens
            if (
                micro + self._least_micro[at + 1] > self._most_micro
                or tokens + self._least_tokens[at + 1] > self._most_tokens
            ):
                continue
            more = [(model, gib) for model, gib in choice.hosts if model not in self._held]
            gib = so_far.gib + sum(gib for _, gib in more)
            self._chosen.append(choice.node)
            if self._has_memory(at + 1, gib) and self._may_be_in_time(at + 1):
                self._held.update(model for model, _ in more)
                self.go(at + 1, _SoFar(rank, micro, tokens, gib))
                self._held.difference_update(model for model, _ in more)
            self._chosen.pop()

    def _has_memory(self, at: int, gib: float) -> bool:
        if self._most_gib is None:
            return True
        machines = self.options.machines
        if machines == 1:
            return round(gib, PLACES) <= self._most_gib
        # Spread over nodes, more models may by chance lie better: only all of them tell.
        held = held_gib if at == len(self._ordered) else least_gib
        return held(self._chosen, machines) <= self._most_gib

    def _may_be_in_time(self, at: int) -> bool:
        if self._most_ms is None:
            return True
        options = self.options
        if at == len(self._ordered):
            return round(options.bound_ms(tuple(self._chosen)), 3) <= self._most_ms
        # What a minute allows depends on who shares a model, so the rest is taken as unlimited.
        least = options.least_ms(tuple(self._chosen), tuple(self._fastest[at:]))
        return round(least, 3) <= self._most_ms


def _by_rank_then_name(choice: _Choice) -> tuple[Rank, str]:
    return choice.rank, choice.node.model


def _sum(one: Rank, other: Rank) -> Rank:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2])
