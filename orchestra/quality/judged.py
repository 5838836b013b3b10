"""Judged readings of every node, model and field, and what their calls cost; it fits nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from orchestra.quality.readings import Judged, Place, Recorded


@dataclass(frozen=True, slots=True)
class Data:
    """Recorded readings with their judged answers, and what calls cost."""

    recorded: Mapping[Place, Recorded]
    judged: Mapping[Place, Judged]
    costs: Mapping[tuple[str, str], float]

    def models(self, node: str) -> list[str]:
        """Models that were judged at `node`, cheapest first."""
        names = {model for at, model, _ in self.judged if at == node}
        return sorted(names, key=lambda name: (self.costs.get((node, name), 0.0), name))

    def fields(self, node: str, model: str) -> list[str]:
        """Fields of a model that were judged."""
        return [name for at, who, name in self.judged if (at, who) == (node, model)]


def inside(share: float) -> float:
    """A share as it is written: rounded, and from 0 to 1."""
    return min(1.0, max(0.0, round(share, 6)))
