"""Which models may do the work of a node, which may stand in for them, and what each takes.

Pure; it chooses nothing and knows no budget. Cost is told twice: as expected, by which a choice is
made, and as the guaranteed ceiling, which limits hold. A calibrated policy knows quality from
labels: where it knows a node, a model that it does not know there has no quality, since a figure
from a card and a share measured on the user's own rows are not compared. A policy of another prompt
says nothing here. What was learnt from labelled texts (`quality/learned`) says for the job's own
text how well each model will do, and goes before what is known of all texts together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import add

from orchestra.core.ask import Ask, prompt_hash
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import NoModel, PriceUnknown
from orchestra.core.pricing import Work, cost_micro, latency_ms
from orchestra.core.schema import open_choices
from orchestra.core.spelling import nearest
from orchestra.quality.learned.expected import Expectations, Expected
from orchestra.quality.policy import Accuracy, Cascade, Policy
from orchestra.routing.condition import condition_after
from orchestra.routing.introspect import GraphView
from orchestra.routing.plan import NodePlan, Rejected
from orchestra.routing.prompt_size import added_bytes
from orchestra.routing.timing import Load

TEMPLATE_TOKENS = 16  # role marks and the data delimiters around a prompt
BYTES_PER_TOKEN = 3.5  # byte-level BPE on product text; only expectations use it
EXPECTED_FACTS_TOKENS = 160
EXPECTED_ANSWER_SHARE = 0.4
LEAST_SHARE = 0.01  # no row of a few went on: that is not never
ORIGIN = "calibrated"
LEARNED = "learned from {rows} texts, for this one"
OTHER_PROMPT = "the policy is of another prompt"


@dataclass(frozen=True, slots=True)
class JobShape:
    """What the planner needs of a job: bytes of text (0 = none), number of images, data rule, and
    how well models are expected to answer its text, where a policy learnt that."""

    text_bytes: int
    images: int
    local_only: bool = False
    expected: Expectations = ()


Candidate = tuple[Card, Card | None]  # a model, and the one asked when it is unavailable


def candidates_of(
    view: GraphView,
    active: dict[str, Ask],
    shape: JobShape,
    fleet: FleetFile,
    *,
    in_dollars: bool = False,
) -> tuple[dict[str, list[Candidate]], list[Rejected]]:
    """Who may do each node's work, and every card refused with its reason.

    `in_dollars`: a budget has to hold what they cost. Raises `NoModel`, and `PriceUnknown` where
    that is all that keeps every model from a node.
    """
    candidates: dict[str, list[Candidate]] = {}
    refused: list[Rejected] = []
    for node in active:
        fit: list[Candidate] = []
        for card in fleet.models:
            reason = _unsuitable(card, view, node, shape) or _unbounded(card, in_dollars)
            if reason is None:
                fallback, why_not = _fallback(card, view, node, shape, fleet, in_dollars)
                fit.append((card, fallback))
                if why_not:
                    refused.append(Rejected(f"{node}={card.name}, then {card.fallback}", why_not))
            else:
                refused.append(Rejected(f"{node}={card.name}", reason))
        if not fit:
            able = [c for c in fleet.models if _unsuitable(c, view, node, shape) is None]
            raise price_unknown(able) if able else _no_model(node, active[node], fleet, refused)
        candidates[node] = _taught(node, active[node], fit, refused)
    return candidates, refused


def photos_a_call(view: GraphView, node: str, shape: JobShape, card: Card) -> int:
    """The most photos that a call of `node` has.

    In a fan-out written by hand, what a visit sees is not known: it is then no more than the model
    takes, and a visit of more is refused as it comes.
    """
    if view.asks[node].reads != "image":
        return 0
    if node in view.each or view.asks[node].turn is not None:
        return min(1, shape.images)
    if node in view.spread:
        return min(shape.images, max(1, card.limits.max_images))
    return shape.images


def _unsuitable(card: Card, view: GraphView, node: str, shape: JobShape) -> str | None:
    ask, photos = view.asks[node], photos_a_call(view, node, shape, card)
    if ask.capability not in card.capabilities:
        takes = ", ".join(card.capabilities)
        return f"takes {takes}, and the node asks for {ask.capability}"
    if card.answers and ask.wants not in card.answers:
        return f"answers only {' and '.join(card.answers)}, and the node wants {ask.wants}"
    if shape.local_only and card.data_goes_to != "local":
        return f"sends data to {card.data_goes_to!r}, and the job says data='local'"
    if photos > card.limits.max_images:
        return f"takes {card.limits.max_images} images a call, and the job has {shape.images}"
    context, thinking = card.limits.context_tokens, card.limits.thinking_tokens
    if ask.max_tokens + thinking >= context:
        thoughts = f" and the thoughts' {thinking}" if thinking else ""
        return f"context {context} is under the answer's {ask.max_tokens}{thoughts} tokens"
    return None


def _untaught(card: Card, ask: Ask) -> str | None:
    """Which fields of an ask a card's model was not taught to read, as a reason."""
    if not card.reads or ask.wants != "fields" or ask.reads == "image":
        return None
    # It was taught values of its own, which are not those of a user's taxonomy.
    unknown = open_choices(ask.schema_json or "{}")
    others = [name for name in ask.fields if name not in card.reads or name in unknown]
    if not others:
        return None
    return f"was not taught to read {', '.join(map(repr, others[:3]))}, and another model was"


