"""Words of advice: a need, options with their figures and reasons, and how a person reads them.

It ranks nothing and calls nothing; `advise` does the ranking.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from orchestra.core.card import Capability, Card
from orchestra.core.money import dollars, usd
from orchestra.routing.plan import Rejected

Modality = Literal["text", "image", "both"]
Deployment = Literal["edge", "server", "cluster"]
Aim = Literal["accuracy", "cost", "balance", "research"]

TYPICAL = {"text": 400, "vision": 100, "maths": 100}  # prompt tokens beside those of a photo
ANSWER_TOKENS = 100
CALLS = 1000  # prices are shown for so many
EDGE_MEMORY_GIB = 8.0  # the largest Raspberry Pi 4B
AS_GOOD_POINTS = 3.0  # a balanced choice saves money among models that are this close
ONE_MODEL_POINTS = 10.0  # what seeing text and photo together, and hosting one model, is worth

RULES: dict[Aim, str] = {
    "accuracy": "best quality first, then the cheapest",
    "cost": "cheapest call first, then the best quality",
    "balance": (
        f"one model that reads everything, unless two are over {ONE_MODEL_POINTS:g} points better; "
        f"then the cheapest within {AS_GOOD_POINTS:g} points of the best; then by quality"
    ),
    "research": "models whose card says that they suit research first, then by quality",
}


@dataclass(frozen=True, slots=True)
class Need:
    """What a user has to do and may use; an absent limit does not bind.

    `memory_gib` is that of one machine: of a server, which hosts all models, or of each node of a
    cluster, which hosts one.
    """

    modality: Modality = "text"
    aim: Aim = "balance"
    deployment: Deployment = "server"
    latency_ms: float | None = None
    memory_gib: float | None = None

    @property
    def most_memory_gib(self) -> float | None:
        """The memory limit that holds: an edge device has one in any case."""
        if self.deployment != "edge":
            return self.memory_gib
        return min(EDGE_MEMORY_GIB, self.memory_gib or EDGE_MEMORY_GIB)


@dataclass(frozen=True, slots=True)
class Option:
    """One model, or two that share the work, by what each reads; cost is that of one job."""

    cards: tuple[tuple[Capability, Card], ...]
    quality: float | None
    latency_ms: float
    cost_micro: int
    memory_gib: float
    reasons: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The models, as in `r1 + vl`."""
        return " + ".join(dict.fromkeys(card.name for _, card in self.cards))

    @property
    def is_single(self) -> bool:
        """Whether one model does all of the work."""
        return len({card.name for _, card in self.cards}) == 1

    @property
    def suits_research(self) -> bool:
        """Whether all of its models are meant for research."""
        return all("research" in card.suits for _, card in self.cards)

    def public(self) -> dict[str, Any]:
        """As it stands in `advise --json`."""
        return {
            "models": {reads: card.name for reads, card in self.cards},
            "name": self.name,
            "quality": self.quality,
            "scores": {reads: score_of(card, reads) for reads, card in self.cards},
            "latency_ms": round(self.latency_ms, 3),
            "cost_usd_per_1000": float(usd(self.cost_micro * CALLS)),
            "memory_gib": self.memory_gib,
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True, slots=True)
class Advice:
    """Options that fit a need, best first, and what was left out and why."""

    need: Need
    ranked: tuple[Option, ...]
    left_out: tuple[Rejected, ...]
    fleet: str
    snapshot: str

    def public(self) -> dict[str, Any]:
        """As printed by `advise --json`."""
        return {
            "need": asdict(self.need),
            "rule": RULES[self.need.aim],
            "ranked": [option.public() for option in self.ranked],
            "left_out": [asdict(entry) for entry in self.left_out],
            "typical_call": {"prompt_tokens": TYPICAL, "answer_tokens": ANSWER_TOKENS},
            "fleet": self.fleet,
            "snapshot": self.snapshot,
        }


def score_of(card: Card, reads: Capability) -> float | None:
    """The card's score for what it reads, or None where there is none."""
    found = card.quality.get(reads) if reads in card.capabilities else None
    return None if found is None else found.score


def render(advice: Advice, shown: int) -> str:
    """The advice as a person reads it: the first `shown` options."""
    need = advice.need
    limits = [f"{need.modality}, {need.deployment}, aim {need.aim}"]
    limits += [] if need.latency_ms is None else [f"at most {need.latency_ms:g} ms"]
    limits += [] if need.most_memory_gib is None else [f"at most {need.most_memory_gib:g} GiB"]
    lines = [f"need      {', '.join(limits)}", f"fleet     {advice.fleet}"]
    lines += [f"order     {RULES[need.aim]}", ""]
    for place, option in enumerate(advice.ranked[:shown], 1):
        quality = "unknown" if option.quality is None else f"{option.quality:g}"
        lines.append(
            f"{place}. {option.name}: quality {quality}, {option.latency_ms:.0f} ms, "
            f"{option.memory_gib:g} GiB, {dollars(option.cost_micro * CALLS)} for {CALLS} jobs"
        )
        lines += [f"   - {reason}" for reason in option.reasons]
    more = len(advice.ranked) - shown
    lines += [f"({more} more: --top {len(advice.ranked)})"] if more > 0 else []
    lines += [f"left out  {entry.option}: {entry.reason}" for entry in advice.left_out]
    lines.append(
        f"counted   for a text of {TYPICAL['text']} tokens, a question of {TYPICAL['vision']} to a "
        f"photo, answers of {ANSWER_TOKENS}; without queueing"
    )
    return "\n".join([*lines, f"snapshot  {advice.snapshot}"])
