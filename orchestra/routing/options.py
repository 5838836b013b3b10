"""What an assignment of models to nodes takes: each choice priced, and sums over a whole graph.

Pure arithmetic; it chooses nothing. Cost counts at its guaranteed ceiling, latency as a bound that
99 of 100 jobs keep (`timing`), memory as the fleet's machines hold the models (`memory`).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from decimal import Decimal

from orchestra.core.ask import Ask, prompt_hash
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import InvalidGraph, NoModel
from orchestra.core.job import Budget
from orchestra.core.money import limit_micro
from orchestra.core.pricing import Work, cost_micro
from orchestra.routing.candidates import Choice, JobShape
from orchestra.routing.introspect import GraphView
from orchestra.routing.load import IDLE, Load, siblings
from orchestra.routing.memory import held_gib
from orchestra.routing.plan import Fallback, NodePlan, Rejected, money
from orchestra.routing.prompt_size import added_bytes
from orchestra.routing.timing import NOTHING_ELSE, Expected, Rest, critical_path, node_time

TEMPLATE_TOKENS = 16  # role marks and the data delimiters around a prompt
BYTES_PER_TOKEN = 3.5  # byte-level BPE on product text; only expectations use it
EXPECTED_FACTS_TOKENS = 160
EXPECTED_ANSWER_SHARE = 0.4
MOST_OPTIONS = 20_000
LIMITS = ("cost_usd", "tokens", "latency_ms", "memory_gib")

Option = tuple[NodePlan, ...]


@dataclass(frozen=True, slots=True)
class Options:
    """The choices at each node of a graph, and the limits that an assignment must keep.

    A limit that is absent does not bind; cost is in micro-dollars. `refused` are choices that no
    budget would make possible.
    """

    choices: tuple[tuple[NodePlan, ...], ...]
    view: GraphView
    limits: dict[str, Decimal]
    rest: Rest = NOTHING_ELSE
    machines: int = 1
    refused: tuple[Rejected, ...] = field(default=())

    def all(self) -> Iterator[Option]:
        """Every assignment."""
        return itertools.product(*self.choices)

    def takes(self, option: Option) -> dict[str, Decimal]:
        """What `option` takes of each limit."""
        return {
            "cost_usd": Decimal(sum(node.cost_micro for node in option)),
            "tokens": Decimal(sum(node.tokens for node in option)),
            "latency_ms": Decimal(str(round(self.bound_ms(option), 3))),
            "memory_gib": Decimal(str(held_gib(option, self.machines))),
        }

    def expected_ms(self, option: Option) -> float:
        """Milliseconds that `option` is expected to take."""
        return critical_path(option, self.view) + self.rest.expected_ms(option)

    def bound_ms(self, option: Option) -> float:
        """Milliseconds within which 99 of 100 such jobs end, as far as that was measured."""
        whole = self.rest.whole_bound_ms(option, critical_path(option, self.view))
        if whole is not None:
            return whole
        return critical_path(option, self.view, bound=True) + self.rest.bound_ms(option)

    def least_ms(self, chosen: Option, others: Option) -> float:
        """No more than `bound_ms` of any assignment that has `chosen` and nothing faster than
        `others`, the fastest choices by `fastest_key`, at the other nodes."""
        if self.rest.whole_jobs is None:
            path = critical_path((*chosen, *others), self.view, bound=True)
            return path + self.rest.bound_ms(chosen)
        return critical_path((*chosen, *others), self.view) + self.rest.expected_ms(chosen)

    def fastest_key(self, node: NodePlan) -> float:
        """What tells the faster of two choices, for `least_ms`."""
        return node.p99_ms if self.rest.whole_jobs is None else node.latency_ms

    def broken(self, option: Option) -> dict[str, Decimal]:
        """Limits that `option` breaks, each with what it would take."""
        takes = self.takes(option)
        return {name: takes[name] for name, limit in self.limits.items() if takes[name] > limit}


def options_of(
    active: dict[str, Ask],
    view: GraphView,
    shape: JobShape,
    choices: dict[str, list[Choice]],
    budget: Budget,
    fleet: FleetFile | None = None,
    load: Load = IDLE,
) -> Options:
    """The choices of every node, priced.

    Raises `InvalidGraph` for more than can be compared, `NoModel` where a minute of no model holds
    a call.
    """
    beside = siblings(view, active)
    priced: list[tuple[NodePlan, ...]] = []
    refused: list[Rejected] = []
    for node, ask in active.items():
        asked = _Asked(node, ask, shape, view, beside[node], load)
        kept = [(asked.planned(*choice), choice[0]) for choice in choices[node]]
        over = [Rejected(f"{node}={p.model}", why) for p, card in kept if (why := _never(p, card))]
        if len(over) == len(kept):
            raise NoModel(
                f"No model can take the node {node!r} ({'; '.join(e.reason for e in over)}). "
                "Lower max_tokens, shorten the text, or raise the limit if the server allows more."
            )
        refused += over
        priced.append(tuple(p for p, card in kept if not _never(p, card)))
    count = math.prod(len(alternatives) for alternatives in priced)
    if count > MOST_OPTIONS:
        raise InvalidGraph(
            f"The graph has {count} assignments of models to nodes, over {MOST_OPTIONS}. "
            "Use a smaller fleet, or split the graph."
        )
    cards = {card.name: card for pairs in choices.values() for card, _ in pairs}
    rest = Rest(
        overhead=None if fleet is None else fleet.overhead,
        calls=sum(view.visits[node] for node in active),
        images=shape.images,
        limits={name: c.limits for name, c in cards.items() if c.limits.is_paced},
        waits_ms=dict(load.waits_ms),
        whole_jobs=None if fleet is None else fleet.whole_jobs,
        measured=frozenset(name for name, card in cards.items() if card.latency is not None),
    )
    machines = 1 if fleet is None else fleet.machines
    return Options(tuple(priced), view, _limits(budget), rest, machines, tuple(refused))


def _never(planned: NodePlan, card: Card) -> str | None:
    """Why one call of `card` can never be made within its limits of a minute."""
    most, a_visit = card.limits.tokens_per_minute, planned.own_tokens // planned.visits
    if most is None or a_visit <= most:
        return None
    return f"a call may take {a_visit} tokens, and {card.name}'s tokens_per_minute is {most}"


def _limits(budget: Budget) -> dict[str, Decimal]:
    limits = {
        "cost_usd": None if budget.cost_usd is None else Decimal(limit_micro(budget.cost_usd)),
        "tokens": None if budget.tokens is None else Decimal(budget.tokens),
        "latency_ms": None if budget.latency_ms is None else Decimal(str(budget.latency_ms)),
        "memory_gib": None if budget.memory_gib is None else Decimal(str(budget.memory_gib)),
    }
    return {name: limit for name, limit in limits.items() if limit is not None}


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
        fallback=Fallback.of(other),
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A node of one job: what its call would be on any card."""

    node: str
    ask: Ask
    shape: JobShape
    view: GraphView
    siblings: int
    load: Load

    def planned(self, card: Card, other: Card | None) -> NodePlan:
        """The node on `card`, with `other` when that is unavailable."""
        may_bill = card.hosting.endpoint is not None
        return _with_fallback(self._on(card), other and self._on(other), may_bill=may_bill)

    def _on(self, card: Card) -> NodePlan:
        visits = self.view.visits[self.node]
        worst, likely = self._works(card)
        beside = self.load.beside(card, self.siblings)
        in_turn = self.node in self.view.loops
        latency, p99 = node_time(card, Expected(likely, visits, in_turn, beside))
        quality = card.quality.get(self.ask.capability)
        return NodePlan(
            node=self.node,
            model=card.name,
            latency_ms=latency,
            cost_micro=cost_micro(card, worst) * visits,
            expected_micro=cost_micro(card, likely) * visits,
            memory_gib=card.hosting.memory_gib,
            tokens=worst.tokens * visits,
            visits=visits,
            quality=quality.score if quality else None,
            quality_origin=quality.origin if quality else "unknown",
            prompt_tokens=worst.input_tokens,
            p99_ms=p99,
            siblings=self.siblings,
            own_tokens=worst.tokens * visits,
            replicas=card.hosting.scaling.replicas,
        )

    def _works(self, card: Card) -> tuple[Work, Work]:
        """The most that a call can be, and what it is likely to be."""
        ask, shape = self.ask, self.shape
        images = shape.images if ask.reads == "image" else 0
        written = ask.max_tokens + card.limits.thinking_tokens
        room = card.limits.context_tokens - written
        fixed = len(ask.instruction.encode()) + TEMPLATE_TOKENS + images * card.limits.image_tokens
        data = shape.text_bytes if ask.reads == "text" else 0
        if ask.question and ask.reads == "image":
            fixed += shape.text_bytes  # the text is the question, and stands in its prompt, too
        added = added_bytes(card, ask.schema_json, data)
        if ask.reads == "facts":
            most, expected = room, fixed + EXPECTED_FACTS_TOKENS
        else:
            most, expected = fixed + data + added, fixed / 2 + (data + added) / BYTES_PER_TOKEN
        made = written * EXPECTED_ANSWER_SHARE
        known = card.latency and card.latency.answer_of(prompt_hash(ask))
        if known:  # calls of this very ask tell more than any rule
            expected, made = known.tokens(shape.text_bytes)
        worst = Work(min(most, room), written, images)
        likely = Work(min(round(expected), worst.input_tokens), min(round(made), written), images)
        return worst, likely


def rank(option: Option) -> tuple[float, int, float, str]:
    """Best expected quality first (unknown counts as 0), then cheapest, fastest, by name."""
    quality = sum(node.quality or 0.0 for node in option) / len(option)
    slowest = sum(node.latency_ms for node in option)
    return (-quality, sum(node.cost_micro for node in option), slowest, name_of(option))


def name_of(option: Option) -> str:
    """Nodes and models, as in `look=vl, read=r1`."""
    return ", ".join(f"{node.node}={node.part}" for node in option)


def plain(name: str, value: Decimal) -> str:
    """What a limit takes as its option on the command line is given: dollars, or the unit."""
    return money(int(value)) if name == "cost_usd" else format(value.normalize(), "f")