def _taught(node: str, ask: Ask, fit: list[Candidate], refused: list[Rejected]) -> list[Candidate]:
    """Those of `fit` that read any field the node asks for; all of them where none does."""
    why = {card.name: _untaught(card, ask) for card, _ in fit}
    taught = [candidate for candidate in fit if why[candidate[0].name] is None]
    if not taught:
        return fit
    refused += [Rejected(f"{node}={name}", reason) for name, reason in why.items() if reason]
    return taught


def _unbounded(card: Card, in_dollars: bool) -> str | None:
    if in_dollars and card.price.unknown:
        return "its price is unknown, and the budget is in dollars"
    return None


def price_unknown(cards: Sequence[Card]) -> PriceUnknown:
    """The error for a budget in dollars that no price of `cards` bounds."""
    names = ", ".join(repr(card.name) for card in cards)
    return PriceUnknown(
        f"The price of {names} is unknown, so that no budget in dollars can hold. Write the price "
        "on the card (usd_per_million_input_tokens and usd_per_million_output_tokens with as_of; "
        "a guess on the high side is a bound), or price: free if nobody bills it, or leave "
        "cost_usd out."
    )


def _fallback(
    card: Card,
    view: GraphView,
    node: str,
    shape: JobShape,
    fleet: FleetFile,
    in_dollars: bool,
) -> tuple[Card | None, str | None]:
    """The fallback of `card` if it may do this node's work, else None and why it may not."""
    other = next((entry for entry in fleet.models if entry.name == card.fallback), None)
    if other is None:
        return None, None  # none is named, or the request names the one model that may answer
    reason = _unsuitable(other, view, node, shape) or _unbounded(other, in_dollars)
    return (other, None) if reason is None else (None, reason)


def _no_model(node: str, ask: Ask, fleet: FleetFile, refused: list[Rejected]) -> NoModel:
    have = ", ".join(sorted({repr(c) for card in fleet.models for c in card.capabilities}))
    why = "; ".join(f"{e.option}: {e.reason}" for e in refused if e.option.startswith(f"{node}="))
    near = nearest(ask.capability, {name for card in fleet.models for name in card.capabilities})
    meant = f"Did you mean {near!r}? " if near not in (None, ask.capability) else ""
    return NoModel(
        f"No model takes {ask.capability!r} at node {node!r} (the fleet {fleet.name!r} has: "
        f"{have}; {why}). {meant}Add a card under 'models:' in the fleet's YAML, or choose another "
        "fleet."
    )


def _never(planned: NodePlan, card: Card) -> str | None:
    """Why one call of `card` can never be made within its limits of a minute."""
    most, a_visit = card.limits.tokens_per_minute, planned.own_tokens // planned.visits
    if most is None or a_visit <= most:
        return None
    return f"a call may take {a_visit} tokens, and {card.name}'s tokens_per_minute is {most}"


