"""Takes the best assignment of models to a graph's nodes that fits a job's budget.

Pure: the same view, shape, budget and fleet give the same plan. It calls no model and reads no
clock. What an assignment takes stands in `options`, how the best one is found in `search`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import Any

from orchestra.core.ask import Ask
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import EmptyJob, NoFeasiblePlan
from orchestra.core.identity import snapshot
from orchestra.core.job import Budget
from orchestra.core.money import usd
from orchestra.quality.policy import Policy
from orchestra.routing.candidates import JobShape
from orchestra.routing.introspect import GraphView
from orchestra.routing.options import (
    Options,
    held_gib,
    name_of,
    options_of,
    plain,
    rank,
)
from orchestra.routing.plan import Hosted, Option, Plan, Rejected
from orchestra.routing.search import best_judged
from orchestra.routing.timing import IDLE, Load

FIRST = ("text", "vision", "maths")  # of a route's name; words of the user's own follow


@dataclass(frozen=True, slots=True)
class Weighed:
    """A plan with the options it was chosen from."""

    plan: Plan
    options: Options


def plan(
    view: GraphView,
    shape: JobShape,
    budget: Budget,
    fleet: FleetFile,
    load: Load = IDLE,
    policy: Policy | None = None,
) -> Plan:
    """Choose a model for each ask of `view`, beside the calls of `load`, as `policy` knows them.

    Raises `EmptyJob` without text and images, `NoModel` when no card offers what a node asks
    for, `NoFeasiblePlan` naming the tightest limit and the smallest budget that will do.
    """
    return weigh(view, shape, budget, fleet, load, policy).plan


def weigh(
    view: GraphView,
    shape: JobShape,
    budget: Budget,
    fleet: FleetFile,
    load: Load = IDLE,
    policy: Policy | None = None,
) -> Weighed:
    """The plan, and what it was chosen from. Raises as `plan` does."""
    if not shape.text_bytes and not shape.images:
        raise EmptyJob("The job has neither text nor an image. Give it at least one of them.")
    active, skipped = _active(view, shape)
    if active:
        options = options_of(view, active, shape, budget, fleet, load, policy)
        best = best_judged(options)
        most = view.most_in_turn(shape.images)
        if best is None and most > 1:  # fewer photos are better than none
            fewer = replace(view, most_photos=most - 1)
            return weigh(fewer, shape, budget, fleet, load, policy)
        if best is None:
            raise _nothing_fits(options, budget)
    elif view.unpriced and not view.asks:  # all nodes are the user's own: listed, and bounded
        options, best, policy = Options((), view, {}), (), None
    else:
        missing = "; ".join(f"{entry.option}: {entry.reason}" for entry in skipped)
        raise EmptyJob(f"No node of the graph can use this job ({missing}).")
    cards = [fleet.card(name) for name in dict.fromkeys(node.model for node in best)]
    planned = Plan(
        route=route_of(best, view),
        nodes=best,
        latency_ms=options.expected_ms(best),
        memory_gib=held_gib(best, fleet.machines),
        rejected=Rejections(lambda: _rejections(options, best)),
        skipped=tuple(skipped),
        snapshot=snapshot(fleet),
        fleet=fleet.name,
        unpriced=view.unpriced,
        budget=tuple((name, str(value)) for name, value in budget if value is not None),
        p99_ms=options.bound_ms(best),
        cold_start_ms=sum(c.latency.cold_start_ms for c in cards if c.latency is not None),
        hosted=tuple(_hosted(card) for card in cards if card.price.usd_per_hour),
        policy="" if policy is None else policy.fingerprint,
        unknown_prices=tuple(card.name for card in cards if card.price.unknown),
    )
    return Weighed(planned, options)


def route_of(option: Option, view: GraphView) -> str:
    """What the nodes of an option read, as in `text+vision`."""
    asked = {view.asks[node.node].capability for node in option}
    return "+".join([name for name in FIRST if name in asked] + sorted(asked - set(FIRST)))


def _hosted(card: Card) -> Hosted:
    replicas = card.hosting.scaling.replicas
    return Hosted(
        model=card.name,
        replicas=replicas,
        usd_per_hour=card.price.usd_per_hour * replicas,
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


def _nothing_fits(options: Options, budget: Budget) -> NoFeasiblePlan:
    checked: list[tuple[Option, dict[str, Decimal]]] = [
        (option, options.broken(option)) for option in options.all()
    ]
    nearest, broken = min(checked, key=lambda pair: (len(pair[1]), rank(pair[0])))
    tightest = next(iter(broken))
    # The smallest limit that will do, among the options that keep every other limit if any do.
    alone = [taken[tightest] for _, taken in checked if set(taken) == {tightest}]
    smallest = {tightest: min(alone)} if alone else dict(broken)
    needs = ", ".join(f"{name}={plain(name, value)}" for name, value in smallest.items())
    given = ", ".join(f"{name}={getattr(budget, name)}" for name in smallest)
    return NoFeasiblePlan(
        f"No plan fits the budget: {given} is too small for {name_of(nearest)}. "
        f"The smallest budget that is guaranteed to do is {needs}. "
        "Raise it, or choose a fleet with a smaller model.",
        tightest=tightest,
        smallest={name: plain(name, value) for name, value in smallest.items()},
        rejected=[asdict(entry) for entry in options.refused]
        + [{"option": name_of(o), "reason": _reason(o, b, o)} for o, b in checked],
    )


class Rejections(Sequence[Rejected]):
    """Options with reasons, worked out at their first reading and kept.

    A plan is made for every job, and comparing every option takes far longer than finding the best.
    """

    def __init__(self, reasons: Callable[[], Sequence[Rejected]]) -> None:
        self._reasons = reasons

    @cached_property
    def _all(self) -> tuple[Rejected, ...]:
        return tuple(self._reasons())

    def __getitem__(self, at: Any) -> Any:
        return self._all[at]

    def __len__(self) -> int:
        return len(self._all)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._all == tuple(other)

    def __hash__(self) -> int:
        return hash(self._all)

    def __reduce__(self) -> tuple[Any, ...]:
        return (tuple, (list(self._all),))


def _rejections(options: Options, best: Option) -> list[Rejected]:
    """Models refused, and every other option with what it breaks or lacks against `best`."""
    return [
        *options.refused,
        *(
            Rejected(name_of(option), _reason(option, options.broken(option), best))
            for option in options.all()
            if option != best
        ),
    ]


def _reason(option: Option, broken: dict[str, Decimal], best: Option) -> str:
    """Why `option`, which breaks the limits `broken`, was not taken."""
    if broken:
        dollar = {"cost_usd": "$"}
        return "; ".join(
            f"{name} {dollar.get(name, '')}{plain(name, value)} is over the limit"
            for name, value in broken.items()
        )
    cascades = (
        m.node for m, o in zip(best, option, strict=True) if m.escalation and not o.escalation
    )
    if (node := next(cascades, None)) is not None:
        return f"the policy has a cascade at {node}"
    mine, theirs = -rank(option)[0], -rank(best)[0]
    if mine < theirs:
        return f"expected quality {mine:.1f}, and {name_of(best)} has {theirs:.1f}"
    if rank(option)[1] > rank(best)[1]:
        dear, cheap = usd(rank(option)[1]), usd(rank(best)[1])
        return f"no better, and is expected to cost ${dear:f} against ${cheap:f}"
    return f"no better and no cheaper than {name_of(best)}"
