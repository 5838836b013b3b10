"""A plan: the model at each node with what it will take, and why the others were not chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from orchestra.budget.money import usd


@dataclass(frozen=True, slots=True)
class Fallback:
    """The model that a node asks when its own is unavailable; figures of all its visits."""

    model: str
    latency_ms: float
    cost_micro: int
    memory_gib: float
    tokens: int
    prompt_tokens: int

    def public(self) -> dict[str, Any]:
        """As it stands in `plan --json`."""
        return {
            "model": self.model,
            "latency_ms": round(self.latency_ms, 3),
            "cost_usd": float(usd(self.cost_micro)),
            "memory_gib": self.memory_gib,
            "tokens": self.tokens,
        }


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One model call of the plan. `cost_micro` is the guaranteed ceiling, in micro-dollars.

    Ceilings of cost and tokens hold the fallback too; latency and expected cost are those of the
    model itself. `prompt_tokens` bounds the prompt of one visit.
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
    fallback: Fallback | None = None

    def public(self) -> dict[str, Any]:
        """As it stands in `plan --json`."""
        return {
            "node": self.node,
            "model": self.model,
            "latency_ms": round(self.latency_ms, 3),
            "cost_usd": float(usd(self.cost_micro)),
            "expected_cost_usd": float(usd(self.expected_micro)),
            "memory_gib": self.memory_gib,
            "tokens": self.tokens,
            "visits": self.visits,
            "quality": self.quality,
            "quality_origin": self.quality_origin,
            "fallback": None if self.fallback is None else self.fallback.public(),
        }


@dataclass(frozen=True, slots=True)
class Rejected:
    """An option that was not taken, and the reason."""

    option: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The route of one job. `snapshot` identifies the cards and profiles it was made from."""

    route: str
    nodes: tuple[NodePlan, ...]
    latency_ms: float
    memory_gib: float
    rejected: Sequence[Rejected]
    skipped: tuple[Rejected, ...]
    snapshot: str
    fleet: str
    budget: tuple[tuple[str, str], ...] = ()
    unpriced: tuple[str, ...] = ()

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
        return " ".join(f"{node.node}={node.model}" for node in self.nodes) or "no model"

    def model_for(self, node: str) -> str | None:
        """The model planned at `node`, or None where the node is skipped."""
        return next((entry.model for entry in self.nodes if entry.node == node), None)

    def public(self) -> dict[str, Any]:
        """As printed by `plan --json` and kept in results."""
        known = [node.quality for node in self.nodes if node.quality is not None]
        return {
            "route": self.route,
            "nodes": [node.public() for node in self.nodes],
            "total": {
                "latency_ms": round(self.latency_ms, 3),
                "cost_usd": float(usd(self.cost_micro)),
                "expected_cost_usd": float(usd(self.expected_micro)),
                "memory_gib": self.memory_gib,
                "tokens": self.tokens,
                "quality": round(sum(known) / len(known), 2) if known else None,
            },
            "rejected": [asdict(entry) for entry in self.rejected],
            "skipped": [asdict(entry) for entry in self.skipped],
            "unpriced": list(self.unpriced),
            "budget": dict(self.budget),
            "fleet": self.fleet,
            "snapshot": self.snapshot,
        }

    def __str__(self) -> str:
        return render(self)


def money(micro: int) -> str:
    """Micro-dollars as a plain decimal string of dollars."""
    return format(usd(micro), "f")


def render(plan: Plan) -> str:
    """The plan as a person reads it."""
    limits = ", ".join(f"{name}={value}" for name, value in plan.budget) or "no limits"
    lines = [f"route     {plan.route}", f"fleet     {plan.fleet}   budget: {limits}", ""]
    header = ("node", "model", "latency", "cost at most", "expected", "memory", "quality")
    rows = [header, *(_row(node) for node in plan.nodes)]
    rows.append(
        (
            "total",
            "",
            f"{plan.latency_ms:.0f} ms",
            f"${money(plan.cost_micro)}",
            f"${money(plan.expected_micro)}",
            f"{plan.memory_gib:g} GiB",
            "",
        )
    )
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines += [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines += [
        f"fallback  {node.node}: {node.fallback.model} when {node.model} is unavailable; "
        "'cost at most' holds both"
        for node in plan.nodes
        if node.fallback is not None
    ]
    lines += [f"skipped   {entry.option}: {entry.reason}" for entry in plan.skipped]
    lines += [
        f"unpriced  {node}: not an ask; what it spends through a ChatModel is counted, within "
        "what the plan leaves of the budget"
        for node in plan.unpriced
    ]
    lines += [f"rejected  {entry.option}: {entry.reason}" for entry in plan.rejected]
    return "\n".join([*lines, f"snapshot  {plan.snapshot}"])


def _row(node: NodePlan) -> tuple[str, ...]:
    quality = "unknown" if node.quality is None else f"{node.quality:g} ({node.quality_origin})"
    return (
        node.node,
        node.model,
        f"{node.latency_ms:.0f} ms",
        f"${money(node.cost_micro)}",
        f"${money(node.expected_micro)}",
        f"{node.memory_gib:g} GiB",
        quality,
    )