@dataclass(frozen=True, slots=True)
class NodeWork:
    """The work of a node in one job: what its call would be on any card.

    `siblings` is how many nodes of the job may be under way beside it.
    """

    node: str
    ask: Ask
    shape: JobShape
    view: GraphView
    siblings: int
    load: Load

    def priced(
        self, candidates: Sequence[Candidate]
    ) -> tuple[tuple[NodePlan, ...], list[Rejected]]:
        """The node on each candidate, and those whose limits of a minute no call can keep.

        Raises `NoModel` where that is every one.
        """
        kept: list[NodePlan] = []
        refused: list[Rejected] = []
        for card, fallback in candidates:
            planned = self._on(card)
            why = _never(planned, card)
            if why is None:
                kept.append(planned if fallback is None else self._backed(card, planned, fallback))
            else:
                refused.append(Rejected(f"{self.node}={card.name}", why))
        if not kept:
            raise NoModel(
                f"No model can take the node {self.node!r} "
                f"({'; '.join(entry.reason for entry in refused)}). "
                "Lower max_tokens, shorten the text, or raise the limit if the server allows more."
            )
        return tuple(kept), refused

    def _backed(self, card: Card, own: NodePlan, fallback: Card) -> NodePlan:
        """`own` with ceilings that hold its fallback's call too.

        A model elsewhere may bill a call whose answer never came, so both calls are counted; one
        that is hosted here is paid only when it answers, so the dearer of the two is enough.
        """
        other = self._on(fallback)
        both = max if card.hosting.endpoint is None else add
        return replace(
            own,
            cost_micro=both(own.cost_micro, other.cost_micro),
            tokens=both(own.tokens, other.tokens),
            fallback=other,
        )

    def _on(self, card: Card) -> NodePlan:
        visits = self.view.visits_in(self.node, self.shape.images)
        worst, likely = self._works(card)
        latency, p99 = self._time(card, likely)
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
            photos=worst.images,
        )

    def _time(self, card: Card, work: Work) -> tuple[float, float]:
        """(expected, bound) milliseconds of all visits on `card`.

        Visits of a loop follow each other. Those of a fan-out share time on a model whose slowdown
        was measured; on another they are taken as in turn.
        """
        photos, known = self.shape.images, card.latency
        visits = self.view.visits_in(self.node, photos)
        if known is None:
            alone = latency_ms(card, work) * visits
            return alone, alone
        calls, neighbours = self.load.beside(card, self.siblings)
        abreast = self.view.abreast(self.node, photos)
        calls += abreast - 1
        once = known.milliseconds(
            work.input_tokens, work.output_tokens, work.images, calls, neighbours
        )
        whole = once * (visits // abreast)
        return whole, whole * known.p99_ratio

    def _works(self, card: Card) -> tuple[Work, Work]:
        """The most that a call can be, and what it is likely to be."""
        ask, shape = self.ask, self.shape
        images = photos_a_call(self.view, self.node, shape, card)
        most_out = ask.max_tokens + card.limits.thinking_tokens
        room = card.limits.context_tokens - most_out
        share = images if self.node not in self.view.spread else self._share_of_photos(images)
        fixed = len(ask.instruction.encode()) + TEMPLATE_TOKENS + images * card.limits.image_tokens
        data = shape.text_bytes if ask.reads == "text" else 0
        if ask.question and ask.reads == "image":
            fixed += shape.text_bytes  # the text is the question, and stands in its prompt, too
        added = added_bytes(card, ask.schema_json, data)
        if ask.reads == "facts":
            most_in, likely_in = room, fixed + EXPECTED_FACTS_TOKENS
        else:
            most_in, likely_in = fixed + data + added, fixed / 2 + (data + added) / BYTES_PER_TOKEN
        likely_out = most_out * EXPECTED_ANSWER_SHARE
        known = card.latency and card.latency.answer_of(prompt_hash(ask))
        if known:  # calls of this very ask tell more than any rule
            likely_in, likely_out = known.tokens(shape.text_bytes)
        worst = Work(min(most_in, room), most_out, images)
        likely = Work(
            min(round(likely_in), worst.input_tokens), min(round(likely_out), most_out), share
        )
        return worst, likely

    def _share_of_photos(self, most: int) -> int:
        """Photos of one visit where a fan-out deals them out."""
        return min(most, math.ceil(self.shape.images / self.view.visits[self.node]))


def judged(
    nodes: tuple[NodePlan, ...], ask: Ask, policy: Policy, expected: Expectations = ()
) -> tuple[NodePlan, ...]:
    """The choices at one node with the policy's quality, its cascade before the single models.

    What is `expected` of the job's own text goes before what is known of all texts.
    """
    node = nodes[0].node
    reads_it = ask.reads == "text" and ask.data is None  # and not what the graph makes of it
    own = {one.model: one for one in expected if one.node == node and reads_it}
    if not policy.knows(node) and policy.cascade_at(node) is None and not own:
        return nodes
    prompt = prompt_hash(ask)
    stale = (one.prompt != prompt for one in policy.calibration if one.node == node)
    if any(stale) or any(one.prompt != prompt for one in own.values()):
        return tuple(
            replace(one, quality_origin=f"{one.quality_origin}; {OTHER_PROMPT}") for one in nodes
        )
    known = nodes
    if own:
        known = tuple(_expecting(one, own.get(one.model)) for one in nodes)
    elif policy.knows(node):
        known = tuple(_quoted(one, policy.quality(node, one.model)) for one in nodes)
    cascade = policy.cascade_at(node)
    by_model = {one.model: one for one in known}
    if cascade is None or not set(cascade.models) <= set(by_model):
        return known
    return (_joined(cascade, *(by_model[model] for model in cascade.models)), *known)


def shared(nodes: tuple[NodePlan, ...], ask: Ask, policy: Policy | None) -> tuple[NodePlan, ...]:
    """The choices at the second node of a cascade: expected in the share of jobs that go on.

    A policy knows it best, then who wrote the graph; else every job does. Ceilings hold the call.
    """
    after = ask.after
    if after is None:
        return nodes
    known = None if policy is None else policy.unsure(after.node, ask.fields, after.least)
    share = after.share if known is None else known
    share = 1.0 if share is None else max(LEAST_SHARE, share)
    return tuple(
        replace(
            one,
            latency_ms=one.latency_ms * share,
            expected_micro=round(one.expected_micro * share),
            condition=condition_after(ask, (after.node,)),
            share=share,
        )
        for one in nodes
    )


def _quoted(node: NodePlan, known: Accuracy | None) -> NodePlan:
    if known is None:
        return replace(node, quality=None, quality_origin="unknown", quality_range=None)
    low, share, high = (round(100 * part, 1) for part in (known.low, known.share, known.high))
    return replace(node, quality=share, quality_origin=ORIGIN, quality_range=(low, high))


def _expecting(node: NodePlan, known: Expected | None) -> NodePlan:
    """With the quality that is expected of its text; unknown for a model without labels."""
    if known is None:
        return replace(node, quality=None, quality_origin="unknown", quality_range=None)
    share, low, high = (round(100 * part, 1) for part in (known.share, known.low, known.high))
    origin = LEARNED.format(rows=known.rows)
    return replace(node, quality=share, quality_origin=origin, quality_range=(low, high))


def _joined(cascade: Cascade, first: NodePlan, second: NodePlan) -> NodePlan:
    """One node that asks `first`, then `second` where it is unsure; ceilings hold both calls."""
    quoted = _quoted(first, cascade.right)
    return replace(
        quoted,
        latency_ms=first.latency_ms + cascade.escalated * second.latency_ms,
        p99_ms=first.p99_ms + second.p99_ms,
        cost_micro=first.cost_micro + second.cost_micro,
        expected_micro=round(first.expected_micro + cascade.escalated * second.expected_micro),
        tokens=first.tokens + second.tokens,
        escalated=cascade.escalated,
        escalation=second,
    )
