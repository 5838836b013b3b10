"""Finds the best assignment that keeps all limits, without looking at most of the others.

Exact branch and bound. Quality, cost and latency of an assignment are sums over its nodes, and
it is ranked by them in that order, so the best choice of each node by itself is a bound for what
is still to be chosen; the first assignment found is often the best one already. Of several that
rank the same, the one whose first nodes get their own best is taken. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from orchestra.routing.options import Options, held_gib, least_gib
from orchestra.routing.plan import NodePlan, Option

Rank = tuple[float, int, float]  # quality with its sign turned, cost, latency: smaller is better
NOTHING: Rank = (0.0, 0, 0.0)


def best_fitting(options: Options) -> Option | None:
    """The best assignment that breaks no limit, or None."""
    search = _Search(options)
    search.go(0, NOTHING)
    return search.best


def best_judged(options: Options) -> Option | None:
    """The best assignment within the limits, cascades first where the policy has them."""
    wanted = tuple(
        tuple(node for node in nodes if node.escalation is not None) or nodes
        for nodes in options.choices
    )
    if wanted == options.choices:
        return best_fitting(options)
    return best_fitting(replace(options, choices=wanted)) or best_fitting(options)


@dataclass(slots=True)
class _Search:
    options: Options
    best: Option | None = None
    _best_rank: Rank | None = None
    _chosen: list[NodePlan] = field(default_factory=list)
    _ordered: list[list[tuple[Rank, NodePlan]]] = field(default_factory=list)
    _rest: list[Rank] = field(default_factory=list)
    _least: list[dict[str, float]] = field(default_factory=list)
    _limits: dict[str, float] = field(default_factory=dict)
    _fastest: list[NodePlan] = field(default_factory=list)

    def __post_init__(self) -> None:
        choices = self.options.choices
        self._ordered = [
            sorted(((_rank(node), node) for node in nodes), key=_by_rank_then_name)
            for nodes in choices
        ]
        self._limits = {name: float(limit) for name, limit in self.options.limits.items()}
        self._rest, self._least = [NOTHING], [{"cost_usd": 0, "tokens": 0}]
        for nodes in reversed(self._ordered):
            self._rest.append(_sum(nodes[0][0], self._rest[-1]))
            below = self._least[-1]
            cost = below["cost_usd"] + min(node.cost_micro for _, node in nodes)
            tokens = below["tokens"] + min(node.tokens for _, node in nodes)
            self._least.append({"cost_usd": cost, "tokens": tokens})
        self._rest.reverse()
        self._least.reverse()
        if "latency_ms" in self._limits:
            self._fastest = [min(nodes, key=self.options.fastest_key) for nodes in choices]

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
        limits, least, chosen = self._limits, self._least[at], self._chosen
        if "cost_usd" in limits:
            cost = sum(node.cost_micro for node in chosen) + least["cost_usd"]
            if cost > limits["cost_usd"]:
                return False
        if "tokens" in limits:
            tokens = sum(node.tokens for node in chosen) + least["tokens"]
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
    return (-(node.quality or 0.0), node.cost_micro, node.latency_ms)


def _by_rank_then_name(pair: tuple[Rank, NodePlan]) -> tuple[Rank, str]:
    return pair[0], pair[1].model


def _sum(one: Rank, other: Rank) -> Rank:
    return (one[0] + other[0], one[1] + other[1], one[2] + other[2])
