"""Prices of single nodes for many jobs of a few shapes, each worked out once. Pure."""

from __future__ import annotations

from orchestra.core.card import FleetFile
from orchestra.core.job import Budget
from orchestra.quality.policy import Policy
from orchestra.routing.candidates import JobShape
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import NodePlan
from orchestra.routing.routes import Route, priced, waiting

NO_LIMIT = Budget()


class Prices:
    """What a node takes for a row: a table has many rows and few lengths of text."""

    def __init__(self, view: GraphView, fleet: FleetFile, policy: Policy | None = None) -> None:
        self.view = view
        self.fleet = fleet
        self.policy = policy
        self._along: dict[tuple[Route, JobShape], tuple[NodePlan, ...]] = {}
        self._known: dict[JobShape, dict[tuple[str, str], NodePlan]] = {}

    def of(self, route: Route, shape: JobShape) -> tuple[NodePlan, ...]:
        """The calls of `route` for a job of `shape`; inputs that it lacks are not called for."""
        found = self._along.get((route, shape))
        if found is None:
            known = self._known.get(shape)
            if known is None:
                known = self._known[shape] = self._priced(shape)
            pairs = [
                (known[node, models], unless)
                for node, models, unless in route.parts
                if (node, models) in known
            ]
            found = self._along[route, shape] = waiting(self.view, pairs)
        return found

    def _priced(self, shape: JobShape) -> dict[tuple[str, str], NodePlan]:
        have = {"facts": True, "text": shape.text_bytes > 0, "image": shape.images > 0}
        active = {node: ask for node, ask in self.view.asks.items() if have[ask.reads]}
        options = priced(self.view, shape, self.fleet, NO_LIMIT, active, self.policy)
        choices = () if options is None else options.choices
        return {(node.node, node.models): node for nodes in choices for node in nodes}
