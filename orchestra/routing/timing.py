"""How long an assignment of models to nodes takes: calls along the critical path, and the rest.

Pure arithmetic; it chooses nothing and reads no clock. A bound is what 99 of 100 jobs keep, as far
as the models' spread was measured; the bounds of a path are added, which is on the safe side. A
call is slowed by what it stands beside: calls under way now, and nodes of its own job.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from orchestra.core.card import Card, FleetFile, Limits
from orchestra.core.latency import Overhead, WholeJobs
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import Option

MINUTE_MS = 60_000.0


@dataclass(frozen=True, slots=True)
class Load:
    """Calls under way by model as a plan is made, other jobs' only; empty for none.

    `waits_ms` is how long a model's limits of a minute hold the next call back.
    """

    calls: tuple[tuple[str, int], ...] = ()
    waits_ms: tuple[tuple[str, float], ...] = ()
    local: frozenset[str] = field(default=frozenset(), compare=False)

    @classmethod
    def of(
        cls,
        counts: Mapping[str, int],
        fleet: FleetFile,
        waits_ms: Mapping[str, float] | None = None,
    ) -> Load:
        """The load of `counts`, calls by model of `fleet`."""
        if not counts and not waits_ms:
            return IDLE
        waits = tuple(sorted((waits_ms or {}).items()))
        return cls(tuple(sorted(counts.items())), waits, fleet.local)

    def beside(self, card: Card, siblings: int) -> tuple[int, int]:
        """Calls under way on the model of `card`, and on others that share its machine.

        `siblings` of the call's own job are under way, too.
        """
        own = sum(count for model, count in self.calls if model == card.name)
        if card.hosting.endpoint is not None:
            return own, 0  # a server elsewhere shares nothing with models here
        others = sum(c for model, c in self.calls if model != card.name and model in self.local)
        return own, others + siblings


IDLE = Load()


def siblings(view: GraphView, active: Collection[str]) -> Mapping[str, int]:
    """For each of the `active` nodes, how many of the others may run at the same time."""
    if len(active) < 2:
        return dict.fromkeys(active, 0)
    behind: dict[str, set[str]] = {}
    for name in view.nodes:
        before = [other for other in view.predecessors(name) if other in behind]
        behind[name] = set(before).union(*(behind[other] for other in before))
    return {
        node: sum(
            other != node and other not in behind[node] and node not in behind[other]
            for other in active
        )
        for node in active
    }


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

    def expected_ms(self, option: Option) -> float:
        """Expected milliseconds beside the calls of `option`."""
        return self._own_ms() + self._paced_ms(option)

    def bound_ms(self, option: Option) -> float:
        """The same, for 99 of 100 jobs."""
        ratio = 1.0 if self.overhead is None else self.overhead.p99_ratio
        return self._own_ms() * ratio + self._paced_ms(option)

    def whole_bound_ms(self, option: Option, path_ms: float) -> float | None:
        """What 99 of 100 whole jobs keep whose calls are expected to take `path_ms`.

        None where whole jobs were not measured, or not with such calls: with a model of unknown
        time, or one that another may be asked after.
        """
        if self.whole_jobs is None:
            return None
        if any(node.escalation is not None or node.share is not None for node in option):
            return None
        if any(node.model not in self.measured for node in option):
            return None
        ratio = self.whole_jobs.p99_ratio
        return (path_ms + self._own_ms()) * ratio + self._paced_ms(option)

    def _own_ms(self) -> float:
        if self.overhead is None:
            return 0.0
        return self.overhead.milliseconds(self.calls, self.images)

    def _paced_ms(self, option: Option) -> float:
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


def critical_path(option: Option, view: GraphView, *, bound: bool = False) -> float:
    """Milliseconds of the slowest way through the graph, as expected or as a bound."""
    own = {node.node: node.p99_ms if bound else node.latency_ms for node in option}
    ends = _ends(own, view, {})
    # Who waits stands behind who does not, so their ends are known once the rest is timed.
    waits = {
        node.node: max(ends.get(other, 0.0) for other in node.condition.on)
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
    for name, predecessors in view.steps:
        begins = waits.get(name, 0.0) if waits else 0.0
        for other in predecessors:
            ends = done.get(other, 0.0)  # one behind it in a loop has no end yet
            if ends > begins:
                begins = ends
        done[name] = begins + own.get(name, 0.0)
    return done
