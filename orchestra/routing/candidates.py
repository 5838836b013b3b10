"""Which models may do the work of a node, which may stand in for them, and why others may not.

Pure; it knows no price and no budget.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.core.ask import Ask
from orchestra.core.card import Card, FleetFile
from orchestra.core.errors import NoModel
from orchestra.routing.plan import Rejected


@dataclass(frozen=True, slots=True)
class JobShape:
    """What the planner needs of a job: bytes of text (0 = none), number of images, data rule."""

    text_bytes: int
    images: int
    local_only: bool = False


Choice = tuple[Card, Card | None]  # a model, and the one asked when it is unavailable


def candidates(
    active: dict[str, Ask], shape: JobShape, fleet: FleetFile
) -> tuple[dict[str, list[Choice]], list[Rejected]]:
    """The choices at each node, and every card refused with its reason. Raises `NoModel`."""
    choices: dict[str, list[Choice]] = {}
    refused: list[Rejected] = []
    for node, ask in active.items():
        fit: list[Choice] = []
        for card in fleet.models:
            reason = _unsuitable(card, ask, shape)
            if reason is None:
                fallback, why_not = _fallback(card, ask, shape, fleet)
                fit.append((card, fallback))
                if why_not:
                    refused.append(Rejected(f"{node}={card.name}, then {card.fallback}", why_not))
            else:
                refused.append(Rejected(f"{node}={card.name}", reason))
        if not fit:
            raise _no_model(node, ask, fleet, refused)
        choices[node] = fit
    return choices, refused


def _unsuitable(card: Card, ask: Ask, shape: JobShape) -> str | None:
    if ask.capability not in card.capabilities:
        takes = ", ".join(card.capabilities)
        return f"takes {takes}, and the node asks for {ask.capability}"
    if shape.local_only and card.data_goes_to != "local":
        return f"sends data to {card.data_goes_to!r}, and the job says data='local'"
    if ask.reads == "image" and shape.images > card.limits.max_images:
        return f"takes {card.limits.max_images} images a call, and the job has {shape.images}"
    context, thinking = card.limits.context_tokens, card.limits.thinking_tokens
    if ask.max_tokens + thinking >= context:
        thoughts = f" and the thoughts' {thinking}" if thinking else ""
        return f"context {context} is under the answer's {ask.max_tokens}{thoughts} tokens"
    return None


def _fallback(
    card: Card, ask: Ask, shape: JobShape, fleet: FleetFile
) -> tuple[Card | None, str | None]:
    """The fallback of `card` if it may do this node's work, else None and why it may not."""
    other = next((entry for entry in fleet.models if entry.name == card.fallback), None)
    if other is None:
        return None, None  # none is named, or the request names the one model that may answer
    reason = _unsuitable(other, ask, shape)
    return (other, None) if reason is None else (None, reason)


def _no_model(node: str, ask: Ask, fleet: FleetFile, refused: list[Rejected]) -> NoModel:
    have = ", ".join(sorted({repr(c) for card in fleet.models for c in card.capabilities}))
    why = "; ".join(f"{e.option}: {e.reason}" for e in refused if e.option.startswith(f"{node}="))
    return NoModel(
        f"No model takes {ask.capability!r} at node {node!r} (the fleet {fleet.name!r} has: "
        f"{have}; {why}). Add a card under 'models:' in the fleet's YAML, or choose another fleet."
    )
