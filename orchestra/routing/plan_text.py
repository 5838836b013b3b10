"""A job's plan as a person reads it. Pure; it plans nothing."""

from __future__ import annotations

from orchestra.routing.plan import NodePlan, Plan, money


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
    lines += [
        f"cascade   {node.node}: {node.model}, then {node.escalation.model} for what it is unsure "
        f"of, about {node.escalated:.0%} of jobs; 'cost at most' holds both"
        for node in plan.nodes
        if node.escalation is not None
    ]
    lines += [
        f"only      {node.node}={node.model} {node.condition}; its figures are those of a call "
        "that is made"
        for node in plan.nodes
        if node.condition is not None
    ]
    if plan.p99_ms > plan.latency_ms:
        lines.append(f"in time   99 of 100 such jobs take {plan.p99_ms:.0f} ms or less")
    if plan.cold_start_ms:
        lines.append(
            f"loading   {plan.cold_start_ms:.0f} ms once, before the first job's time begins"
        )
    lines += [
        f"idle      {entry.model}: ${entry.usd_per_hour:f} an hour for {entry.replicas} "
        "replica(s), asked or not"
        for entry in plan.hosted
    ]
    if plan.hits is not None:
        visits = sum(node.visits for node in plan.nodes)
        lines.append(
            f"cache     answers {plan.hits} of {visits} calls, which are priced at nothing"
        )
    lines += [f"skipped   {entry.option}: {entry.reason}" for entry in plan.skipped]
    lines += [
        f"unpriced  {node}: not an ask; what it spends through a ChatModel is counted, within "
        "what the plan leaves of the budget"
        for node in plan.unpriced
    ]
    lines += [f"rejected  {entry.option}: {entry.reason}" for entry in plan.rejected]
    if plan.policy:
        lines.append(f"policy    {plan.policy}")
    return "\n".join([*lines, f"snapshot  {plan.snapshot}"])


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
        f"${money(node.cost_micro)}",
        f"${money(node.expected_micro)}",
        f"{node.memory_gib:g} GiB",
        quality,
    )
