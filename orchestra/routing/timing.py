"""How long an assignment of models to nodes takes: calls along the critical path, and the rest.

Pure arithmetic; it chooses nothing and reads no clock. A bound is what 99 of 100 jobs keep, as far
as the models' spread was measured; the bounds of a path are added, which is on the safe side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from orchestra.core.card import Card, Limits
from orchestra.core.latency import Overhead, WholeJobs
from orchestra.core.pricing import Work, latency_ms
from orchestra.routing.introspect import GraphView
from orchestra.routing.load import Beside
from orchestra.routing.plan import NodePlan

MINUTE_MS = 60_000.0
Assigned = tuple[NodePlan, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """What a node's call is expected to be: its likely work, how often, and beside what."""

    work: Work
    visits: int
    in_turn: bool
    beside: Beside


def node_time(card: Card, expected: Expected) -> tuple[float, float]:
    """(expected, bound) milliseconds of all visits of a node on `card`.

    Visits of a loop follow each other. Those of a fan-out share time on a model whose slowdown was
    measured; on another they are taken as in turn.
    """
    work, visits, beside = expected.work, expected.visits, expected.beside
    known = card.latency
    if known is None:
        alone = latency_ms(card, work) * visits
        return alone, alone
    side_by_side = 0 if expected.in_turn else visits - 1
    once = known.milliseconds(
        work.input_tokens,
        work.output_tokens,
        work.images,
        beside.calls + side_by_side,
        beside.neighbours,
    )
    whole = once * visits if expected.in_turn else once
    return whole, whole * known.p99_ratio


@dataclass(frozen=True, slots=True)
class Rest:
    """What takes time beside the models: the job's own steps, and limits of calls a minute."""

    overhead: Overhead | None = None
    calls: int = 0
    images: int = 0
    limits: Mapping[str, Limits] = field(default_factory=dict)
    waits_ms: Mapping[str, float] = field(default_factory=dict)
    whole_jobs: WholeJobs | None = None
    measured: frozenset[str] = frozenset()  # models whose calls' time is

    def expected_ms(self, option: Assigned) -> float:
        """Expected milliseconds beside the calls of `option`."""
        return self._own_ms() + self._paced_ms(option)

    def bound_ms(self, option: Assigned) -> float:
        """The same, for 99 of 100 jobs."""
        ratio = 1.0 if self.overhead is None else self.overhead.p99_ratio
        return self._own_ms() * ratio + self._paced_ms(option)

    def whole_bound_ms(self, option: Assigned, path_ms: float) -> float | None:
        """What 99 of 100 whole jobs keep whose calls are expected to take `path_ms`.

        None where whole jobs were not measured, or not with such calls: with a model of unknown
        time, or one that another may be asked after.
        """
        if self.whole_jobs is None:
            return None
        if any(node.escalation is not None or node.model not in self.measured for node in option):
            return None
        ratio = self.whole_jobs.p99_ratio
        return (path_ms + self._own_ms()) * ratio + self._paced_ms(option)

    def _own_ms(self) -> float:
        if self.overhead is None:
            return 0.0
        return self.overhead.milliseconds(self.calls, self.images)

    def _paced_ms(self, option: Assigned) -> float:
        """The longest that a model's limits of a minute hold calls of this job back."""
        if not self.limits and not self.waits_ms:
            return 0.0
        calls: Counter[str] = Counter()
        tokens: Counter[str] = Counter()
        for node in option:
            calls[node.model] += node.visits
            tokens[node.model] += node.own_tokens
            if node.escalation is not None:
                calls[node.escalation.model] += node.visits
                tokens[node.escalation.model] += node.escalation.tokens
        return max((self._held_ms(name, calls[name], tokens[name]) for name in calls), default=0.0)

    def _held_ms(self, model: str, calls: int, tokens: int) -> float:
        first = self.waits_ms.get(model, 0.0)
        limits = self.limits.get(model)
        if limits is None:
            return first
        minutes = 0
        if limits.requests_per_minute is not None:
            minutes = (calls - 1) // limits.requests_per_minute
        if limits.tokens_per_minute is not None:
            minutes = max(minutes, (tokens - 1) // limits.tokens_per_minute)
        return first + max(minutes, 0) * MINUTE_MS


NOTHING_ELSE = Rest()


def critical_path(option: Assigned, view: GraphView, *, bound: bool = False) -> float:
    """Milliseconds of the slowest way through the graph, as expected or as a bound."""
    own = {node.node: node.p99_ms if bound else node.latency_ms for node in option}
    ends = _ends(own, view, {})
    # Who waits stands behind who does not, so their ends are known once the rest is timed.
    waits = {
        node.node: max(ends[other] for other in node.condition.on)
        for node in option
        if node.condition is not None
    }
    if waits:
        ends = _ends(own, view, waits)
    return max(ends.values(), default=0.0)


def _ends(
    own: Mapping[str, float], view: GraphView, waits: Mapping[str, float]
) -> dict[str, float]:
    """When each node ends; `waits` is when a node may begin at the earliest."""
    done: dict[str, float] = {}
    for name in view.nodes:
        before = waits.get(name, 0.0)
        for other in view.predecessors(name):
            before = max(before, done.get(other, 0.0))
        done[name] = before + own.get(name, 0.0)
    return done
