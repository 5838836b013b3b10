"""What an assignment of models to nodes takes: each choice priced, and sums over a whole graph.

Pure arithmetic; it chooses nothing. Cost counts at its guaranteed ceiling, latency as predicted
along the critical path, memory as the sum of the models hosted side by side.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from orchestra.budget.money import limit_micro
from orchestra.budget.pricing import Work, cost_micro, latency_ms
from orchestra.errors import InvalidGraph
from orchestra.fleet.card import Card
from orchestra.graph.ask import Ask
from orchestra.job import Budget
from orchestra.routing.candidates import Choice, JobShape
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import Fallback, NodePlan, money
from orchestra.routing.prompt_size import added_bytes

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

    A limit that is absent does not bind; cost is in micro-dollars.
    """

    choices: tuple[tuple[NodePlan, ...], ...]
    view: GraphView
    limits: dict[str, Decimal]

    def all(self) -> Iterator[Option]:
        """Every assignment."""
        return itertools.product(*self.choices)

    def takes(self, option: Option) -> dict[str, Decimal]:
        """What `option` takes of each limit."""
        return {
            "cost_usd": Decimal(sum(node.cost_micro for node in option)),
            "tokens": Decimal(sum(node.tokens for node in option)),
            "latency_ms": Decimal(str(round(critical_path(option, self.view), 3))),
            "memory_gib": Decimal(str(distinct_memory(option))),
        }

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
) -> Options:
    """The choices of every node, priced. Raises `InvalidGraph` for more than can be compared."""
    priced = tuple(
        tuple(
            with_fallback(
                node_plan(node, ask, card, shape, view.visits[node]),
                other and node_plan(node, ask, other, shape, view.visits[node]),
                may_bill=card.hosting.endpoint is not None,
            )
            for card, other in choices[node]
        )
        for node, ask in active.items()
    )
    count = 1
    for alternatives in priced:
        count *= len(alternatives)
    if count > MOST_OPTIONS:
        raise InvalidGraph(
            f"The graph has {count} assignments of models to nodes, over {MOST_OPTIONS}. "
            "Use a smaller fleet, or split the graph."
        )
    return Options(priced, view, _limits(budget))


def _limits(budget: Budget) -> dict[str, Decimal]:
    limits = {
        "cost_usd": None if budget.cost_usd is None else Decimal(limit_micro(budget.cost_usd)),
        "tokens": None if budget.tokens is None else Decimal(budget.tokens),
        "latency_ms": None if budget.latency_ms is None else Decimal(str(budget.latency_ms)),
        "memory_gib": None if budget.memory_gib is None else Decimal(str(budget.memory_gib)),
    }
    return {name: limit for name, limit in limits.items() if limit is not None}


def with_fallback(own: NodePlan, other: NodePlan | None, *, may_bill: bool) -> NodePlan:
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


def node_plan(node: str, ask: Ask, card: Card, shape: JobShape, visits: int) -> NodePlan:
    """What the calls of one node take of `card`, for a job of `shape`."""
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


def critical_path(option: Option, view: GraphView) -> float:
    """Milliseconds of the slowest way through the graph."""
    own = {node.node: node.latency_ms for node in option}
    done: dict[str, float] = {}
    for name in view.nodes:
        before = max((done.get(other, 0.0) for other in view.predecessors(name)), default=0.0)
        done[name] = before + own.get(name, 0.0)
    return max(done.values(), default=0.0)


def distinct_memory(option: Option) -> float:
    """GiB of the models of `option`, each hosted once, fallbacks too."""
    models = {node.model: node.memory_gib for node in option}
    models |= {n.fallback.model: n.fallback.memory_gib for n in option if n.fallback is not None}
    return round(sum(models.values()), 6)


def rank(option: Option) -> tuple[float, int, float, str]:
    """Best expected quality first (unknown counts as 0), then cheapest, fastest, by name."""
    quality = sum(node.quality or 0.0 for node in option) / len(option)
    slowest = sum(node.latency_ms for node in option)
    return (-quality, sum(node.cost_micro for node in option), slowest, name_of(option))


def name_of(option: Option) -> str:
    """Nodes and models, as in `look=vl, read=r1`."""
    return ", ".join(f"{node.node}={node.model}" for node in option)


def plain(name: str, value: Decimal) -> str:
    """What a limit takes as its option on the command line is given: dollars, or the unit."""
    return money(int(value)) if name == "cost_usd" else format(value.normalize(), "f")
