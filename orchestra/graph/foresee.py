"""Runs a job over the cache alone, to tell which of its calls are known; no model is called.

A graph is run as it would be, so that calls on what earlier nodes answered are found as well. One
with code of the user's own is not: a plan runs nothing that could act.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from langgraph.graph.state import CompiledStateGraph

from orchestra.book.memory import MemoryLedger
from orchestra.core.ask import CURRENT_RUN
from orchestra.core.call import Call, Client, Reply
from orchestra.core.errors import Cancelled, OrchestraError
from orchestra.core.job import CallRecord
from orchestra.core.state import Context
from orchestra.graph.backing import Backing
from orchestra.graph.caller import Caller, Ticket
from orchestra.graph.intake import Intake, first_state
from orchestra.graph.job_run import JobRun
from orchestra.routing.introspect import GraphView, view
from orchestra.routing.plan import NodePlan, Plan
from orchestra.routing.timing import critical_path


@dataclass(eq=False, slots=True)
class CacheOnly(Caller):
    """Answers from the cache alone, and notes for each node which of its calls were there."""

    found: dict[str, list[bool]] = field(default_factory=dict)

    async def call(
        self, client: Client, call: Call, ticket: Ticket
    ) -> tuple[Reply | OrchestraError, CallRecord]:
        """The reply that the cache has; a miss is an error, and ends the node."""
        reply = await self.find(call, ticket)
        self.found.setdefault(ticket.node, []).append(reply is not None)
        record = CallRecord(
            node=ticket.node, model=ticket.card.name, instruction=call.instruction, reused=True
        )
        return reply or Cancelled(f"The cache has no reply for node {ticket.node!r}."), record


async def foresee(
    fleet: Backing, graph: CompiledStateGraph[Any, Any, Any, Any], intake: Intake, planned: Plan
) -> Plan:
    """`planned`, with the calls that the fleet's cache answers priced at nothing.

    Its models are those of the plan without a cache. It comes back as it is for a graph with code
    of its own, and for a fleet without a cache.
    """
    seen = view(graph)
    if fleet.caller.shared is None or seen.unpriced:
        return planned
    known = await _known(fleet, graph, intake, planned)
    nodes = tuple(_priced(node, _hits(node, known, seen)) for node in planned.nodes)

    def saved_ms(*, bound: bool = False) -> float:
        before = critical_path(planned.nodes, seen, bound=bound)
        return before - critical_path(nodes, seen, bound=bound)

    return replace(
        planned,
        nodes=nodes,
        latency_ms=planned.latency_ms - saved_ms(),
        p99_ms=planned.p99_ms - saved_ms(bound=True),
        hits=sum(node.hits for node in nodes),
    )


async def _known(
    fleet: Backing, graph: CompiledStateGraph[Any, Any, Any, Any], intake: Intake, planned: Plan
) -> Mapping[str, list[bool]]:
    """For each node that was reached, which of its calls the cache has."""
    ledger = MemoryLedger()
    scoped = fleet.scoped(ledger, fleet.images)
    caller = scoped.caller = CacheOnly(ledger, fleet.caller.folder, fleet.caller.shared)
    raw_job = intake.job.model_dump(mode="json")
    account = f"foreseen:{uuid.uuid4().hex}"
    outer = CURRENT_RUN.set(JobRun(scoped, intake.job, account, planned, raw_job=raw_job))
    try:
        with suppress(OrchestraError):  # of a node that had nothing to go on
            context = Context(fleet=fleet.file.name)
            await graph.ainvoke(first_state(graph, intake.job, raw_job), context=context)
    finally:
        CURRENT_RUN.reset(outer)
    return caller.found


def _hits(node: NodePlan, known: Mapping[str, list[bool]], seen: GraphView) -> int:
    """How many of a node's calls are known for certain: those before its first miss.

    What a node asks may depend on what those before it answered, so theirs must be known, too.
    """
    ask = seen.asks[node.node]
    if ask.data is not None or ask.shape is not None or ask.after is not None:
        before = seen.ancestors(node.node) & set(seen.asks)
        if not all(all(known.get(name, ())) for name in before):
            return 0
    calls = known.get(node.node, [])
    if node.escalation is not None:  # a visit is two calls then, or one
        return node.visits if calls and all(calls) else 0
    return min(node.visits, calls.index(False) if False in calls else len(calls))


def _priced(node: NodePlan, hits: int) -> NodePlan:
    """`node` without what `hits` of its visits would take; all visits are priced alike."""
    left = node.visits - hits
    return replace(
        node,
        latency_ms=node.latency_ms * left / node.visits,
        p99_ms=node.p99_ms * left / node.visits,
        cost_micro=node.cost_micro * left // node.visits,
        expected_micro=node.expected_micro * left // node.visits,
        tokens=node.tokens * left // node.visits,
        hits=hits,
    )
