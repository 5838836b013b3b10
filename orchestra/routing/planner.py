"""Prices every assignment of models to a graph's nodes and takes the best one that fits.

Pure: the same view, shape, budget and fleet give the same plan. It calls no model and
reads no clock. Cost counts at its guaranteed ceiling, latency as predicted along the
critical path, memory as the sum of the models hosted side by side.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

from orchestra.budget.money import limit_micro
from orchestra.budget.pricing import Work, cost_micro, latency_ms
from orchestra.errors import EmptyJob, InvalidGraph, NoFeasiblePlan
from orchestra.fleet.card import Card, FleetFile
from orchestra.graph.ask import Ask
from orchestra.job import Budget
from orchestra.routing.candidates import Choice, JobShape, candidates
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import Fallback, NodePlan, Plan, Rejected, money
from orchestra.routing.prompt_size import added_bytes

TEMPLATE_TOKENS = 16  # role marks and the data delimiters around a prompt
BYTES_PER_TOKEN = 3.5  # byte-level BPE on product text; only expectations use it
EXPECTED_FACTS_TOKENS = 160
EXPECTED_ANSWER_SHARE = 0.4
MOST_OPTIONS = 20_000


Option = tuple[NodePlan, ...]


def plan(view: GraphView, shape: JobShape, budget: Budget, fleet: FleetFile) -> Plan:
    """Choose a model for each ask of `view`.

    Raises `EmptyJob` without text and images, `NoModel` when no card offers what a node asks
    for, `NoFeasiblePlan` naming the tightest limit and the smallest budget that will do.
    """
    if not shape.text_bytes and not shape.images:
        raise EmptyJob("The job has neither text nor an image. Give it at least one of them.")
    active, skipped = _active(view, shape)
    if not active and view.unpriced and not view.asks:
        return _unplanned(view, budget, fleet)
    if not active:
        missing = "; ".join(f"{entry.option}: {entry.reason}" for entry in skipped)
        raise EmptyJob(f"No node of the graph can use this job ({missing}).")
    choices, refused = candidates(active, shape, fleet)
    options = list(_options(active, view, shape, choices))
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
        budget=_given(budget),
    )


def _unplanned(view: GraphView, budget: Budget, fleet: FleetFile) -> Plan:
    """The plan of a graph whose nodes are all the user's own: they are listed, and bounded."""
    return Plan(
        route="",
        nodes=(),
        latency_ms=0.0,
        memory_gib=0.0,
        rejected=(),
        skipped=(),
        snapshot=fleet.snapshot,
        fleet=fleet.name,
        unpriced=view.unpriced,
        budget=_given(budget),
    )


def _given(budget: Budget) -> tuple[tuple[str, str], ...]:
    return tuple((name, str(value)) for name, value in budget if value is not None)


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


def _options(
    active: dict[str, Ask], view: GraphView, shape: JobShape, choices: dict[str, list[Choice]]
) -> Iterator[Option]:
    priced = [
        [
            _with_fallback(
                _node_plan(node, ask, card, shape, view.visits[node]),
                other and _node_plan(node, ask, other, shape, view.visits[node]),
                may_bill=card.hosting.endpoint is not None,
            )
            for card, other in choices[node]
        ]
        for node, ask in active.items()
    ]
    count = 1
    for alternatives in priced:
        count *= len(alternatives)
    if count > MOST_OPTIONS:
        raise InvalidGraph(
            f"The graph has {count} assignments of models to nodes, over {MOST_OPTIONS}. "
            "Use a smaller fleet, or split the graph."
        )
    return itertools.product(*priced)


def _with_fallback(own: NodePlan, other: NodePlan | None, *, may_bill: bool) -> NodePlan:
    """`own` with ceilings that hold its fallback's call too.

    A model elsewhere may bill a call whose answer never came, so both calls are counted; one
    that is hosted here is paid only when it answers, so the dearer of the two is enough.
    """
    if other is None:
        return own
    costs, tokens = (own.cost_micro, other.cost_micro), (own.tokens, other.tokens)
    return replace(
        own,
        cost_micro=sum(costs) if may_bill else max(costs),
        tokens=sum(tokens) if may_bill else max(tokens),
        fallback=Fallback(
            model=other.model,
            latency_ms=other.latency_ms,
            cost_micro=other.cost_micro,
            memory_gib=other.memory_gib,
            tokens=other.tokens,
            prompt_tokens=other.prompt_tokens,
        ),
    )


def _node_plan(node: str, ask: Ask, card: Card, shape: JobShape, visits: int) -> NodePlan:
    images = shape.images if ask.reads == "image" else 0
    written = ask.max_tokens + card.limits.thinking_tokens
    room = card.limits.context_tokens - written
    fixed = len(ask.instruction.encode()) + TEMPLATE_TOKENS + images * card.limits.image_tokens
    data = shape.text_bytes if ask.reads == "text" else 0
    if ask.question and ask.reads == "image":
        fixed += shape.text_bytes  # the text is the question, and stands in a photo's prompt, too
    added = added_bytes(card, ask.schema_json, data)
    if ask.reads == "facts":
        most, expected = room, fixed + EXPECTED_FACTS_TOKENS
    else:
        most, expected = fixed + data + added, fixed / 2 + (data + added) / BYTES_PER_TOKEN
    worst = Work(min(most, room), written, images)
    likely = Work(min(round(expected), room), round(written * EXPECTED_ANSWER_SHARE), images)
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
        prompt_tokens=worst.input_tokens,
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
    models = {node.model: node.memory_gib for node in option}
    models |= {n.fallback.model: n.fallback.memory_gib for n in option if n.fallback is not None}
    return round(sum(models.values()), 6)


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
