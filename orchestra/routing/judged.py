"""What a calibrated policy changes in a plan: quality from labels, and cascades of two models.

Pure. Where a policy knows a node, a model that it does not know there has no quality: a figure from
a card and a share measured on the user's own rows are not compared. A policy of another prompt
says nothing here.
"""

from __future__ import annotations

from dataclasses import replace

from orchestra.core.ask import Ask, prompt_hash
from orchestra.quality.policy import Cascade, Estimate, Policy
from orchestra.routing.options import Options
from orchestra.routing.plan import Fallback, NodePlan
from orchestra.routing.search import best_fitting

ORIGIN = "calibrated"
OTHER_PROMPT = "the policy is of another prompt"


def judged(options: Options, asks: dict[str, Ask], policy: Policy | None) -> Options:
    """`options` with the policy's quality, and with its cascades beside the single models."""
    if policy is None:
        return options
    choices = tuple(
        _choices(nodes, policy, prompt_hash(asks[nodes[0].node])) for nodes in options.choices
    )
    return replace(options, choices=choices)


def best_judged(options: Options) -> tuple[NodePlan, ...] | None:
    """The best assignment within the limits, cascades first where the policy has them."""
    wanted = tuple(
        tuple(node for node in nodes if node.escalation is not None) or nodes
        for nodes in options.choices
    )
    if wanted == options.choices:
        return best_fitting(options)
    return best_fitting(replace(options, choices=wanted)) or best_fitting(options)


def _choices(nodes: tuple[NodePlan, ...], policy: Policy, prompt: str) -> tuple[NodePlan, ...]:
    node = nodes[0].node
    if not policy.knows(node) and policy.cascade_at(node) is None:
        return nodes
    if any(one.prompt != prompt for one in policy.calibration if one.node == node):
        return tuple(
            replace(one, quality_origin=f"{one.quality_origin}; {OTHER_PROMPT}") for one in nodes
        )
    known = nodes
    if policy.knows(node):
        known = tuple(_quoted(one, policy.quality(node, one.model)) for one in nodes)
    cascade = policy.cascade_at(node)
    by_model = {one.model: one for one in known}
    if cascade is None or not set(cascade.models) <= set(by_model):
        return known
    return (_joined(cascade, *(by_model[model] for model in cascade.models)), *known)


def _quoted(node: NodePlan, known: Estimate | None) -> NodePlan:
    if known is None:
        return replace(node, quality=None, quality_origin="unknown", quality_range=None)
    low, share, high = (round(100 * part, 1) for part in (known.low, known.share, known.high))
    return replace(node, quality=share, quality_origin=ORIGIN, quality_range=(low, high))


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
        escalation=Fallback.of(second),
    )
