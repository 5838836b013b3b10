"""`merge`: the node that joins what several asks read; the joining itself is `combine.merge`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from orchestra.combine.merge import MergeRules, Side, merge_readings
from orchestra.errors import InvalidGraph
from orchestra.graph.outcome import outcomes_of
from orchestra.graph.state import JobState


@dataclass(frozen=True, slots=True)
class Merge:
    """Joins the fields of `nodes`. Add it with `defer=True`, so it waits for every branch."""

    nodes: tuple[str, ...]
    rules: MergeRules
    costs_nothing: ClassVar[bool] = True

    async def __call__(self, state: JobState) -> dict[str, Any]:
        """Fields joined from the outcomes that are there; a skipped or failed node adds none."""
        outcomes = outcomes_of(state)
        readings = [outcomes[node].fields for node in self.nodes if node in outcomes]
        merged = merge_readings(readings, self.rules)
        return {"fields": {name: field.model_dump(mode="json") for name, field in merged.items()}}


def merge(*nodes: str, prefer: Side = "image", rules: MergeRules | None = None) -> Merge:
    """A node that merges the answers of `nodes`, field by field.

    `prefer` says whose value stands when both answer; `rules` says more. Raises `InvalidGraph`
    without nodes.
    """
    if not nodes:
        raise InvalidGraph("merge() joins no nodes. Name them: merge('look', 'read').")
    return Merge(nodes, rules or MergeRules(prefer=prefer))
