"""A plan: the model at each node with what it will take, and why the others were not chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from orchestra.core.job import Usd, Word
from orchestra.core.money import usd
from orchestra.core.values import dollars
from orchestra.core.view.notebook import folded_away, head, line, table, view
from orchestra.routing.condition import Condition


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One model call of the plan. `cost_micro` is the guaranteed ceiling, in micro-dollars.

    `fallback` is the node on the model that is asked where its own is unavailable. Ceilings of cost
    and tokens hold it, too, and `own_tokens` is the one without; latency and expected cost are
    those of the model itself. `prompt_tokens` bounds the prompt of one visit. `p99_ms` is what 99
    of 100 calls take at most, `siblings` how many nodes of the job may be under way beside this
    one. `quality_range` is the 95% interval of a quality that was measured on labelled rows.
    `escalation` is asked what the model was unsure of, in the share `escalated` of jobs; ceilings
    hold it, too. `hits` of the visits are known to be answered by a cache, and are in none of these
    figures. With a `condition` the call is made only where that holds, after others; the figures
    are those of a call that is made. The second ask of a cascade in the graph has one, too, and the
    `share` of jobs in which it is expected; there the expected figures are those of that share.
    `photos` is the most that one call may have.
    """

    node: str
    model: str
    latency_ms: float
    cost_micro: int
    expected_micro: int
    memory_gib: float
    tokens: int
    visits: int = 1
    quality: float | None = None
    quality_origin: str = "unknown"
    prompt_tokens: int = 0
    fallback: NodePlan | None = None
    p99_ms: float = 0.0
    siblings: int = 0
    own_tokens: int = 0
    replicas: int = 1
    quality_range: tuple[float, float] | None = None
    escalation: NodePlan | None = None
    escalated: float = 0.0
    hits: int = 0
    condition: Condition | None = None
    share: float | None = None
    photos: int = 0

    @property
    def visit_ms(self) -> float | None:
        """Expected milliseconds of one call, where the node's are those of one."""
        return self.latency_ms if self.visits == 1 and self.share is None else None

    @property
    def hosted(self) -> tuple[NodePlan, ...]:
        """The node on each model that has to be there for it."""
        others = (other for other in (self.fallback, self.escalation) if other is not None)
        return (self, *others)

    @property
    def models(self) -> str:
        """The model or, in a cascade, both."""
        return self.model if self.escalation is None else f"{self.model}>{self.escalation.model}"

    @property
    def part(self) -> str:
        """The models as a route names them, as in `vl?0.5` where that is their condition.

        One that the graph itself makes is in every route.
        """
        if self.condition is None or self.share is not None:
            return self.models
        return f"{self.models}?{self.condition.unless}"

    def public(self) -> dict[str, Any]:
        """As it stands in `plan --json`."""
        return {
            "node": self.node,
            "model": self.model,
            "latency_ms": round(self.latency_ms, 3),
            "latency_p99_ms": round(self.p99_ms, 3),
            "cost_usd": float(usd(self.cost_micro)),
            "expected_cost_usd": float(usd(self.expected_micro)),
            "memory_gib": self.memory_gib,
            "tokens": self.tokens,
            "visits": self.visits,
            "photos": self.photos,
            "quality": self.quality,
            "quality_origin": self.quality_origin,
            "quality_range": self.quality_range,
            "escalation": None if self.escalation is None else self.escalation.public_beside(),
            "escalated": self.escalated,
            "fallback": None if self.fallback is None else self.fallback.public_beside(),
            "hits": self.hits,
            "only": None
            if self.condition is None
            else {**self.condition.public(), "share": self.share},
        }

    def public_beside(self) -> dict[str, Any]:
        """The same of a model that is asked beside the node's own."""
        return {
            "model": self.model,
            "latency_ms": round(self.latency_ms, 3),
            "cost_usd": float(usd(self.cost_micro)),
            "memory_gib": self.memory_gib,
            "tokens": self.tokens,
        }


HEAD = ("node", "model", "latency", "cost at most", "expected", "memory", "quality")
Option = tuple[NodePlan, ...]  # an assignment of models to the nodes of a graph


