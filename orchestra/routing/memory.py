"""What hosting an assignment's models takes: all on one machine, or the fullest node of a cluster.

Pure; it knows no plan and no limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestra.routing.plan import NodePlan

PLACES = 6  # sums of decimal GiB are compared with limits


def held_gib(option: Sequence[NodePlan], nodes: int = 1) -> float:
    """GiB that a machine must have for the models of `option`, fallbacks too, each hosted once.

    On one machine they stand side by side. On a cluster of `nodes` their replicas are spread, the
    largest first, each to the node that holds least: the figure is what the fullest node holds.
    """
    if nodes == 1:
        models = {node.model: node.memory_gib for node in option}
        for node in option:
            for other in (node.fallback, node.escalation):
                if other is not None:
                    models[other.model] = other.memory_gib
        return round(sum(models.values()), PLACES)
    held = [0.0] * nodes
    for gib in _replicas(option):
        held[held.index(min(held))] += gib
    return round(max(held), PLACES)


def least_gib(option: Sequence[NodePlan], nodes: int = 1) -> float:
    """What no way of hosting these models, and perhaps others beside them, can stay under."""
    if nodes == 1:
        return held_gib(option)
    replicas = _replicas(option)
    return round(max(max(replicas, default=0.0), sum(replicas) / nodes), PLACES)


def _replicas(option: Sequence[NodePlan]) -> list[float]:
    models = {name: (gib, replicas) for name, gib, replicas in _models(option)}
    return sorted((gib for gib, count in models.values() for _ in range(count)), reverse=True)


def _models(option: Sequence[NodePlan]) -> Iterator[tuple[str, float, int]]:
    for node in option:
        yield node.model, node.memory_gib, node.replicas
        for other in (node.fallback, node.escalation):
            if other is not None:
                yield other.model, other.memory_gib, other.replicas
