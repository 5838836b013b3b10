"""Prices every assignment of models to a graph's nodes and takes the best one that fits.

Pure: the same view, shape, budget and fleet give the same plan. It calls no model and
reads no clock. Cost counts at its guaranteed ceiling, latency as predicted along the
critical path, memory as the sum of the models hosted side by side.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from orchestra.budget.money import limit_micro
from orchestra.budget.pricing import Work, cost_micro, latency_ms
from orchestra.errors import EmptyJob, InvalidGraph, NoFeasiblePlan, NoModel
from orchestra.fleet.card import Card, FleetFile
from orchestra.graph.ask import Ask
from orchestra.job import Budget
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import NodePlan, Plan, Rejected, money

TEMPLATE_TOKENS = 16  # role marks and the data delimiters around a prompt
BYTES_PER_TOKEN = 3.5  # byte-level BPE on product text; only expectations use it
EXPECTED_FACTS_TOKENS = 160
EXPECTED_ANSWER_SHARE = 0.4
MOST_OPTIONS = 20_000


@dataclass(frozen=True, slots=True)
class JobShape:
    """What the planner needs of a job: bytes of text (0 = none), number of images, data rule."""

    text_bytes: int
    images: int
    local_only: bool = False


Option = tuple[NodePlan, ...]


def plan(view: GraphView, shape: JobShape, budget: Budget, fleet: FleetFile) -> Plan:
    """Choose a model for each ask of `view`.

    Raises `EmptyJob` without text and images, `NoModel` when no card offers what a node asks
    for, `NoFeasiblePlan` naming the tightest limit and the smallest budget that will do.
    """
    if not shape.text_bytes and not shape.images:
        raise EmptyJob("The job has neither text nor an image. Give it at least one of them.")
    active, skipped = _active(view, shape)
    if not active:
        missing = "; ".join(f"{entry.option}: {entry.reason}" for entry in skipped)
        raise EmptyJob(f"No node of the graph can use this job ({missing}).")
    candidates, refused = _candidates(active, shape, fleet)
    options = list(_options(active, view, shape, candidates))
    checked = [(option, _violations(option, view, budget)) for option in options]
    fitting = [option for option, broken in checked if not broken]
    if not fitting:
        raise _nothing_fits(checked, view, budget, refused)
    best = min(fitting, key=_rank)
    rejected = refused + [
        Rejected(_name(option), _reason(option, broken, best))
        for option, broken in checked
        if option is not best
    ]
    return Plan(
        route=_route(best, view),
        nodes=best,
        latency_ms=_critical_path(best, view),
        memory_gib=_distinct_memory(best),
        rejected=tuple(rejected),
        skipped=tuple(skipped),
        snapshot=fleet.snapshot,
        fleet=fleet.name,
        unpriced=view.unpriced,
        budget=tuple((name, str(value)) for name, value in budget if value is not None),
    )


def _active(view: GraphView, shape: JobShape) -> tuple[dict[str, Ask], list[Rejected]]:
    active: dict[str, Ask] = {}
    skipped: list[Rejected] = []
    for node in view.nodes:
        ask = view.asks.get(node)
        if ask is None:
            continue
        if ask.reads == "image" and not shape.images:
            skipped.append(Rejected(node, "the job has no image"))
        elif ask.reads == "text" and not shape.text_bytes:
            skipped.append(Rejected(node, "the job has no text"))
        else:
            active[node] = ask
    return active, skipped


def _candidates(
    active: dict[str, Ask], shape: JobShape, fleet: FleetFile
) -> tuple[dict[str, list[Card]], list[Rejected]]:
    candidates: dict[str, list[Card]] = {}
    refused: list[Rejected] = []
    for node, ask in active.items():
        fit: list[Card] = []
        for card in fleet.models:
            reason = _unsuitable(card, ask, shape)
            if reason is None:
                fit.append(card)
            else:
                refused.append(Rejected(f"{node}={card.name}", reason))
        if not fit:
            raise _no_model(node, ask, fleet, refused)
        candidates[node] = fit
    return candidates, refused


def _unsuitable(card: Card, ask: Ask, shape: JobShape) -> str | None:
    if ask.capability not in card.capabilities:
        takes = ", ".join(card.capabilities)
        return f"takes {takes}, and the node asks for {ask.capability}"
    if shape.local_only and card.data_goes_to != "local":
        return f"sends data to {card.data_goes_to!r}, and the job says data='local'"
    if ask.reads == "image" and shape.images > card.limits.max_images:
        return f"takes {card.limits.max_images} images a call, and the job has {shape.images}"
    if ask.max_tokens >= card.limits.context_tokens:
        return f"context {card.limits.context_tokens} is under the answer's {ask.max_tokens} tokens"
    return None


def _no_model(node: str, ask: Ask, fleet: FleetFile, refused: list[Rejected]) -> NoModel:
    have = ", ".join(sorted({repr(c) for card in fleet.models for c in card.capabilities}))
    why = "; ".join(f"{e.option}: {e.reason}" for e in refused if e.option.startswith(f"{node}="))
    return NoModel(
        f"No model takes {ask.capability!r} at node {node!r} (the fleet {fleet.name!r} has: "
        f"{have}; {why}). Add a card under 'models:' in the fleet's YAML, or choose another fleet."
    )


def _options(
    active: dict[str, Ask], view: GraphView, shape: JobShape, candidates: dict[str, list[Card]]
) -> Iterator[Option]:
    priced = [
        [_node_plan(node, ask, card, shape, view.visits[node]) for card in candidates[node]]
        for node, ask in active.items()
    ]
    count = 1
    for choices in priced:
        count *= len(choices)
    if count > MOST_OPTIONS:
        raise InvalidGraph(
            f"The graph has {count} assignments of models to nodes, over {MOST_OPTIONS}. "
            "Use a smaller fleet, or split the graph."
        )
    return itertools.product(*priced)


def _node_plan(node: str, ask: Ask, card: Card, shape: JobShape, visits: int) -> NodePlan:
    images = shape.images if ask.reads == "image" else 0
    room = card.limits.context_tokens - ask.max_tokens
    fixed = len(ask.instruction.encode()) + TEMPLATE_TOKENS + images * card.limits.image_tokens
    if ask.reads == "facts":
        most, expected = room, fixed + EXPECTED_FACTS_TOKENS
    else:
        data = shape.text_bytes if ask.reads == "text" else 0
        most, expected = fixed + data, round(fixed / 2 + data / BYTES_PER_TOKEN)
    worst = Work(min(most, room), ask.max_tokens, images)
    likely = Work(min(expected, room), round(ask.max_tokens * EXPECTED_ANSWER_SHARE), images)
    quality = card.quality.get(ask.capability)
    return NodePlan(
        node=node,
        model=card.name,
        latency_ms=latency_ms(card, likely) * visits,
        cost_micro=cost_micro(card, worst) * visits,
        expected_micro=cost_micro(card, likely) * visits,
        memory_gib=card.hosting.memory_gib,
        tokens=worst.tokens * visits,
        visits=visits,
        quality=quality.score if quality else None,
        quality_origin=quality.origin if quality else "unknown",
    )


def _violations(option: Option, view: GraphView, budget: Budget) -> dict[str, Decimal]:
    """Limits that `option` breaks, each with what it would take."""
    takes = _takes(option, view)
    limits = {
        "cost_usd": None if budget.cost_usd is None else Decimal(limit_micro(budget.cost_usd)),
        "tokens": None if budget.tokens is None else Decimal(budget.tokens),
        "latency_ms": None if budget.latency_ms is None else Decimal(str(budget.latency_ms)),
        "memory_gib": None if budget.memory_gib is None else Decimal(str(budget.memory_gib)),
    }
    return {
        name: takes[name]
        for name, limit in limits.items()
        if limit is not None and takes[name] > limit
    }


def _takes(option: Option, view: GraphView) -> dict[str, Decimal]:
    return {
        "cost_usd": Decimal(sum(node.cost_micro for node in option)),
        "tokens": Decimal(sum(node.tokens for node in option)),
        "latency_ms": Decimal(str(round(_critical_path(option, view), 3))),
        "memory_gib": Decimal(str(_distinct_memory(option))),
    }


def _critical_path(option: Option, view: GraphView) -> float:
    own = {node.node: node.latency_ms for node in option}
    done: dict[str, float] = {}
    for name in view.nodes:
        before = max((done.get(other, 0.0) for other in view.predecessors(name)), default=0.0)
        done[name] = before + own.get(name, 0.0)
    return max(done.values(), default=0.0)


def _distinct_memory(option: Option) -> float:
    return round(sum({node.model: node.memory_gib for node in option}.values()), 6)


def _rank(option: Option) -> tuple[float, int, float, str]:
    """Best expected quality first (unknown counts as 0), then cheapest, fastest, by name."""
    quality = sum(node.quality or 0.0 for node in option) / len(option)
    slowest = sum(node.latency_ms for node in option)
    return (-quality, sum(node.cost_micro for node in option), slowest, _name(option))


def _name(option: Option) -> str:
    return ", ".join(f"{node.node}={node.model}" for node in option)


def _reason(option: Option, broken: dict[str, Decimal], best: Option) -> str:
    if broken:
        return "; ".join(
            f"{name} {_show(name, value)} is over the limit" for name, value in broken.items()
        )
    mine, theirs = -_rank(option)[0], -_rank(best)[0]
    if mine < theirs:
        return f"expected quality {mine:.1f}, and {_name(best)} has {theirs:.1f}"
    if _rank(option)[1] > _rank(best)[1]:
        return f"no better, and costs ${money(_rank(option)[1])} against ${money(_rank(best)[1])}"
    return f"no better and no cheaper than {_name(best)}"


def _show(name: str, value: Decimal) -> str:
    return f"${money(int(value))}" if name == "cost_usd" else format(value.normalize(), "f")


def _route(option: Option, view: GraphView) -> str:
    reads = {view.asks[node.node].capability for node in option}
    return "+".join(name for name in ("text", "vision", "maths") if name in reads)


def _nothing_fits(
    checked: list[tuple[Option, dict[str, Decimal]]],
    view: GraphView,
    budget: Budget,
    refused: list[Rejected],
) -> NoFeasiblePlan:
    nearest, broken = min(checked, key=lambda pair: (len(pair[1]), _rank(pair[0])))
    tightest = next(iter(broken))
    # The smallest limit that will do, among the options that keep every other limit if any do.
    alone = [taken[tightest] for _, taken in checked if set(taken) == {tightest}]
    smallest = {tightest: min(alone)} if alone else dict(broken)
    needs = ", ".join(f"{name}={_plain(name, value)}" for name, value in smallest.items())
    given = ", ".join(f"{name}={getattr(budget, name)}" for name in smallest)
    return NoFeasiblePlan(
        f"No plan fits the budget: {given} is too small for {_name(nearest)}. "
        f"The smallest budget that is guaranteed to do is {needs}. "
        "Raise it, or choose a fleet with a smaller model.",
        tightest=tightest,
        smallest={name: _plain(name, value) for name, value in smallest.items()},
        rejected=[{"option": e.option, "reason": e.reason} for e in refused]
        + [{"option": _name(o), "reason": _reason(o, b, o)} for o, b in checked],
    )


def _plain(name: str, value: Decimal) -> str:
    return money(int(value)) if name == "cost_usd" else format(value.normalize(), "f")
