"""Prices of single nodes for many jobs of a few shapes, each worked out once. Pure."""

from __future__ import annotations

from orchestra.errors import PlanError
from orchestra.fleet.card import FleetFile
from orchestra.routing.candidates import Choice, JobShape, candidates
from orchestra.routing.introspect import GraphView
from orchestra.routing.options import node_plan, with_fallback
from orchestra.routing.plan import NodePlan
from orchestra.routing.routes import Route


class Prices:
    """What a node takes for a row: a table has many rows and few lengths of text."""

    def __init__(self, view: GraphView, fleet: FleetFile) -> None:
        self.view = view
        self.fleet = fleet
        self._known: dict[tuple[str, str, JobShape], NodePlan] = {}
        self._choices: dict[tuple[bool, int], dict[str, list[Choice]]] = {}

    def of(self, route: Route, shape: JobShape) -> tuple[NodePlan, ...]:
        """The calls of `route` for a job of `shape`; inputs that it lacks are not called for."""
        return tuple(
            self._node(node, model, shape)
            for node, model in route.models
            if self._reads(node, shape)
        )

    def _reads(self, node: str, shape: JobShape) -> bool:
        reads = self.view.asks[node].reads
        return reads == "facts" or bool(shape.images if reads == "image" else shape.text_bytes)

    def _node(self, node: str, model: str, shape: JobShape) -> NodePlan:
        key = (node, model, shape)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._priced(node, model, shape)
        return found

    def _priced(self, node: str, model: str, shape: JobShape) -> NodePlan:
        ask, visits = self.view.asks[node], self.view.visits[node]
        card = self.fleet.card(model)
        own = node_plan(node, ask, card, shape, visits)
        other = next((b for a, b in self._fits(shape).get(node, ()) if a.name == model), None)
        fallback = other and node_plan(node, ask, other, shape, visits)
        return with_fallback(own, fallback, may_bill=card.hosting.endpoint is not None)

    def _fits(self, shape: JobShape) -> dict[str, list[Choice]]:
        """Models and fallbacks for jobs that have what `shape` has."""
        key = (shape.text_bytes > 0, shape.images)
        found = self._choices.get(key)
        if found is None:
            active = {n: ask for n, ask in self.view.asks.items() if self._reads(n, shape)}
            try:
                found, _ = candidates(active, shape, self.fleet)
            except PlanError:
                found = {}
            self._choices[key] = found
        return found