@dataclass(frozen=True, slots=True)
class Rejected:
    """An option or a model that was not taken, and the reason."""

    option: str
    reason: str

    def public(self) -> dict[str, str]:
        """As it stands in `plan --json`; a plan has dozens, and each row's record has its plan."""
        return {"option": self.option, "reason": self.reason}


class Hosted(Word):
    """A model that is billed by the hour, asked or not: what its replicas cost while they wait."""

    model: str
    replicas: int
    usd_per_hour: Usd


@dataclass(frozen=True, slots=True)
class Plan:
    """The route of one job. `snapshot` identifies the cards and profiles it was made from.

    `latency_ms` is expected, `p99_ms` what 99 of 100 such jobs keep; a deadline is accepted by the
    latter. Loading models, `cold_start_ms` in all, comes once and before any deadline.
    `hits` is how many of its calls a cache is known to answer; None when none was asked. Calls of
    models in `unknown_prices` count as costing nothing, which nobody has said.
    """

    route: str
    nodes: Option
    latency_ms: float
    memory_gib: float
    rejected: Sequence[Rejected]
    skipped: tuple[Rejected, ...]
    snapshot: str
    fleet: str
    budget: tuple[tuple[str, str], ...] = ()
    unpriced: tuple[str, ...] = ()
    p99_ms: float = 0.0
    cold_start_ms: float = 0.0
    hosted: tuple[Hosted, ...] = ()
    policy: str = ""
    hits: int | None = None
    unknown_prices: tuple[str, ...] = ()

    @property
    def cost_micro(self) -> int:
        """Guaranteed ceiling of the whole job in micro-dollars."""
        return sum(node.cost_micro for node in self.nodes)

    @property
    def expected_micro(self) -> int:
        """Expected cost of the whole job in micro-dollars."""
        return sum(node.expected_micro for node in self.nodes)

    @property
    def tokens(self) -> int:
        """Guaranteed ceiling of tokens, in and out."""
        return sum(node.tokens for node in self.nodes)

    @property
    def mix(self) -> str:
        """Nodes and models in one short line, as summaries count it."""
        return " ".join(f"{node.node}={node.part}" for node in self.nodes) or "no model"

    def public(self) -> dict[str, Any]:
        """As printed by `plan --json` and kept in results."""
        known = [node.quality for node in self.nodes if node.quality is not None]
        return {
            "route": self.route,
            "nodes": [node.public() for node in self.nodes],
            "total": {
                "latency_ms": round(self.latency_ms, 3),
                "latency_p99_ms": round(self.p99_ms, 3),
                "cost_usd": float(usd(self.cost_micro)),
                "expected_cost_usd": float(usd(self.expected_micro)),
                "memory_gib": self.memory_gib,
                "tokens": self.tokens,
                "quality": round(sum(known) / len(known), 2) if known else None,
            },
            "rejected": [entry.public() for entry in self.rejected],
            "skipped": [entry.public() for entry in self.skipped],
            "unpriced": list(self.unpriced),
            "unknown_prices": list(self.unknown_prices),
            "cold_start_ms": round(self.cold_start_ms, 3),
            "hosted": [entry.model_dump(mode="json") for entry in self.hosted],
            "hits": self.hits,
            "budget": dict(self.budget),
            "fleet": self.fleet,
            "snapshot": self.snapshot,
            "policy": self.policy or None,
        }

    def __str__(self) -> str:
        return render(self)

    def __repr__(self) -> str:
        skipped = f", skips {', '.join(entry.option for entry in self.skipped)}" * bool(
            self.skipped
        )
        return (
            f"Plan({self.fleet}: {self.mix}, {self.latency_ms:.0f} ms, at most "
            f"{dollars(usd(self.cost_micro))} and {self.tokens} tokens{skipped})"
        )

    def _repr_html_(self) -> str:
        limits = ", ".join(f"{name}={value}" for name, value in self.budget) or "no limits"
        rows = [_row(node) for node in self.nodes]
        total = ("total", "", *(text for text in _total(self)), "")
        facts = [self.fleet, f"budget: {limits}", f"snapshot {self.snapshot}"]
        return view(
            head("Plan", facts),
            table(HEAD, [*rows, total], numbers=(2, 3, 4, 5)),
            *(line(label, text) for label, text in remarks(self)),
            line("policy", self.policy) if self.policy else None,
            folded_away("rejected", [(entry.option, entry.reason) for entry in self.rejected]),
        )


