"""The ways a job of one shape may go through a graph: which inputs are read, by which models.

A route leaves out the nodes of an input, or takes the cheapest models instead of the best. Pure;
it chooses none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from orchestra.errors import PlanError
from orchestra.fleet.card import FleetFile
from orchestra.job import Budget
from orchestra.routing.candidates import JobShape, candidates
from orchestra.routing.introspect import GraphView
from orchestra.routing.options import (
    Option,
    Options,
    critical_path,
    distinct_memory,
    options_of,
    rank,
)
from orchestra.routing.plan import NodePlan, Plan, Rejected
from orchestra.routing.planner import plan
from orchestra.routing.search import best_fitting

LEFT_OUT = "left out: the budget is spent where it helps more"
INPUTS = {"both": ("text", "image"), "text": ("text",), "photo": ("image",)}


@dataclass(frozen=True, slots=True)
class Route:
    """Models by node; a node that is not in it is left out. `name` says both."""

    models: tuple[tuple[str, str], ...]

    @property
    def name(self) -> str:
        """As in `look=vl read=r1`."""
        return " ".join(f"{node}={model}" for node, model in self.models)

    @classmethod
    def of(cls, option: Option) -> Route:
        """The route of an assignment."""
        return cls(tuple((node.node, node.model) for node in option))

    @classmethod
    def named(cls, name: str) -> Route:
        """The route that is called `name`."""
        pairs = (part.partition("=") for part in name.split())
        return cls(tuple((node, model) for node, _, model in pairs))


def routes(view: GraphView, shape: JobShape, fleet: FleetFile, budget: Budget) -> list[Route]:
    """Routes of a job, the planner's own first, then fewer inputs, then the cheapest models.

    Raises as `plan` does when not even one fits.
    """
    first = Route.of(plan(view, shape, budget, fleet).nodes)
    best, cheap = [first], []
    for inputs in _subsets(view, shape):
        options = _options(view, shape, fleet, budget, inputs)
        if options is None:
            continue
        found = best_fitting(options)
        if found is not None:
            best.append(Route.of(found))
            fitting = [option for option in options.all() if not options.broken(option)]
            cheap.append(Route.of(min(fitting, key=_expected)))
    return list(dict.fromkeys([*best, *cheap]))


def _expected(option: Option) -> tuple[float, int, tuple[float, int, float, str]]:
    """Prices that round to one micro-dollar are told apart by the time they are rated by."""
    rated_ms = sum(node.latency_ms for node in option)
    return sum(node.expected_micro for node in option), round(rated_ms), rank(option)


def _subsets(view: GraphView, shape: JobShape) -> list[tuple[str, ...]]:
    """Inputs that may be read; a question is asked of all that there is."""
    have = [name for name, there in (("text", shape.text_bytes), ("image", shape.images)) if there]
    if any(ask.question for ask in view.asks.values()):
        return [tuple(have)]
    return [inputs for inputs in INPUTS.values() if set(inputs) <= set(have)]


def _options(
    view: GraphView, shape: JobShape, fleet: FleetFile, budget: Budget, inputs: tuple[str, ...]
) -> Options | None:
    active = {node: ask for node, ask in view.asks.items() if ask.reads in (*inputs, "facts")}
    if not any(ask.reads != "facts" for ask in active.values()):
        return None
    try:
        choices, _ = candidates(active, shape, fleet)
    except PlanError:
        return None  # no model for this input; another may do
    return options_of(active, view, shape, choices, budget)


def plan_along(
    view: GraphView, shape: JobShape, budget: Budget, fleet: FleetFile, models: Mapping[str, str]
) -> Plan:
    """The plan of a job with exactly these models; one that lost that input is planned anew.

    Raises as `plan` does.
    """
    whole = plan(view, shape, budget, fleet)
    planned = {node.node for node in whole.nodes}
    kept = {node: view.asks[node] for node in view.nodes if node in planned and node in models}
    if not any(ask.reads != "facts" for ask in kept.values()):
        return whole
    choices, _ = candidates(kept, shape, fleet)
    own = {
        node: [choice for choice in fit if choice[0].name == models[node]] or fit
        for node, fit in choices.items()
    }
    nodes = best_fitting(options_of(kept, view, shape, own, budget))
    if nodes is None:
        return whole
    left = [Rejected(node.node, LEFT_OUT) for node in whole.nodes if node.node not in kept]
    return replace(
        whole,
        nodes=nodes,
        route=_route(nodes, view),
        latency_ms=critical_path(nodes, view),
        memory_gib=distinct_memory(nodes),
        skipped=(*whole.skipped, *left),
        rejected=(),
    )


def _route(nodes: tuple[NodePlan, ...], view: GraphView) -> str:
    reads = {view.asks[node.node].capability for node in nodes}
    return "+".join(name for name in ("text", "vision", "maths") if name in reads)
