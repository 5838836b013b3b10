"""Finds the best assignment that keeps all limits, without looking at most of the others.

Exact branch and bound. Quality, expected cost and latency of an assignment are sums over its
nodes, and it is ranked by them in that order, so the best choice of each node by itself is a bound
for what is still to be chosen; the first assignment found is often the best one already. Of several
that rank the same, the one whose first nodes get their own best is taken. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

from orchestra.routing.options import Options, held_gib, least_gib
from orchestra.routing.plan import NodePlan, Option

Rank = tuple[float, int, float]  # -quality, expected cost, latency: smaller is better
NOTHING: Rank = (0.0, 0, 0.0)


def best_fitting(options: Options) -> Option | None:
    """The best assignment that breaks no limit, or None."""
    search = _Search(options)
    search.go(0, NOTHING)
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


class _Search:
    """The choices of each node best first, and behind each node the least that the rest takes."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.best: Option | None = None
        self._best_rank: Rank | None = None
        self._chosen: list[NodePlan] = []
        self._limits = {name: float(limit) for name, limit in options.limits.items()}
        self._ordered = [
            sorted(((_rank(node), node) for node in nodes), key=_by_rank_then_name)
            for nodes in options.choices
        ]
        # From each node on, and of nothing behind the last: sums grow from the end.
        backwards = self._ordered[::-1]
        best = (nodes[0][0] for nodes in backwards)
        self._rest = [*accumulate(best, _sum, initial=NOTHING)][::-1]
        cheapest = (min(node.cost_micro for _, node in nodes) for nodes in backwards)
        self._least_micro = [*accumulate(cheapest, initial=0)][::-1]
        shortest = (min(node.tokens for _, node in nodes) for nodes in backwards)
        self._least_tokens = [*accumulate(shortest, initial=0)][::-1]
        if "latency_ms" in self._limits:
            self._fastest = [min(nodes, key=options.fastest_key) for nodes in options.choices]

    def go(self, at: int, so_far: Rank) -> None:
        """Choose for the node `at` and those behind it."""
        if at == len(self._ordered):
            self.best, self._best_rank = tuple(self._chosen), so_far
            return
        for own, node in self._ordered[at]:
            rank = _sum(so_far, own)
            if self._best_rank is not None and _sum(rank, self._rest[at + 1]) >= self._best_rank:
                return  # the choices that follow rank no better
            self._chosen.append(node)
            if not self._limits or self._may_fit(at + 1):
                self.go(at + 1, rank)
            self._chosen.pop()

    def _may_fit(self, at: int) -> bool:
        """Whether what is chosen keeps the limits, with the least that the rest can take."""
        limits, chosen = self._limits, self._chosen
        if "cost_usd" in limits:
            micro = sum(node.cost_micro for node in chosen) + self._least_micro[at]
            if micro > limits["cost_usd"]:
                return False
        if "tokens" in limits:
            tokens = sum(node.tokens for node in chosen) + self._least_tokens[at]
            if tokens > limits["tokens"]:
                return False
        if "memory_gib" in limits:
            # Spread over nodes, more models may by chance lie better: only all of them tell.
            held = held_gib if at == len(self._ordered) else least_gib
            if held(chosen, self.options.machines) > limits["memory_gib"]:
                return False
        return "latency_ms" not in limits or self._may_be_in_time(at)

    def _may_be_in_time(self, at: int) -> bool:
        options, limit = self.options, self._limits["latency_ms"]
        if at == len(self._ordered):
            return round(options.bound_ms(tuple(self._chosen)), 3) <= limit
        # What a minute allows depends on who shares a model, so the rest is taken as unlimited.
        least = options.least_ms(tuple(self._chosen), tuple(self._fastest[at:]))
        return round(least, 3) <= limit


def _rank(node: NodePlan) -> Rank:
    return (-(node.quality or 0.0), node.expected_micro, node.latency_ms)


def _by_rank_then_name(pair: tuple[Rank, NodePlan]) -> tuple[Rank, str]:
    return pair[0], pair[1].model


def _sum(one: Rank, other: Rank) -> Rank:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2])