def render(plan: Plan) -> str:
    """The plan as a person reads it."""
    limits = ", ".join(f"{name}={value}" for name, value in plan.budget) or "no limits"
    lines = [f"route     {plan.route}", f"fleet     {plan.fleet}   budget: {limits}", ""]
    rows = [HEAD, *(_row(node) for node in plan.nodes), ("total", "", *_total(plan), "")]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines += [f"{label:<8}  {text}" for label, text in remarks(plan)]
    lines += [f"rejected  {entry.option}: {entry.reason}" for entry in plan.rejected]
    if plan.policy:
        lines.append(f"policy    {plan.policy}")
    return "\n".join([*lines, f"snapshot  {plan.snapshot}"])


def _total(plan: Plan) -> tuple[str, ...]:
    return (
        f"{plan.latency_ms:.0f} ms",
        f"${usd(plan.cost_micro):f}",
        f"${usd(plan.expected_micro):f}",
        f"{plan.memory_gib:g} GiB",
    )


def remarks(plan: Plan) -> Iterator[tuple[str, str]]:
    """What to know beside the figures, each with its label."""
    for node in plan.nodes:
        if node.fallback is not None:
            yield (
                "fallback",
                f"{node.node}: {node.fallback.model} when {node.model} is unavailable; "
                "'cost at most' holds both",
            )
    for node in plan.nodes:
        if node.escalation is not None:
            yield (
                "cascade",
                f"{node.node}: {node.model}, then {node.escalation.model} for what it is unsure "
                f"of, about {node.escalated:.0%} of jobs; 'cost at most' holds both",
            )
    for node in plan.nodes:
        if node.condition is not None:
            yield (
                "only",
                f"{node.node}={node.model} {node.condition}; {_counted(node)}",
            )
    yield from _remarks_of_all(plan)


def _remarks_of_all(plan: Plan) -> Iterator[tuple[str, str]]:
    """Those of the whole plan rather than of one of its nodes."""
    if plan.p99_ms > plan.latency_ms:
        yield "in time", f"99 of 100 such jobs take {plan.p99_ms:.0f} ms or less"
    if plan.cold_start_ms:
        yield "loading", f"{plan.cold_start_ms:.0f} ms once, before the first job's time begins"
    for entry in plan.hosted:
        yield (
            "idle",
            f"{entry.model}: ${entry.usd_per_hour:f} an hour for {entry.replicas} replica(s), "
            "asked or not",
        )
    if plan.hits is not None:
        visits = sum(node.visits for node in plan.nodes)
        yield "cache", f"answers {plan.hits} of {visits} calls, which are priced at nothing"
    for rejected in plan.skipped:
        yield "skipped", f"{rejected.option}: {rejected.reason}"
    for name in plan.unpriced:
        yield (
            "unpriced",
            f"{name}: not an ask; what it spends through a ChatModel is counted, within what the "
            "plan leaves of the budget",
        )
    for model in plan.unknown_prices:
        yield "price", f"{model}: unknown, and counted as nothing; its card can say it"


def _counted(node: NodePlan) -> str:
    """How the figures of a call that may be spared are counted."""
    if node.share is None:
        return "its figures are those of a call that is made"
    return (
        f"latency and expected cost count it in {node.share:.0%} of jobs; 'cost at most' holds it"
    )


def _row(node: NodePlan) -> tuple[str, ...]:
    quality = "unknown" if node.quality is None else f"{node.quality:g} ({node.quality_origin})"
    if node.quality is not None and node.quality_range is not None:
        low, high = node.quality_range
        quality = f"{node.quality:g} [{low:g}, {high:g}] ({node.quality_origin})"
    elif node.quality is None and node.quality_origin != "unknown":
        quality = node.quality_origin
    return (
        node.node,
        node.part,
        f"{node.latency_ms:.0f} ms",
        f"${usd(node.cost_micro):f}",
        f"${usd(node.expected_micro):f}",
        f"{node.memory_gib:g} GiB",
        quality,
    )
